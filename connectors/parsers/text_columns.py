"""Columns of texts into columns of a type. What is accepted here `text_fit` accepts with the same result; what is not
may still be fit: that is for `text_fit` to say, text by text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_fit import Notes, Unfit
from ingest.connectors.parsers.number_columns import LONGEST_INT, WHOLE_LIMITS, Numbers, is_digit, numbers
from ingest.connectors.parsers.spans import bytes_of
from ingest.connectors.parsers.text_fit import keeps_empty, text_fitter
from ingest.connectors.parsers.time_columns import FIRST_US, LAST_US, times_of_numbers, times_of_texts

MOST_DISTINCT = 256
"""So many distinct texts are read one by one where no faster way knows the type; where there are more, none is."""

_DASH = ord("-")
_YEAR = 4
_DATE = 10


@dataclass(frozen=True, slots=True)
class Typed:
    """A column of n: `fits` bool[n], which texts were accepted, None = all, the values of the others mean nothing;
    `cut` bool[n], of which digits of a time were cut, None = of none.
    """

    array: pa.Array
    fits: Bools | None = None
    cut: Bools | None = None


Way: TypeAlias = Callable[[pa.StringArray, pa.DataType], Typed]


def typed(text: pa.StringArray, kind: pa.DataType) -> Typed:
    """Return a column of texts in a type that texts can have; null stays null."""
    if keeps_empty(kind):
        return Typed(text.cast(kind))
    filled = np.diff(bytes_of(text)[1]) > 0
    if text.null_count:
        filled &= text.is_valid().to_numpy(zero_copy_only=False)
    whole = bool(filled.all())
    some = text if whole else text.filter(pa.array(filled))
    if not len(some):
        return Typed(pa.nulls(len(text), kind))
    found = next((way for test, way in _WAYS if test(kind)), _distinct)(some, kind)
    return found if whole else _spread(found, filled)


def _spread(found: Typed, filled: Bools) -> Typed:
    """Return a column of which only the texts that are `filled` were looked at; the others are null."""
    codes = np.cumsum(filled) - 1
    fits, cut = None, None
    if found.fits is not None:
        fits = np.ones(len(filled), np.bool_)
        fits[filled] = found.fits
    if found.cut is not None:
        cut = np.zeros(len(filled), np.bool_)
        cut[filled] = found.cut
    return Typed(found.array.take(pa.array(codes, mask=~filled)), fits, cut)


def _integers(text: pa.StringArray, kind: pa.DataType) -> Typed:
    data, bounds = bytes_of(text)
    if int(np.diff(bounds).max()) <= LONGEST_INT and is_digit(data[bounds[0] : bounds[-1]]).all():
        # Leading zeros too.
        values, fits = text.cast(pa.int64()).to_numpy(), np.ones(len(text), np.bool_)
    else:
        values, fits = _chosen(_numbers(text), pa.int64(), lambda found: found.ints)
    if kind != pa.int64():
        limits = np.iinfo(kind.to_pandas_dtype())
        fits &= (values >= limits.min) & (values <= limits.max)
        values = values.astype(limits.dtype)
    return Typed(_array(values, kind), fits)


def _floats(text: pa.StringArray, kind: pa.DataType) -> Typed:
    values, fits = _chosen(_numbers(text), kind, lambda found: found.valid)
    fits &= np.abs(values) < WHOLE_LIMITS[kind]
    return Typed(_array(values, kind), fits)


def _decimals(text: pa.StringArray, kind: pa.Decimal128Type) -> Typed:
    found = _numbers(text)
    fits = found.decimals(kind)
    codes = np.cumsum(fits) - 1
    return Typed(found.only(fits).text.cast(kind).take(pa.array(codes, mask=~fits)), fits)


def _times(text: pa.StringArray, kind: pa.DataType) -> Typed:
    data, bounds = bytes_of(text)
    starts = bounds[:-1]
    dates = np.diff(bounds) >= _DATE
    dates[dates] = data[starts[dates] + _YEAR] == _DASH
    if dates.all():
        us, fits, cut = times_of_texts(text)
    elif not dates.any():
        us, fits, cut = times_of_numbers(_numbers(text))
    else:
        us, fits, cut = _mixed_times(text, dates)
    return Typed(_array(us, kind), fits & (us >= FIRST_US) & (us <= LAST_US), cut)


def _mixed_times(text: pa.StringArray, dates: Bools) -> tuple[Int64s, Bools, Bools]:
    us, fits, cut = np.zeros(len(text), np.int64), np.zeros(len(text), np.bool_), np.zeros(len(text), np.bool_)
    us[dates], fits[dates], lost = times_of_texts(text.filter(pa.array(dates)))
    cut[dates] = False if lost is None else lost
    us[~dates], fits[~dates], lost = times_of_numbers(_numbers(text.filter(pa.array(~dates))))
    cut[~dates] = False if lost is None else lost
    return us, fits, cut


def _distinct(text: pa.StringArray, kind: pa.DataType) -> Typed:
    """Read each distinct text by the reference, if there are few."""
    found = text.dictionary_encode()
    if len(found.dictionary) > MOST_DISTINCT:
        return Typed(pa.nulls(len(text), kind), np.zeros(len(text), np.bool_))
    fit, values, fits = text_fitter(kind), [], np.ones(len(found.dictionary), np.bool_)
    for number, each in enumerate(found.dictionary.to_pylist()):
        try:
            values.append(fit(each, Notes()))
        except Unfit:
            values.append(None)
            fits[number] = False
    return Typed(pa.array(values, kind).take(found.indices), fits[found.indices.to_numpy()])


def _numbers(text: pa.StringArray) -> Numbers:
    return numbers(text, [len(text)])[0]


def _chosen(
    found: Numbers, kind: pa.DataType, choose: Callable[[Numbers], Bools]
) -> tuple[npt.NDArray[np.generic], Bools]:
    """Return the numbers of a column that are as they should be, as `kind`, 0 for the others, and which these are."""
    fits = choose(found)
    if fits.all():
        return found.text.cast(kind).to_numpy(), fits
    values = np.zeros(len(fits), kind.to_pandas_dtype())
    values[fits] = found.only(fits).text.cast(kind).to_numpy()
    return values, fits


def _array(values: npt.NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


_WAYS: tuple[tuple[Callable[[pa.DataType], bool], Way], ...] = (
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _floats),
    (pa.types.is_timestamp, _times),
    (pa.types.is_decimal, _decimals),
)
