import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.cron import Cron, validate_cron, zone_named


def due(text, start, count, zone="UTC"):
    """The next `count` times after `start`, as "YYYY-MM-DD HH:MM+offset" in the zone."""
    tz = ZoneInfo(zone)
    moment = datetime.fromisoformat(start)
    moment = moment.replace(tzinfo=tz) if moment.tzinfo is None else moment
    cron, found = Cron.parse(text), []
    for _ in range(count):
        moment = cron.next_after(moment, tz)
        local = moment.astimezone(tz)
        found.append(local.strftime("%Y-%m-%d %H:%M") + (local.strftime("%z")[:5] if zone != "UTC" else ""))
    return found


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("* * * * *", "2026-01-01 00:00", ["2026-01-01 00:01", "2026-01-01 00:02"]),
        ("*/20 * * * *", "2026-01-01 00:05", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("5,50-52 1 * * *", "2026-01-01 01:05", ["2026-01-01 01:50", "2026-01-01 01:51", "2026-01-01 01:52"]),
        ("0 8-18/5 * * *", "2026-01-01 00:00", ["2026-01-01 08:00", "2026-01-01 13:00", "2026-01-01 18:00"]),
        ("@hourly", "2026-01-01 23:59", ["2026-01-02 00:00", "2026-01-02 01:00"]),
        ("@daily", "2026-01-01 00:00", ["2026-01-02 00:00"]),
        ("@Midnight", "2026-01-01 00:00", ["2026-01-02 00:00"]),
        ("@weekly", "2026-11-23 00:00", ["2026-11-29 00:00"]),
        ("@monthly", "2026-11-23 00:00", ["2026-12-01 00:00"]),
        ("@yearly", "2026-11-23 00:00", ["2027-01-01 00:00"]),
        ("@annually", "2026-11-23 00:00", ["2027-01-01 00:00"]),
        # 0 and 7 and sun are Sunday: 2026-11-29 is one
        ("0 0 * * 0", "2026-11-23 00:00", ["2026-11-29 00:00", "2026-12-06 00:00"]),
        ("0 0 * * 7", "2026-11-23 00:00", ["2026-11-29 00:00"]),
        ("0 0 * * SUN", "2026-11-23 00:00", ["2026-11-29 00:00"]),
        ("0 0 * * 1", "2026-11-23 00:00", ["2026-11-30 00:00"]),
        ("0 0 * * 5-7", "2026-11-23 00:00", ["2026-11-27 00:00", "2026-11-28 00:00", "2026-11-29 00:00"]),
        ("0 0 * * fri-sun", "2026-11-23 00:00", ["2026-11-27 00:00", "2026-11-28 00:00", "2026-11-29 00:00"]),
        ("0 0 * * sun-mon", "2026-11-28 00:00", ["2026-11-29 00:00", "2026-11-30 00:00", "2026-12-06 00:00"]),
        ("0 0 * * mon,wed", "2026-11-23 00:00", ["2026-11-25 00:00", "2026-11-30 00:00"]),
        # both days restricted: either; one of them with a star: both
        ("0 0 13 * 5", "2026-11-01 00:00", ["2026-11-06 00:00", "2026-11-13 00:00", "2026-11-20 00:00"]),
        ("0 0 15 * 5", "2026-11-10 00:00", ["2026-11-13 00:00", "2026-11-15 00:00", "2026-11-20 00:00"]),
        ("0 0 */2 * 1", "2026-11-01 00:00", ["2026-11-09 00:00", "2026-11-23 00:00"]),
        ("0 0 1-7 * *", "2026-11-06 00:00", ["2026-11-07 00:00", "2026-12-01 00:00"]),
        # ends of months and leap years
        ("0 0 31 * *", "2026-01-31 00:00", ["2026-03-31 00:00", "2026-05-31 00:00"]),
        ("59 23 28-31 2 *", "2028-02-28 12:00", ["2028-02-28 23:59", "2028-02-29 23:59", "2029-02-28 23:59"]),
        ("0 0 29 2 *", "2026-11-23 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 29 feb *", "2096-03-01 00:00", ["2104-02-29 00:00"]),
        ("0 0 29 2 */7", "2026-01-01 00:00", ["2032-02-29 00:00", "2060-02-29 00:00"]),
        ("0 12 1 jan-mar,dec *", "2026-02-02 00:00", ["2026-03-01 12:00", "2026-12-01 12:00"]),
    ],
)
def test_due_times_follow_the_fields(text, start, expected):
    assert due(text, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        # Berlin 2026-03-29: 02:00 becomes 03:00
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 12:00",
            ["2026-03-29 03:00+0200", "2026-03-30 02:30+0200"],
        ),
        ("*/10 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00+0200", "2026-03-30 02:00+0200"]),
        (
            "30 2,3 * * *",
            "Europe/Berlin",
            "2026-03-28 12:00",
            ["2026-03-29 03:00+0200", "2026-03-29 03:30+0200", "2026-03-30 02:30+0200"],
        ),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00+0200", "2026-03-30 02:00+0200"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-29 00:30", ["2026-03-29 03:00+0200", "2026-03-29 04:00+0200"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29 00:45", ["2026-03-29 01:30+0100", "2026-03-29 03:30+0200"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-29 00:45", ["2026-03-29 01:00+0100", "2026-03-29 03:00+0200"]),
        # a skipped time of a day that does not match is not made up for
        ("30 2 * * 1", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-30 02:30+0200"]),
        # Berlin 2026-10-25: 03:00 becomes 02:00
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24 12:00",
            ["2026-10-25 02:30+0200", "2026-10-26 02:30+0100"],
        ),
        ("0 3 * * *", "Europe/Berlin", "2026-10-24 12:00", ["2026-10-25 03:00+0100"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25 01:45",
            ["2026-10-25 02:30+0200", "2026-10-25 02:30+0100", "2026-10-25 03:30+0100"],
        ),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25 02:15", ["2026-10-25 02:30+0200", "2026-10-26 02:00+0100"]),
        # asked from within the second copy: the fixed time was due in the first
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10+00:00", ["2026-10-26 02:30+0100"]),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T01:10+00:00", ["2026-10-25 02:30+0100"]),
        # New York 2026-03-08 and 2026-11-01
        ("15 2 * * *", "America/New_York", "2026-03-07 12:00", ["2026-03-08 03:00-0400", "2026-03-09 02:15-0400"]),
        ("15 1 * * *", "America/New_York", "2026-10-31 12:00", ["2026-11-01 01:15-0400", "2026-11-02 01:15-0500"]),
        # Lord Howe: half an hour, 2026-10-04 02:00 becomes 02:30, 2026-04-05 02:00 becomes 01:30
        ("10 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", ["2026-10-04 02:30+1100", "2026-10-05 02:10+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", ["2026-04-05 01:45+1100", "2026-04-06 01:45+1030"]),
        (
            "45 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05 00:50",
            ["2026-04-05 01:45+1100", "2026-04-05 01:45+1030", "2026-04-05 02:45+1030"],
        ),
        # midnight itself is skipped: Santiago 2026-09-06 00:00 becomes 01:00
        ("0 0 * * *", "America/Santiago", "2026-09-05 12:00", ["2026-09-06 01:00-0300", "2026-09-07 00:00-0300"]),
        # asked in the very minute before the change, and at it
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:30+00:00", ["2026-03-29 03:00+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00+00:00", ["2026-03-30 02:30+0200"]),
        # no summer time, odd offset
        ("0 0 * * *", "Asia/Kathmandu", "2026-09-05 12:00", ["2026-09-06 00:00+0545"]),
        # a whole day that a zone left out
        ("0 12 * * *", "Pacific/Apia", "2011-12-29 13:00", ["2011-12-31 00:00+1400", "2011-12-31 12:00+1400"]),
    ],
)
def test_due_times_over_clock_changes(text, zone, start, expected):
    assert due(text, start, len(expected), zone) == expected


def test_asked_inside_a_repeated_hour_the_first_copy_of_a_fixed_time_is_still_due():
    berlin = ZoneInfo("Europe/Berlin")
    first_copy = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)

    assert Cron.parse("30 2 * * *").next_after(first_copy, berlin) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("60 * * * *", "minute: 60 does not lie between 0 and 59"),
        ("* 24 * * *", "hour: 24"),
        ("* * 0 * *", "day of month: 0"),
        ("* * * 13 *", "month: 13"),
        ("* * * * 8", "day of week: 8"),
        ("* * * foo *", 'month: "foo" is not a number; names are jan'),
        ("* * * * monday", '"monday" is not a number; names are sun'),
        ("x * * * *", 'minute: "x" is not a number'),
        ("*/0 * * * *", "a step must lie between 1 and 59"),
        ("*/61 * * * *", "a step must lie"),
        ("5/10 * * * *", 'write "5-59/10"'),
        ("30-10 * * * *", "runs backwards"),
        ("* * * * 5-1", "runs backwards"),
        ("*-5 * * * *", "minute: expected"),
        ("1,,2 * * * *", "minute: expected"),
        ("* * L * *", 'day of month: "l"'),
        ("-1 * * * *", "minute: expected"),
        ("٣ * * * *", "minute: expected"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("@reboot", "none of @hourly"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_field_and_the_reason(text, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        validate_cron(text)


def test_a_good_expression_is_accepted():
    assert validate_cron("0 * * * *") is None


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused_by_name(name):
    with pytest.raises(ValueError, match="is not a time zone known here"):
        zone_named(name)


def test_utc_needs_no_zone_data(monkeypatch):
    monkeypatch.setattr("ingest.cron.ZoneInfo", None)

    assert zone_named("UTC") is UTC


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"]


@settings(max_examples=150, deadline=None)
@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - made aware below
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 59),
)
def test_an_hourly_expression_is_due_exactly_when_the_wall_clock_says_so(start, zone, minute):
    tz = ZoneInfo(zone)
    start = start.replace(tzinfo=UTC)
    step = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while step.astimezone(tz).minute != minute:
        step += timedelta(minutes=1)

    assert Cron.parse(f"{minute} * * * *").next_after(start, tz) == step


@settings(max_examples=60, deadline=None)
@given(
    year=st.integers(2020, 2030),
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_a_daily_expression_is_due_once_on_each_day_of_a_year(year, zone, hour, minute):
    tz = ZoneInfo(zone)
    moment = datetime(year, 1, 1, tzinfo=tz) - timedelta(seconds=1)
    cron, days = Cron.parse(f"{minute} {hour} * * *"), []
    while (moment := cron.next_after(moment, tz)).astimezone(tz).year == year:
        days.append(moment.astimezone(tz).date())

    assert days == sorted(set(days))
    assert len(days) == (366 if year % 4 == 0 else 365)
