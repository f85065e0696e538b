"""Columns of texts or numbers into times, as `ingest.instants` understands them, and as fast as they are uniform."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Bools, Int64s, instant_of_text, instants_of_numbers, instants_of_texts
from ingest.connectors.parsers.number_columns import Numbers
from ingest.connectors.parsers.spans import bytes_of

TIME = pa.timestamp("us", tz="UTC")
TIME_AS_DECIMAL = pa.decimal128(38, 9)
"""Seconds with a fraction, read without loss."""


def _us(text: str) -> int:
    instant = instant_of_text(text)
    assert instant is not None
    return instant.us


FIRST_US, LAST_US = _us("0001-01-01T00:00:00Z"), _us("9999-12-31T23:59:59.999999Z")
"""The calendar, both inclusive."""

Times: TypeAlias = tuple[Int64s, Bools, Bools | None]
"""Microseconds since 1970 UTC, int64[n]; bool[n], which of them stand, as far as this way could tell; bool[n], of
which digits were cut, or None.
"""

_NANO_DIGITS = 9
_USUAL = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$"
_WRITTEN = (TIME, pa.timestamp("us"), pa.timestamp("ns", tz="UTC"), pa.timestamp("ns"))
"""With and without a zone; to the microsecond, or beyond it in the years that 64 bits of nanoseconds hold."""


def times_of_texts(texts: pa.StringArray) -> Times:
    """Return what texts mean. Where they are written in several ways, some that mean a time may not stand."""
    every = np.ones(len(texts), np.bool_)
    texts = _with_points(texts)
    longest = texts.slice(int(np.diff(bytes_of(texts)[1]).argmax()), 1)
    for kind in _WRITTEN:
        try:
            # A cast that fails goes through all texts and words an error for each: ask for one first.
            longest.cast(kind)
            found = texts.cast(kind).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            continue
        if kind.unit == "us":
            return found, every, None
        us, rest = np.divmod(found, 1_000)
        return us, every, rest != 0
    try:
        instants = instants_of_texts(texts)
        return instants.times.cast(pa.int64()).to_numpy(), every, instants.cut
    except pa.ArrowInvalid:
        return _usual_times(texts)


def _with_points(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts with points for commas: a time has either before its fraction alone, and no other way."""
    data, bounds = bytes_of(texts)
    commas = np.flatnonzero(data[bounds[0] : bounds[-1]] == ord(",")) + bounds[0]
    if not len(commas):
        return texts
    data = data.copy()
    data[commas] = ord(".")
    return pa.Array.from_buffers(
        texts.type, len(texts), [None, texts.buffers()[1], pa.py_buffer(data)], offset=texts.offset
    )


def _usual_times(texts: pa.StringArray) -> Times:
    us = np.zeros(len(texts), np.int64)
    usual = pc.match_substring_regex(texts, _USUAL).to_numpy(zero_copy_only=False)
    try:
        us[usual] = texts.filter(pa.array(usual)).cast(TIME).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        usual = np.zeros(len(texts), np.bool_)
    return us, usual, None


def times_of_numbers(found: Numbers) -> Times:
    """Return what numbers mean; those with an exponent, or with many digits, do not stand."""
    whole = found.ints
    if whole.all():
        us, cut = _of_ints(found.text.cast(pa.int64()).to_numpy())
        return us, whole, cut
    us, cuts = np.zeros(len(whole), np.int64), np.zeros(len(whole), np.bool_)
    us[whole], cuts[whole] = instants_of_numbers(found.text.filter(pa.array(whole)).cast(pa.int64()).to_numpy())
    parts = found.valid & found.plain & ~found.whole & (found.after <= _NANO_DIGITS)
    parts &= (found.before <= _NANO_DIGITS) | ((found.before == _NANO_DIGITS + 1) & (found.leading < ord("9")))
    us[parts], cuts[parts] = seconds_to_us(found.text.filter(pa.array(parts)).cast(TIME_AS_DECIMAL))
    return us, whole | parts, cuts


def _of_ints(numbers: Int64s) -> tuple[Int64s, Bools | None]:
    """Return what `instants_of_numbers` returns, sooner where all have one unit.

    Units go by size: where the least and the largest have the same one, all between them have it.
    """
    ends = np.array([numbers.min(), numbers.max()])
    us, cut = instants_of_numbers(ends)
    if ends[0] > 0 and not cut.any() and us[0] // ends[0] == us[1] // ends[1]:
        scale = us[0] // ends[0]
        if scale and (ends * scale == us).all():
            return numbers * scale, None
    return instants_of_numbers(numbers)


def seconds_to_us(array: pa.Decimal128Array) -> tuple[Int64s, Bools]:
    """Return seconds with nine digits after the point as microseconds, and which were cut.

    Raises:
        pa.ArrowInvalid: a number too large to be seconds.
    """
    filled = array.fill_null(0)
    halves = np.frombuffer(filled.buffers()[1], np.int64).reshape(-1, 2)[filled.offset : filled.offset + len(filled)]
    nanoseconds, high = halves[:, 0], halves[:, 1]
    if (high != nanoseconds >> 63).any():
        raise pa.ArrowInvalid("more seconds than 64 bits of nanoseconds hold")
    return instants_of_numbers(nanoseconds, "ns")
