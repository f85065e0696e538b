"""Which columns to propose for members that no column holds yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ingest.api import arrow_type, instant_of_text
from ingest.connectors.parsers.json_value import Number

_INT64 = 1 << 63
_LONGEST_INT = 20
_LONGEST_NAME = 255


def worth_a_column(name: str, taken: set[str], room: bool) -> bool:
    """Return whether a member may become a column of its own rather than stay in `rest`.

    Not without room, not without a name, not with a name that no file system of columns copes with, and not where it
    differs from a column's only in case: many readers do not tell those apart.

    Args:
        name: of the member.
        taken: names of columns, casefolded.
        room: whether there may be more columns.
    """
    return room and bool(name) and len(name) <= _LONGEST_NAME and name.isprintable() and name.casefold() not in taken


def propose(found: Mapping[str, Sequence[Any]]) -> list[pa.Field]:
    """Return a column for each name, in order; the values are all of a block that are not null, at least one each."""
    return [pa.field(name, proposed_type(values)) for name, values in found.items()]


def proposed_type(values: Sequence[Any]) -> pa.DataType:
    """Return the type for values of which the first decides the kind; those of other kinds will go to `rest`.

    Numbers are int64 if all of them are whole numbers that fit, else double. Strings are timestamp if all of them hold
    a date and a time, else string. Objects and lists become strings of JSON text.
    """
    first = values[0]
    if isinstance(first, bool):
        return arrow_type("bool")
    if isinstance(first, Number):
        numbers = [value for value in values if isinstance(value, Number)]
        return arrow_type("int64" if all(map(_fits_int64, numbers)) else "double")
    if isinstance(first, str):
        texts = [value for value in values if isinstance(value, str) and not isinstance(value, Number)]
        return arrow_type("timestamp" if all(map(_is_time, texts)) else "string")
    return arrow_type("string")


def _fits_int64(number: Number) -> bool:
    return number.whole and len(number) <= _LONGEST_INT and -_INT64 <= int(number) < _INT64


def _is_time(text: str) -> bool:
    return ":" in text and instant_of_text(text) is not None
