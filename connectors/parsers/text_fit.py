"""Whether one text fits a column's type without loss, and what it becomes there.

    string, binary      as it is (binary: its UTF-8 bytes)
    numbers             a decimal number, by the rules of `json_fit`; also with a plus, leading zeros, and digits on one
                        side of the point only: +7, 007, .5, 5.; never hexadecimal, inf, nan
    bool                true, false, in any case of letters
    date32              "2026-11-23"
    timestamp           ISO 8601, or a number, see `ingest.instants`; digits past the microsecond are cut and noted

An empty text is null, but in columns of strings and binaries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ingest.api import type_name
from ingest.connectors.parsers.json_fit import Fitter, Notes, fitter
from ingest.connectors.parsers.json_value import Number

_NUMBER = re.compile(r"([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))([eE][+-]?\d+)?", re.ASCII)
_BOOLS = {"true": True, "false": False}


def text_fitter(kind: pa.DataType) -> Fitter:
    """Return the function for a type: takes a text, returns what pyarrow builds the column from; raises Unfit.

    Raises:
        ValueError: no text can have this type.
    """
    if pa.types.is_nested(kind):
        raise ValueError(f"no text has the type {type_name(kind)}")
    fit = fitter(kind)
    if keeps_empty(kind):
        return fit
    meaning = next((meaning for test, meaning in _MEANINGS if test(kind)), _number)

    def fit_text(text: str, notes: Notes) -> Any:
        return fit(meaning(text), notes) if text else None

    return fit_text


def keeps_empty(kind: pa.DataType) -> bool:
    """Return whether an empty text is a value of the type."""
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _number(text: str) -> Number | None:
    """Return a number as JSON writes it, or None where the text is none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, alone, exponent = match.groups()
    digits = fraction or alone
    return Number(f"{sign.strip('+')}{(whole or '').lstrip('0') or 0}{f'.{digits}' if digits else ''}{exponent or ''}")


_MEANINGS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[str], Any]], ...] = (
    (pa.types.is_boolean, lambda text: _BOOLS.get(text.lower())),
    (pa.types.is_date32, str),
    (pa.types.is_timestamp, lambda text: _number(text) or text),
)
