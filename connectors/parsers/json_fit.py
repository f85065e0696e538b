"""Whether one JSON value fits a column's type without loss, and what it becomes there.

    int8 … int64        a number with that whole value: 7, 7.0, 7e0; not 1.5, "7", true, 2^70
    double, float       a number; one written as a whole number must be held exactly (2^53 + 1 is not), others become
                        the nearest; not what overflows
    decimal128(p, s)    a number with at most s digits after the point and p in all
    bool                true, false
    string, binary      a string (binary: its UTF-8 bytes)
    date32              "2026-11-23"
    timestamp           a string or a number, see `ingest.instants`; digits past the microsecond are cut and noted
    list, struct, map   a list; an object; an object whose names are the keys (strings)

null fits everything.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from ingest.api import Instant, instant_of_number, instant_of_text
from ingest.connectors.parsers.json_value import Number, Repeated, text_of
from ingest.connectors.parsers.reasons import DUPLICATE, Reject

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FIRST_DAY = datetime.date(1970, 1, 1).toordinal()
_LONGEST_INT = 20
_EXACT = decimal.Context(prec=100)


class Unfit(Exception):
    """The value does not fit the type without loss."""


@dataclass(slots=True)
class Notes:
    """What happened on the way: digits of a time were cut; a struct left members out."""

    cut: bool = False
    left_out: bool = False


Fitter: TypeAlias = Callable[[Any, Notes], Any]
"""Takes a JSON value other than null; returns what pyarrow builds the column from; raises Unfit."""


def fitter(kind: pa.DataType, *, nested_as_text: bool = False) -> Fitter:
    """Return the function for a type.

    Args:
        kind: one that `arrow_type` can name.
        nested_as_text: a string column takes an object or a list as JSON text.

    Raises:
        ValueError: no JSON value can have this type.
    """
    if pa.types.is_string(kind):
        return _string_or_nested if nested_as_text else _string
    for test, simple in _SIMPLE:
        if test(kind):
            return simple
    if pa.types.is_integer(kind):
        return _integers(kind.bit_width)
    if pa.types.is_decimal(kind):
        return _decimals(kind.precision, kind.scale)
    if pa.types.is_list(kind):
        return _lists(fitter(kind.value_type))
    if pa.types.is_struct(kind):
        return _structs({field.name: fitter(field.type) for field in kind})
    if pa.types.is_map(kind) and pa.types.is_string(kind.key_type):
        return _maps(fitter(kind.item_type))
    raise ValueError(f"no JSON value has the type {kind}; the keys of a map are strings")


def _string(value: Any, notes: Notes) -> str:
    if not isinstance(value, str) or isinstance(value, Number):
        raise Unfit
    return value


def _string_or_nested(value: Any, notes: Notes) -> str:
    return text_of(value) if isinstance(value, dict | list) else _string(value, notes)


def _binary(value: Any, notes: Notes) -> bytes:
    return _string(value, notes).encode()


def _bool(value: Any, notes: Notes) -> bool:
    if not isinstance(value, bool):
        raise Unfit
    return value


def _number(value: Any) -> Number:
    if not isinstance(value, Number):
        raise Unfit
    return value


def _integers(bits: int) -> Fitter:
    limit = 1 << (bits - 1)

    def fit(value: Any, notes: Notes) -> int:
        number = _number(value)
        whole = int(number) if number.whole and len(number) <= _LONGEST_INT else _whole(number)
        if not -limit <= whole < limit:
            raise Unfit
        return whole

    return fit


def _exact(number: Number) -> decimal.Decimal:
    """Return the number itself, bounded, so that arithmetic with it stays small."""
    try:
        exact = decimal.Decimal(number)
    except decimal.InvalidOperation as error:
        raise Unfit from error
    if exact and not -400 < exact.adjusted() < 400:
        raise Unfit
    return exact


def _whole(number: Number) -> int:
    exact = _exact(number)
    whole = int(exact)
    if whole != exact:
        raise Unfit
    return whole


def _double(value: Any, notes: Notes) -> float:
    number = _number(value)
    return _held(number, float(number))


def _float(value: Any, notes: Notes) -> float:
    number = _number(value)
    # Straight from the digits: by way of a double it would be rounded twice.
    return _held(number, pa.array([str(number)]).cast(pa.float32())[0].as_py())


def _held(number: Number, result: float) -> float:
    if not math.isfinite(result):
        raise Unfit
    if number.whole and int(result) != _whole(number):
        raise Unfit
    return result


def _decimals(precision: int, scale: int) -> Fitter:
    step = decimal.Decimal(1).scaleb(-scale)
    limit = decimal.Decimal(10) ** (precision - scale)

    def fit(value: Any, notes: Notes) -> decimal.Decimal:
        exact = _exact(_number(value))
        if exact.copy_abs() >= limit:
            raise Unfit
        held = exact.quantize(step, context=_EXACT)
        if held != exact:
            raise Unfit
        return held

    return fit


def _date(value: Any, notes: Notes) -> int:
    text = _string(value, notes)
    if not _DATE.fullmatch(text):
        raise Unfit
    try:
        return datetime.date.fromisoformat(text).toordinal() - _FIRST_DAY
    except ValueError as error:
        raise Unfit from error


def _timestamp(value: Any, notes: Notes) -> int:
    instant: Instant | None = None
    if isinstance(value, Number):
        instant = instant_of_number(value)
    elif isinstance(value, str):
        instant = instant_of_text(value)
    if instant is None:
        raise Unfit
    notes.cut |= instant.cut
    return instant.us


def _lists(item: Fitter) -> Fitter:
    def fit(value: Any, notes: Notes) -> list[Any]:
        if not isinstance(value, list):
            raise Unfit
        return [None if each is None else item(each, notes) for each in value]

    return fit


def _structs(fields: dict[str, Fitter]) -> Fitter:
    def fit(value: Any, notes: Notes) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unfit
        if isinstance(value, Repeated) and value.names & fields.keys():
            raise Reject(DUPLICATE)
        notes.left_out |= any(name not in fields and each is not None for name, each in value.items())
        return {name: None if value.get(name) is None else field(value[name], notes) for name, field in fields.items()}

    return fit


def _maps(item: Fitter) -> Fitter:
    def fit(value: Any, notes: Notes) -> list[tuple[str, Any]]:
        if not isinstance(value, dict):
            raise Unfit
        if isinstance(value, Repeated):
            raise Reject(DUPLICATE)
        return [(name, None if each is None else item(each, notes)) for name, each in value.items()]

    return fit


_SIMPLE: tuple[tuple[Callable[[pa.DataType], bool], Fitter], ...] = (
    (pa.types.is_binary, _binary),
    (pa.types.is_boolean, _bool),
    (pa.types.is_float64, _double),
    (pa.types.is_float32, _float),
    (pa.types.is_date32, _date),
    (pa.types.is_timestamp, _timestamp),
)
