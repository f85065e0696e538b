"""Times of syslog that do not say all of when they are: without a year, without a zone.

A line is written before its record is, but for clocks that differ and zones: the year is the latest in which a time is
at most a day after the record's timestamp; the zone does not matter for this choice. Everything is told
twice: for one time, and for columns of them.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.civil import Checked, days, seconds_of

FIRST_MOMENT, LAST_MOMENT = 0, 253_370_764_799_999
"""Timestamps of records, in milliseconds, that a year is taken from, inclusive: to the end of 9998."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (arithmetic of the calendar, no zone meant)
_SECOND = timedelta(seconds=1)
_AHEAD_MS = 86_400_000
"""A time may be so many milliseconds after the timestamp of its record."""
_LEAP = 8
"""Two leap years are so many years apart at most."""
_ANY_YEAR = 2000
_FEBRUARY, _LEAP_DAY = 2, 29


def zone_named(name: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        ValueError: it is not known on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'"{name}" is not a time zone known here; write one such as "Europe/Berlin"') from error


def to_utc(local: datetime, zone: tzinfo) -> datetime:
    """Return a time of a zone as one of UTC, both without saying so; OverflowError where the calendar ends.

    A time that comes twice is the first; one that a clock change skips is counted on from before it.
    """
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def latest(month: int, day: int, clock: timedelta, moment: int) -> datetime | None:
    """Return the time in the latest year that lets it be before its record, or little after; None = it is in no year.

    Args:
        month: 1 to 12.
        day: of the month.
        clock: since midnight.
        moment: milliseconds since 1970, from FIRST_MOMENT to LAST_MOMENT.
    """
    now = EPOCH + timedelta(milliseconds=moment)
    last = now + timedelta(milliseconds=_AHEAD_MS)
    # All days but one are in the first two of these years.
    for year in range(last.year, now.year - _LEAP - 1, -1):
        found = in_year(year, month, day, clock)
        if found is not None and found <= last:
            return found
    return None


def in_year(year: int, month: int, day: int, clock: timedelta) -> datetime | None:
    """Return the time in a year; None = it has no such time."""
    try:
        return datetime(year, month, day) + clock  # noqa: DTZ001  (the zone is applied later)
    except (ValueError, OverflowError):
        return None


def is_known(moments: Int64s) -> Bools:
    """Return which timestamps of records a year can be taken from."""
    known: Bools = (moments >= FIRST_MOMENT) & (moments <= LAST_MOMENT)
    return known


def latest_seconds(month: Int64s, day: Int64s, clock: Int64s, moments: Int64s) -> Checked:
    """Return what `latest` does, as seconds since 1970; of moments that are not known any year's.

    A leap day is left out: its year may be farther away.
    """
    now = np.where(is_known(moments), moments, 0)
    year = now.astype("M8[ms]").astype("M8[Y]").astype(np.int64) + 1970
    _, valid = days(np.full(len(month), _ANY_YEAR), month, day)
    candidates = np.stack([seconds_of(days(each, month, day)[0], clock) for each in (year - 1, year, year + 1)])
    # They ascend, and the first is always right.
    chosen = np.count_nonzero(candidates[1:] * 1000 <= now + _AHEAD_MS, axis=0)
    return candidates[chosen, np.arange(len(chosen))], valid & ((month != _FEBRUARY) | (day != _LEAP_DAY))


def seconds_to_utc(local: Int64s, zone: tzinfo) -> Int64s:
    """Return seconds since 1970 of a zone's clock as seconds since 1970 UTC."""
    if zone is UTC:
        return local
    each, codes = np.unique(local, return_inverse=True)
    moved = [(to_utc(EPOCH + timedelta(seconds=second), zone) - EPOCH) // _SECOND for second in each.tolist()]
    return np.array(moved, np.int64)[codes]
