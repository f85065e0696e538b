"""Points in time as people and programs write them → microseconds since 1970 UTC, one or a column at a time.

Texts are ISO 8601 in its extended form: a date, then perhaps `T` or a space and a time down to any number of fraction
digits, then perhaps a zone (`Z`, `+05:45`, `+0545`, `+05`); without a zone they mean UTC. Numbers count seconds,
milliseconds, microseconds or nanoseconds since 1970 UTC, told apart by their size:

    below 10^11  seconds (to the year 5138)     below 10^14  milliseconds (from 1973 on)
    below 10^17  microseconds                   from 10^17   nanoseconds

What lies past the microsecond is cut, never rounded. The calendar has the years 1 to 9999.
"""

from __future__ import annotations

import datetime
import decimal
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.blocks import Bools, Int64s

Unit: TypeAlias = Literal["s", "ms", "us", "ns"]

FIRST_US = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z, the first microsecond of the calendar."""
LAST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999 UTC, inclusive."""

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

_SIZES: tuple[tuple[Unit, int], ...] = (("s", 10**11), ("ms", 10**14), ("us", 10**17))
_POWERS: dict[Unit, int] = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_SCALES = {"s": 1_000_000, "ms": 1_000, "us": 1}
_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?(?: ?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?))?)?",
    re.ASCII,
)
_CUT = r"[.,]\d{6}\d*[1-9]"
_SECOND = datetime.timedelta(seconds=1)
_FIRST_DAY = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  (arithmetic of the calendar, no zone meant)


@dataclass(frozen=True, slots=True)
class Instant:
    """Microseconds since 1970 UTC; `cut` = digits other than 0 were cut."""

    us: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Instants:
    """A column: `times` timestamp[us, UTC] (null stays null), `cut` bool[n] or None when nothing was cut."""

    times: pa.TimestampArray
    cut: Bools | None = None


def instant_of_text(text: str) -> Instant | None:
    """Return the instant that an ISO 8601 text means, or None where it means none in the calendar."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    try:
        local = datetime.datetime(  # noqa: DTZ001  (the zone is applied below)
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError:
        return None
    zone = 0
    if sign:
        if int(zone_hours) > 23 or int(zone_minutes or 0) > 59:
            return None
        zone = (int(zone_hours) * 60 + int(zone_minutes or 0)) * (60 if sign == "+" else -60)
    digits = fraction or ""
    us = ((local - _FIRST_DAY) // _SECOND - zone) * 1_000_000 + int(digits[:6].ljust(6, "0"))
    return _in_calendar(Instant(us, digits[6:].strip("0") != ""))


def instant_of_number(literal: str, unit: Unit | None = None) -> Instant | None:
    """Return the instant that a decimal number means, exactly, or None where it means none in the calendar.

    Args:
        literal: an optional sign, digits, perhaps a fraction, perhaps an exponent.
        unit: what it counts; None = told from its size.
    """
    try:
        number = decimal.Decimal(literal)
    except decimal.InvalidOperation:
        return None
    if number.is_zero():
        return Instant(0)
    if not number.is_finite() or number.adjusted() > 30:
        return None
    if unit is None:
        unit = _unit_of(number)
    exact = decimal.Context(prec=len(literal) + 40, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
    if number.adjusted() < -30:
        return Instant(0, cut=True)
    scaled = number.scaleb(_POWERS[unit], exact)
    return _in_calendar(Instant(int(scaled), scaled != int(scaled)))


def _unit_of(number: decimal.Decimal) -> Unit:
    for unit, limit in _SIZES:
        if number.copy_abs() < limit:
            return unit
    return "ns"


def _in_calendar(instant: Instant) -> Instant | None:
    return instant if FIRST_US <= instant.us <= LAST_US else None


def instants_of_texts(texts: pa.StringArray) -> Instants:
    """Return a column of texts as times, exactly as `instant_of_text` does one by one.

    Raises:
        pa.ArrowInvalid: not all can be read this way (with and without a zone, or no time at all): read one by one.
    """
    mask = pc.match_substring_regex(texts, _CUT)
    cut = mask.fill_null(False).to_numpy(zero_copy_only=False)
    plain = pc.replace_substring_regex(texts, r"[.,](\d{1,6})\d*", r".\1")
    plain = pc.replace_substring_regex(plain, r"(\d) ?[zZ]$", r"\1Z")
    plain = pc.replace_substring_regex(plain, r"(\d) ([+-]\d\d(?::?\d\d)?)$", r"\1\2")
    try:
        times = plain.cast(UTC_MICROSECONDS)
    except pa.ArrowInvalid:
        times = plain.cast(pa.timestamp("us")).cast(UTC_MICROSECONDS)
    return Instants(check_calendar(times), cut if cut.any() else None)


def instants_of_numbers(numbers: Int64s, unit: Unit | None = None) -> tuple[Int64s, Bools]:
    """Return microseconds (int64[n]) and which were cut (bool[n]) for whole numbers.

    What no int64 can hold is held at its ends: absurd stays absurd.
    """
    if unit == "ns":
        return _divided(numbers)
    if unit is not None:
        scale = _SCALES[unit]
        most = np.iinfo(np.int64).max // scale
        return np.clip(numbers, -most, most) * scale, np.zeros(len(numbers), np.bool_)
    result, cut = _divided(numbers)
    for name, limit in reversed(_SIZES):
        fits = (numbers > -limit) & (numbers < limit)
        result[fits] = numbers[fits] * _SCALES[name]
        cut[fits] = False
    return result, cut


def _divided(numbers: Int64s) -> tuple[Int64s, Bools]:
    """Divide by a thousand towards zero."""
    quotient, remainder = np.divmod(numbers, 1_000)
    cut = remainder != 0
    return quotient + (cut & (numbers < 0)), cut


def check_calendar(times: pa.TimestampArray) -> pa.TimestampArray:
    """Return `times`; pa.ArrowInvalid if one lies outside the calendar."""
    ends = pc.min_max(times.cast(pa.int64()))
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is not None and not FIRST_US <= low <= high <= LAST_US:
        raise pa.ArrowInvalid("a time outside the years 1 to 9999")
    return times
