from datetime import UTC, datetime

import pytest

from ingest.api import ConfigError
from ingest.connectors.parsers.syslog import (
    BAD_DATA,
    BAD_HEADER,
    BAD_PRIORITY,
    NO_HOST,
    NO_TIME,
    UNFIT_TIME,
    SyslogParser,
)
from ingest.connectors.parsers.syslog_words import NO_YEAR
from tests.builders.parsing import facts, parse, read, slow

MODERN = "<34>1 2026-11-23T01:02:03.003Z web-1 su 77 ID47 "
HEADER = {
    "facility": "auth",
    "severity": "crit",
    "time": datetime(2026, 11, 23, 1, 2, 3, 3000, tzinfo=UTC),
    "hostname": "web-1",
    "app_name": "su",
    "proc_id": "77",
    "msg_id": "ID47",
}
NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
TIME = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
DATA = '[a@1 b="c d" e="\\"]"][f]'


def ms(time):
    return int(time.timestamp() * 1000)


def parser(zone="UTC"):
    return SyslogParser(SyslogParser.Options(zone=zone))


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (MODERN + "- a message", HEADER | {"message": "a message"}),
        (MODERN + "-", HEADER),
        (MODERN + "- ", HEADER | {"message": ""}),
        (MODERN + "-  two", HEADER | {"message": " two"}),
        (MODERN + "- \ufeffbom", HEADER | {"message": "bom"}),
        (MODERN + "- x\r", HEADER | {"message": "x"}),
        (MODERN + "- a\nb", HEADER | {"message": "a\nb"}),
        (MODERN + f"{DATA} \ufeffm", HEADER | {"structured_data": DATA, "message": "m"}),
        (MODERN + "[a]", HEADER | {"structured_data": "[a]"}),
        (MODERN + "[a] ", HEADER | {"structured_data": "[a]", "message": ""}),
        ("<0>1 - - - - - -", {"facility": "kern", "severity": "emerg"}),
        ("<191>1 - - - - - - x", {"facility": "local7", "severity": "debug", "message": "x"}),
        (MODERN.replace("03.003Z", "03.003") + "-", HEADER),
        (MODERN.replace("T01:02:03.003Z", "T02:02:03.003+01:00") + "-", HEADER),
    ],
)
def test_lines_of_rfc_5424(line, fields):
    assert read(parser(), line.encode()) == fields


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("web-1 su[77]: a message", {"hostname": "web-1", "app_name": "su", "proc_id": "77", "message": "a message"}),
        ("web-1 kernel: [12.5] x", {"hostname": "web-1", "app_name": "kernel", "message": "[12.5] x"}),
        ("web-1 a/b(c)[]:", {"hostname": "web-1", "app_name": "a/b(c)", "proc_id": ""}),
        ("web-1 -[-]: x", {"hostname": "web-1", "message": "x"}),
        ("web-1 su: ", {"hostname": "web-1", "app_name": "su", "message": ""}),
        ("web-1 su[7:", {"hostname": "web-1", "app_name": "su[7"}),
        ("web-1 a]b[7]: x", {"hostname": "web-1", "app_name": "a]b", "proc_id": "7", "message": "x"}),
        ("web-1 last message repeated", {"hostname": "web-1", "message": "last message repeated"}),
        ("web-1 word", {"hostname": "web-1", "message": "word"}),
        ("web-1  su[77]: x", {"hostname": "web-1", "message": " su[77]: x"}),
        ("web-1 : x", {"hostname": "web-1", "message": ": x"}),
        ("- -\r", {"message": "-"}),
        ("su[77]: a message", {"app_name": "su", "proc_id": "77", "message": "a message"}),
        ("su: web-1 x: y", {"app_name": "su", "message": "web-1 x: y"}),
        ("su:", {"app_name": "su"}),
        ("su[77]: ", {"app_name": "su", "proc_id": "77", "message": ""}),
        ("su[]:  x\r", {"app_name": "su", "proc_id": "", "message": " x"}),
        ("-[77]: x", {"proc_id": "77", "message": "x"}),
        ("[77]: x", {"app_name": "[77]", "message": "x"}),
        (": su: x", {"hostname": ":", "app_name": "su", "message": "x"}),
        ("1234 su: x", {"hostname": "1234", "app_name": "su", "message": "x"}),
        ("web-1", {"hostname": "web-1"}),
        ("web-1 ", {"hostname": "web-1", "message": ""}),
    ],
)
@pytest.mark.parametrize("time", ["Nov 23 01:02:03", "2026-11-23T01:02:03Z", "2026-11-23T02:02:03.000+01:00"])
@pytest.mark.parametrize(("priority", "said"), [("", {}), ("<13>", {"facility": "user", "severity": "notice"})])
def test_lines_of_rfc_3164_and_of_files(priority, said, time, line, fields):
    found = read(parser(), f"{priority}{time} {line}".encode(), moment=ms(NOW))

    assert found == said | {"time": TIME} | fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty value"),
        ("a line", NO_TIME),
        ("<192>1 - - - - - -", BAD_PRIORITY),
        ("<01>1 - - - - - -", BAD_PRIORITY),
        ("<>x", BAD_PRIORITY),
        ("<1234>x", BAD_PRIORITY),
        ("<13", BAD_PRIORITY),
        ("<13>", NO_TIME),
        ("<13>1", NO_TIME),
        ("<13>1 - - - - -", BAD_HEADER),
        ("<13>1  - - - - - -", BAD_HEADER),
        (MODERN, BAD_DATA),
        (MODERN + "x", BAD_DATA),
        (MODERN + "--", BAD_DATA),
        (MODERN + "[]", BAD_DATA),
        (MODERN + "[a b]", BAD_DATA),
        (MODERN + '[a b="c]', BAD_DATA),
        (MODERN + '[a b="c\\"]', BAD_DATA),
        (MODERN + "[a]x", BAD_DATA),
        (MODERN.replace("2026-11-23T", "2026-02-30T") + "-", UNFIT_TIME),
        (MODERN.replace("2026-11-23T01:02:03.003Z", "now") + "-", UNFIT_TIME),
        ("Nov 23 01:02:03", NO_TIME),
        ("Nov 23 01:02:03 ", NO_HOST),
        ("Nov 23 01:02:03  web su: x", NO_HOST),
        ("Nov 31 01:02:03 web", UNFIT_TIME),
        ("Feb 29 01:02:03 2026 web", UNFIT_TIME),
        ("Nov 23 24:02:03 2026 web", UNFIT_TIME),
        ("Nov 23 01:02:03 2026 ", NO_HOST),
        ("Nov  0 01:02:03 web", UNFIT_TIME),
        ("Nov 23 24:02:03 web", UNFIT_TIME),
        ("nov 23 01:02:03 web", NO_TIME),
        ("Nov 2  01:02:03 web", NO_TIME),
        ("2026-11-23 01:02:03 web su: x", NO_TIME),
        ("+026-11-23T01:02:03Z web su: x", NO_TIME),
        ("2026-11-23T01:02:61Z web su: x", UNFIT_TIME),
    ],
)
def test_lines_that_are_refused(line, reason):
    assert read(parser(), line.encode(), moment=ms(NOW)) == reason


@pytest.mark.parametrize(
    ("time", "moment", "year"),
    [
        ("Feb  3 01:02:03", datetime(2026, 11, 28, tzinfo=UTC), 2026),
        ("Dec 31 23:59:59", datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), 2026),
        ("Jan  1 00:00:01", datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC), 2027),
        ("Jan  1 23:59:58", datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC), 2027),
        ("Jan  1 23:59:59", datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC), 2026),
        ("Nov 29 00:00:00", datetime(2026, 11, 28, tzinfo=UTC), 2026),
        ("Nov 29 00:00:01", datetime(2026, 11, 28, tzinfo=UTC), 2025),
        ("Feb 29 12:00:00", datetime(2028, 2, 28, 11, 59, tzinfo=UTC), 2024),
        ("Feb 29 12:00:00", datetime(2028, 2, 28, 12, tzinfo=UTC), 2028),
        ("Feb 29 12:00:00", datetime(2104, 2, 1, tzinfo=UTC), 2096),
        ("Feb 29 12:00:00", datetime(1970, 1, 1, tzinfo=UTC), 1968),
        ("Jan  1 00:00:00", datetime(9998, 12, 31, tzinfo=UTC), 9999),
    ],
)
def test_the_year_is_the_latest_that_leaves_a_time_at_most_a_day_after_its_record(time, moment, year):
    found = read(parser(), f"{time} web-1 su: x".encode(), moment=ms(moment))

    assert found["time"].year == year


@pytest.mark.parametrize("moment", [-1, ms(NOW), 1 << 62])
def test_a_year_behind_the_time_is_the_year(moment):
    line = b"<13>Jan  1 00:00:01 1999 web-1 su[77]: x"
    fields = {"facility": "user", "severity": "notice", "hostname": "web-1", "app_name": "su", "proc_id": "77"}
    time = datetime(1999, 1, 1, 0, 0, 1, tzinfo=UTC)

    assert read(parser(), line, moment=moment) == fields | {"time": time, "message": "x"}
    assert read(parser(), b"Feb 29 00:00:01 2000 su: x", moment=moment)["time"].year == 2000


def test_a_clock_that_is_none_is_refused_where_the_calendar_ends():
    moment = ms(datetime(9998, 12, 31, 12, tzinfo=UTC))

    assert read(parser(), b"Dec 31 99:00:00 web-1 su: x", moment=moment) == UNFIT_TIME


@pytest.mark.parametrize("moment", [-1, -5, 253_370_764_800_000, (1 << 63) - 1])
def test_without_a_timestamp_there_is_no_year_and_that_is_counted(moment):
    line = b"Nov 23 01:02:03 web-1 su: x"
    parsed = parse(parser(), [line, line, b"Nov 31 01:02:03 web-1 su: x"], moments=[moment] * 3)

    assert parsed.table["time"].to_pylist() == [None, None]
    assert {reason: count for reason, count in parsed.counted.items() if count} == {NO_YEAR: 2}
    assert parsed.reasons == [UNFIT_TIME]
    assert read(parser(), line, moment=moment) == {"hostname": "web-1", "app_name": "su", "message": "x"}


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("Nov 23 01:02:03", datetime(2026, 11, 23, 0, 2, 3, tzinfo=UTC)),
        ("Jul 23 01:02:03", datetime(2026, 7, 22, 23, 2, 3, tzinfo=UTC)),
        ("Oct 25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("Mar 29 02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-11-23T01:02:03.5", datetime(2026, 11, 23, 0, 2, 3, 500_000, tzinfo=UTC)),
        ("2026-11-23T01:02:03Z", TIME),
    ],
)
def test_times_without_a_zone_have_that_of_the_options(time, utc):
    moment = datetime(2026, 12, 1, tzinfo=UTC)

    assert read(parser("Europe/Berlin"), f"{time} web-1 su: x".encode(), moment=ms(moment))["time"] == utc


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_digits_past_the_microsecond_are_counted(zone):
    lines = [b"2026-11-23T01:02:03.1234567 a", b"2026-11-23T01:02:03.1234567Z a"]

    assert parse(parser(zone), lines).counted == {"timestamp digits cut": 2}


def test_usual_lines_are_not_read_alone(monkeypatch):
    made = parser("Europe/Berlin")
    lines = [
        MODERN + "- x",
        MODERN.replace("su 77", "- -") + "-\r",
        MODERN + '[a b="c"] x',
        "<13>Nov  3 01:02:03 web-1 su[77]: x",
        "Nov 23 01:02:03 web-1 kernel: x",
        "<13>Nov 23 01:02:03 su[77]: x y",
        "2026-11-23T01:02:03.5+01:00 web-1 su[77]: x y",
        "2026-11-23T01:02:03Z web-1 no tag here",
    ]
    lines = [line.encode() for line in lines] * 100
    expected = facts(parse(slow(made), lines, moments=[ms(NOW)] * len(lines)))
    monkeypatch.setattr(made, "read", None)

    assert facts(parse(made, lines, moments=[ms(NOW)] * len(lines))) == expected
    assert expected["rejects"] == {}


@pytest.mark.parametrize("zone", ["", "Mars/Phobos", "../etc/passwd"])
def test_a_zone_that_is_not_known_is_refused(zone):
    with pytest.raises(ConfigError) as refused:
        SyslogParser.Options(zone=zone)
    assert refused.value.key == "zone"
