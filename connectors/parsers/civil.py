"""Dates and times of the calendar in columns of digits: no zone, no format."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.number_columns import is_digit
from ingest.connectors.parsers.spans import Bytes

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Checked: TypeAlias = tuple[Int64s, Bools]
"""Numbers, and which of them mean something."""

_CODES = np.array([int.from_bytes(month.encode()) for month in MONTHS])
_ORDER = np.argsort(_CODES)
_YEAR_0 = -1970 * 12
_ZERO = ord("0")
_DAY = 86_400


def digits(text: Bytes) -> Checked:
    """Return the number that each row of uint8[n, k] writes with k digits."""
    values = (text - _ZERO).astype(np.int64) @ 10 ** np.arange(text.shape[1])[::-1]
    good: Bools = np.all(is_digit(text), axis=1)
    return values, good


def months(text: Bytes) -> Checked:
    """Return the month, 1 to 12, that each row of uint8[n, 3] names in English."""
    codes = text.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    found = np.minimum(np.searchsorted(_CODES, codes, sorter=_ORDER), len(MONTHS) - 1)
    return _ORDER[found] + 1, _CODES[_ORDER[found]] == codes


def days(year: Int64s, month: Int64s, day: Int64s) -> Checked:
    """Return the days from 1970-01-01 to a date; years from 1 on, months from 1 to 12."""
    number = _YEAR_0 + 12 * year + month - 1
    first, after = _first_day(number), _first_day(number + 1)
    return first + day - 1, (year >= 1) & (day >= 1) & (day <= after - first)


def _first_day(month: Int64s) -> Int64s:
    found: npt.NDArray[np.datetime64] = month.astype("M8[M]").astype("M8[D]")
    return found.astype(np.int64)


def clock(text: Bytes) -> Checked:
    """Return the seconds since midnight that each row of uint8[n, 8] writes as HH:MM:SS."""
    (hour, first), (minute, second), (seconds, third) = digits(text[:, 0:2]), digits(text[:, 3:5]), digits(text[:, 6:8])
    good = first & second & third & (text[:, 2] == ord(":")) & (text[:, 5] == ord(":"))
    good &= (hour < 24) & (minute < 60) & (seconds < 60)
    return hour * 3600 + minute * 60 + seconds, good


def seconds_of(day: Int64s, second: Int64s) -> Int64s:
    """Return seconds since 1970 for days since 1970 and seconds since midnight."""
    return day * _DAY + second
