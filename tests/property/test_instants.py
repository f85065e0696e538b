"""Columns of times against times read one by one."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.instants import Instant, instant_of_number, instant_of_text, instants_of_numbers, instants_of_texts

TWO = st.integers(0, 65).map(lambda number: f"{number:02d}")
ZONES = st.one_of(st.sampled_from(["", "Z", "z", " Z", "+05:45", " -0330", "+24", "-00:00", "+5"]))


@st.composite
def texts(draw):
    year = draw(st.sampled_from(["0000", "0001", "1969", "2026", "9999", "10000", "26"]))
    date = f"{year}-{draw(TWO)}-{draw(TWO)}" if draw(st.booleans()) else f"{year}-11-23"
    if draw(st.integers(0, 5)) == 0:
        return date
    time = draw(st.sampled_from(["T", " ", "t", "X"])) + draw(TWO)
    for _ in range(draw(st.integers(0, 2))):
        time += ":" + draw(TWO)
    if draw(st.booleans()):
        time += draw(st.sampled_from(".,")) + draw(st.text("0129", max_size=11))
    return date + time + draw(ZONES)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.one_of(texts(), st.none(), st.text("0123456789-T:Z+. ", max_size=25)), min_size=1, max_size=3))
def test_a_column_of_texts_means_what_its_texts_mean(column):
    expected = [None if text is None else instant_of_text(text) for text in column]
    try:
        found = instants_of_texts(pa.array(column, pa.string()))
    except pa.ArrowInvalid:
        return
    cut = found.cut if found.cut is not None else np.zeros(len(column), np.bool_)
    us = found.times.cast(pa.int64()).to_pylist()
    assert [
        None if value is None else Instant(value, bool(lost)) for value, lost in zip(us, cut, strict=True)
    ] == expected


@settings(max_examples=1000, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 19).map(lambda power: min(10**power, 2**63 - 1)))
def test_a_column_of_numbers_means_what_its_numbers_mean(number):
    us, cut = instants_of_numbers(np.array([number], np.int64))
    expected = instant_of_number(str(number))
    if expected is None:
        assert not -62_135_596_800_000_000 <= us[0] <= 253_402_300_799_999_999
    else:
        assert (us[0], cut[0]) == (expected.us, expected.cut)


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_seconds_with_a_fraction_are_exact(seconds, micros):
    literal = f"{seconds}.{micros:06d}"
    assert instant_of_number(literal) == Instant(seconds * 1_000_000 + micros)
    assert instant_of_number(f"{literal}9") == Instant(seconds * 1_000_000 + micros, cut=True)


@pytest.mark.parametrize("literal", ["1e99999999999999999999", "1e31", "-1e31", "x", "", "NaN", "Infinity"])
def test_what_is_no_time_is_none(literal):
    assert instant_of_number(literal) is None


def test_sizes_tell_units_apart():
    for unit, power in (("s", 0), ("ms", 3), ("us", 6), ("ns", 9)):
        literal = str(Decimal(1_700_000_000) * 10**power)
        assert instant_of_number(literal) == instant_of_number(literal, unit) == Instant(1_700_000_000_000_000)
