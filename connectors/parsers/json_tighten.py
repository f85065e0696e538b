"""Columns as pyarrow's JSON reader gives them, made as strict as the reference, or refused as a whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Instants, Int64s, check_calendar, instants_of_numbers, instants_of_texts
from ingest.connectors.parsers.number_columns import WHOLE_LIMITS
from ingest.connectors.parsers.time_columns import TIME, seconds_to_us

_FIRST_DAY = -719_162
_NO_CUTS: Bools | None = None


class Unreadable(Exception):
    """These values can't be read as columns, as a whole; what is wrong is for the reference to find out."""


def wire_type(kind: pa.DataType) -> pa.DataType:
    """Return the type to ask pyarrow for: a string where its own reading of the type is not ours."""
    return pa.string() if pa.types.is_date32(kind) or pa.types.is_binary(kind) else kind


def tightened(array: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Bools | None]:
    """Return the column in its type, and the rows (bool[n], None = none) in which digits of a time were cut.

    Args:
        array: as read; of `wire_type(kind)`, a timestamp also of string, int64 or `time_columns.TIME_AS_DECIMAL`.
        kind: the column's type.

    Raises:
        Unreadable: pyarrow accepted what the reference would refuse, or may have changed it.
    """
    try:
        if pa.types.is_timestamp(kind):
            instants = _times(array)
            return instants.times, instants.cut
        if pa.types.is_date32(kind):
            return _dates(array), _NO_CUTS
        if pa.types.is_decimal(kind):
            # pyarrow compares the digits that were written with the precision, before it adds those of the scale.
            array.validate(full=True)
            return array, _NO_CUTS
    except pa.ArrowInvalid as error:
        raise Unreadable from error
    if pa.types.is_binary(kind):
        return array.cast(pa.binary()), _NO_CUTS
    _check_floats(array)
    return array, _NO_CUTS


def _dates(array: pa.StringArray) -> pa.Date32Array:
    dates = array.cast(pa.date32())
    days: Int64s = dates.cast(pa.int32()).fill_null(0).to_numpy()
    if len(days) and days.min() < _FIRST_DAY:
        raise Unreadable
    return dates


def _check_floats(array: pa.Array) -> None:
    """Refuse numbers that are infinite, no number at all, or so large that a whole one may have been rounded."""
    if pa.types.is_list(array.type):
        _check_floats(array.flatten())
    elif pa.types.is_struct(array.type):
        for member in array.flatten():
            _check_floats(member)
    limit = WHOLE_LIMITS.get(array.type)
    if limit is not None and not (np.abs(array.fill_null(0).to_numpy(zero_copy_only=False)) < limit).all():
        raise Unreadable


def _times(array: pa.Array) -> Instants:
    if pa.types.is_timestamp(array.type):
        return Instants(check_calendar(array))
    if pa.types.is_string(array.type):
        return instants_of_texts(array)
    if pa.types.is_decimal(array.type):
        return _instants(seconds_to_us(array), array)
    return _instants(instants_of_numbers(array.fill_null(0).to_numpy()), array)


def _instants(numbers: tuple[Int64s, Bools], array: pa.Array) -> Instants:
    us, cut = numbers
    missing = array.is_null().to_numpy(zero_copy_only=False)
    cut = cut & ~missing
    times = check_calendar(pa.array(us, mask=missing).cast(TIME))
    return Instants(times, cut if cut.any() else None)
