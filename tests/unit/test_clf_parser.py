from datetime import UTC, datetime

import pytest

from ingest.connectors.parsers.clf import NOT_A_LOG_LINE, NOT_A_TIME, ClfParser
from tests.builders.parsing import facts, parse, read, slow

COMMON = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
COMBINED = COMMON + ' "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
FIELDS = {
    "host": "127.0.0.1",
    "user": "frank",
    "time": datetime(2000, 10, 10, 20, 55, 36, tzinfo=UTC),
    "method": "GET",
    "path": "/apache_pb.gif",
    "protocol": "HTTP/1.0",
    "status": 200,
    "bytes": 2326,
}
MORE = {"referrer": "http://www.example.com/start.html", "user_agent": "Mozilla/4.08 [en] (Win98; I ;Nav)"}


@pytest.fixture
def parser():
    return ClfParser(ClfParser.Options())


def without(*names):
    return {name: value for name, value in FIELDS.items() if name not in names}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (COMMON, FIELDS),
        (COMBINED, FIELDS | MORE),
        (COMMON + "\r", FIELDS),
        (COMBINED + "\r", FIELDS | MORE),
        (COMBINED + ' "10.0.0.1, 10.0.0.2" 0.003', FIELDS | MORE | {"rest": '"10.0.0.1, 10.0.0.2" 0.003'}),
        (COMBINED + " ", FIELDS | MORE | {"rest": ""}),
        (COMBINED + " -", FIELDS | MORE),
        (COMMON + ' "-" "-"', FIELDS),
        (COMMON + ' "" ""', FIELDS | {"referrer": "", "user_agent": ""}),
        (COMMON.replace("frank", "-").replace("2326", "-"), without("user", "bytes")),
        (COMMON.replace("127.0.0.1 -", "::1 me"), FIELDS | {"host": "::1", "identity": "me"}),
        (COMMON.replace("GET /apache_pb.gif HTTP/1.0", "-"), without("method", "path", "protocol")),
        (
            COMMON.replace("GET /apache_pb.gif HTTP/1.0", "GET /a b HTTP/1.0"),
            without("method", "path", "protocol") | {"request": "GET /a b HTTP/1.0"},
        ),
        (
            COMMON.replace("GET /apache_pb.gif HTTP/1.0", r"\x16\x03\"\\"),
            without("method", "path", "protocol") | {"request": r"\x16\x03\"\\"},
        ),
        (COMMON.replace("/apache_pb.gif", r"/\"a\""), FIELDS | {"path": r"/\"a\""}),
        (COMMON.replace("2326", "9223372036854775807"), FIELDS | {"bytes": 9223372036854775807}),
        (COMMON.replace("/apache_pb.gif", "/żółć"), FIELDS | {"path": "/żółć"}),
        (COMMON.replace("frank", "john doe"), FIELDS | {"user": "john doe"}),
        (COMBINED.replace("frank", " john  doe "), FIELDS | MORE | {"user": " john  doe "}),
        (COMMON.replace("frank", "j [x] doe"), FIELDS | {"user": "j [x] doe"}),
        (COMMON.replace("frank", r"j [x] \"doe"), FIELDS | {"user": r"j [x] \"doe"}),
        (COMMON.replace("frank", 'j [x] "y" z'), FIELDS | {"user": 'j [x] "y" z'}),
        (COMMON.replace("frank", "j\ndoe -"), FIELDS | {"user": "j\ndoe -"}),
        (COMMON.replace("frank", ""), FIELDS | {"user": ""}),
        (COMBINED.replace("- frank", "me "), FIELDS | MORE | {"identity": "me", "user": ""}),
        (COMMON.replace("127.0.0.1", "::1, 127.0.0.1"), FIELDS | {"host": "::1, 127.0.0.1"}),
        (COMMON.replace("127.0.0.1", "a, b, c").replace("frank", "-"), without("user") | {"host": "a, b, c"}),
    ],
)
def test_fields_of_a_line(parser, line, fields):
    assert read(parser, line.encode()) == fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty value"),
        (b"\xff", "not UTF-8"),
        (COMMON.encode().replace(b"frank", b"fr\xffnk"), "not UTF-8"),
        (b"-", NOT_A_LOG_LINE),
        (COMMON[:-5].encode(), NOT_A_LOG_LINE),
        (COMBINED[:-1].encode(), NOT_A_LOG_LINE),
        (COMBINED[:-1].encode() + b'\\"', NOT_A_LOG_LINE),
        ((COMMON + ' "only a referrer"').encode(), NOT_A_LOG_LINE),
        ((COMMON + " more").encode(), NOT_A_LOG_LINE),
        ((COMMON + ' x "-" "-"').encode(), NOT_A_LOG_LINE),
        ((COMMON + '  "-" "-"').encode(), NOT_A_LOG_LINE),
        ((COMMON[:-4] + ' "-" "-"').encode(), NOT_A_LOG_LINE),
        ((COMMON + ' "-"x"-"').encode(), NOT_A_LOG_LINE),
        ((COMMON + ' "-" x "-"').encode(), NOT_A_LOG_LINE),
        ((COMMON + ' "-"  "-"').encode(), NOT_A_LOG_LINE),
        (COMMON.replace("[", "(").encode(), NOT_A_LOG_LINE),
        (COMBINED.replace(" -0700]", " -0700)").encode(), NOT_A_LOG_LINE),
        (COMMON.replace("- frank", "me fr ank").encode(), NOT_A_LOG_LINE),
        (COMMON.replace("frank", "fr ank").replace("10/Oct", "10/Okt").encode(), NOT_A_TIME),
        (COMMON.replace("frank", "fr ank").replace("10/Oct", "31/Sep").encode(), "does not fit timestamp"),
        (f"www.example.com:80 {COMMON}".encode(), NOT_A_LOG_LINE),
        (f"www.example.com:80 {COMBINED.replace('frank', '-')}".encode(), NOT_A_LOG_LINE),
        (COMMON.replace("127.0.0.1", "10.0.0.1 127.0.0.1").encode(), NOT_A_LOG_LINE),
        (COMMON.replace("127.0.0.1", ", 127.0.0.1").encode(), NOT_A_LOG_LINE),
        (COMMON.replace("/apache_pb.gif", '/"a"').encode(), NOT_A_LOG_LINE),
        (COMMON.replace("10/Oct", "31/Sep").encode(), "does not fit timestamp"),
        (COMMON.replace("10/Oct/2000", "10/Oct/0000").encode(), "does not fit timestamp"),
        (COMMON.replace("13:55:36", "24:00:00").encode(), "does not fit timestamp"),
        (COMMON.replace("10/Oct", "10/Okt").encode(), NOT_A_TIME),
        (COMMON.replace("10/Oct/2000:13:55:36 -0700", "2000-10-10T13:55:36-07:00").encode(), NOT_A_TIME),
        (COMMON.replace("10/Oct/2000:13:55:36 -0700", "-").encode(), NOT_A_TIME),
        (COMMON.replace("-0700", "-07:0").encode(), NOT_A_TIME),
        (COMMON.replace("-0700", "~0700").encode(), NOT_A_TIME),
        (COMMON.replace("10/Oct/", "10-Oct/").encode(), NOT_A_TIME),
        (COMMON.replace("2000:13", "2000;13").encode(), NOT_A_TIME),
        (COMMON.replace(" 200 ", " 2147483648 ").encode(), "does not fit int32"),
        (COMMON.replace(" 200 ", " 0xC8 ").encode(), "does not fit int32"),
        (COMMON.replace("2326", "1.5").encode(), "does not fit int64"),
    ],
)
def test_lines_that_are_refused(parser, line, reason):
    assert read(parser, line) == reason


def test_a_block_of_both_formats_is_read_without_reading_lines_alone(parser, monkeypatch):
    def fail(*arguments):
        raise AssertionError

    some = (COMMON, COMBINED, COMBINED + ' "x"', COMMON + "\r", COMBINED + "\r", COMBINED + " x\r")
    lines = [line.encode() for line in some] * 500
    expected = facts(parse(slow(parser), lines))
    monkeypatch.setattr(parser, "read", fail)

    assert facts(parse(parser, lines)) == expected


def test_one_line_that_is_odd_leaves_its_neighbours_to_the_fast_way(parser, monkeypatch):
    seen = []
    monkeypatch.setattr(parser, "read", lambda text, moment, counted: seen.append(text) or {})
    odd = [COMMON.replace("-0700", "-0760"), COMBINED + "\\", COMMON.replace("200", "2e2"), COMMON + " "]

    parse(parser, [line.encode() for each in odd for line in (COMMON, COMBINED, each)])

    assert seen == odd
