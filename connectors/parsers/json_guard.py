"""A look at all values at once, before they may be read as columns.

pyarrow reads a stream of JSON values, not one value a record, and is not strict. After this look the values that are
left, joined by newlines, are safe for it: as each begins with { and ends with }, none of them yields no row, and two of
them can't merge into one object (after a } inside an object or a list no { may follow, and a string holds no newline).
So as many rows as values proves one row for each value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_value import MAX_DEPTH
from ingest.connectors.parsers.spans import Bytes, bytes_of
from ingest.connectors.parsers.utf8 import texts_among

_OPEN, _CLOSE, _OPEN_LIST = b"{}["
_WHITESPACE = " \t\r\n"
_NOT_NUMBERS = r"-?(?:NaN|Inf)"
_TIDY = 0.99
_WORDS = (b"NaN", b"Inf")


@dataclass(frozen=True, slots=True)
class Look:
    """`text`: StringArray of the values that may be read as columns; `rows`: int64, where they came from; `suspects`:
    int64, ascending, the values that must be read one by one; `nulls`: int64, the values that are null.
    """

    text: pa.StringArray
    rows: Int64s
    suspects: Int64s
    nulls: Int64s


def look(values: pa.BinaryArray) -> Look:
    """Sort values into what may be read as columns and what must be read one by one."""
    seen = texts_among(values)
    text, fine = _objects(seen.text)
    rows, suspects = seen.rows, seen.invalid
    if fine is not None:
        text, rows = text.filter(pa.array(fine)), rows[fine]
        suspects = np.sort(np.concatenate([suspects, seen.rows[~fine]]))
    return Look(text, rows, suspects, seen.nulls)


def _objects(text: pa.StringArray) -> tuple[pa.StringArray, Bools | None]:
    """Return the values without whitespace around them, and which of them look like objects; None = all.

    Where few have whitespace around them, these look like none: to copy all values takes longer than to read a few.
    """
    if not len(text):
        return text, None
    first, last = _edges(text)
    fine: Bools = (first == _OPEN) & (last == _CLOSE)
    if np.count_nonzero(fine) < len(fine) * _TIDY:
        text = pc.ascii_trim(text, characters=_WHITESPACE)
        first, last = _edges(text)
        fine = (first == _OPEN) & (last == _CLOSE)
    content, bounds = bytes_of(text)
    if not content[bounds[0] : bounds[-1]].all():
        fine &= ~pc.match_substring(text, "\0").to_numpy(zero_copy_only=False)
    return text, None if fine.all() else fine


def _edges(text: pa.StringArray) -> tuple[Bytes, Bytes]:
    """Return the first and last byte of each value; 0 for an empty one."""
    content, bounds = bytes_of(text)
    starts, ends = bounds[:-1], bounds[1:]
    filled = ends > starts
    if filled.all():
        return content[starts], content[ends - 1]
    first, last = np.zeros(len(text), np.uint8), np.zeros(len(text), np.uint8)
    first[filled] = content[starts[filled]]
    last[filled] = content[ends[filled] - 1]
    return first, last


def hides_something(text: pa.StringArray) -> Bools:
    """Return which values may hold what pyarrow lets pass in a member it skips: deep nesting, NaN, Infinity."""
    if not len(text):
        return np.empty(0, np.bool_)
    content, bounds = bytes_of(text)
    content, bounds = content[bounds[0] : bounds[-1]], bounds - bounds[0]
    opened = np.flatnonzero((content == _OPEN) | (content == _OPEN_LIST))
    hides: Bools = np.diff(np.searchsorted(opened, bounds)) > MAX_DEPTH
    if any(_holds(content, word) for word in _WORDS):
        bare = pc.match_substring_regex(text, r"[:,\[]\s*" + _NOT_NUMBERS)
        hides |= bare.to_numpy(zero_copy_only=False)
    return hides


def _holds(content: Bytes, word: bytes) -> bool:
    """Return whether the word is anywhere in the bytes."""
    found = content[: len(content) - len(word) + 1] == word[0]
    for place, letter in enumerate(word[1:], 1):
        found &= content[place : len(content) - len(word) + 1 + place] == letter
    return bool(found.any())
