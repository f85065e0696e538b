"""A look at all values at once, before they may be read as columns.

pyarrow reads a stream of JSON values, not one value a record, and is not strict. After this look the values that are
left, joined by newlines, are safe for it: as each begins with { and ends with }, none of them yields no row, and two of
them can't merge into one object (after a } inside an object or a list no { may follow, and a string holds no newline).
So as many rows as values proves one row for each value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_value import MAX_DEPTH
from ingest.connectors.parsers.utf8 import as_text, invalid_rows

_OPEN, _CLOSE = ord("{"), ord("}")
_WHITESPACE = " \t\r\n"
_NOT_NUMBERS = r"-?(?:NaN|Inf)"


@dataclass(frozen=True, slots=True)
class Look:
    """`text`: StringArray of the values that may be read as columns; `rows`: int64, where they came from; `suspects`:
    int64, ascending, the values that must be read one by one; `nulls`: int64, the values that are null.
    """

    text: pa.StringArray
    rows: Int64s
    suspects: Int64s
    nulls: Int64s


def look(values: pa.BinaryArray, *, lenient: bool) -> Look:
    """Sort values into what may be read as columns and what must be read one by one.

    Args:
        values: BinaryArray.
        lenient: pyarrow will be told to skip unknown members, in which it accepts more than JSON.
    """
    rows = np.arange(len(values), dtype=np.int64)
    nulls = np.empty(0, np.int64)
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        rows, nulls = rows[~missing], rows[missing]
        values = values.drop_null()
    good = np.ones(len(rows), np.bool_)
    text = as_text(values)
    if text is None:
        good[invalid_rows(values)] = False
        text = values.filter(pa.array(good)).cast(pa.string())
    text = _trimmed(text)
    fine = _looks_like_object(text)
    if lenient:
        fine &= ~_hides_something(text)
    if not fine.all():
        text = text.filter(pa.array(fine))
    good[good] = fine
    return Look(text, rows[good], rows[~good], nulls)


def _bytes(text: pa.StringArray) -> tuple[npt.NDArray[np.uint8], Int64s, Int64s]:
    """Return the bytes, and where each value starts and ends in them."""
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return content, ends[:-1], ends[1:]


def _edges(text: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the first and last byte of each value; 0 for an empty one."""
    content, starts, ends = _bytes(text)
    filled = ends > starts
    first, last = np.zeros(len(text), np.uint8), np.zeros(len(text), np.uint8)
    first[filled] = content[starts[filled]]
    last[filled] = content[ends[filled] - 1]
    return first, last


def _trimmed(text: pa.StringArray) -> pa.StringArray:
    if not len(text):
        return text
    first, last = _edges(text)
    if (first == _OPEN).all() and (last == _CLOSE).all():
        return text
    return pc.ascii_trim(text, characters=_WHITESPACE)


def _looks_like_object(text: pa.StringArray) -> Bools:
    if not len(text):
        return np.empty(0, np.bool_)
    first, last = _edges(text)
    fine: Bools = (first == _OPEN) & (last == _CLOSE)
    content, starts, ends = _bytes(text)
    if not content[starts[0] : ends[-1]].all():
        fine &= ~pc.match_substring(text, "\0").to_numpy(zero_copy_only=False)
    return fine


def _hides_something(text: pa.StringArray) -> Bools:
    """Return which values may hold what pyarrow lets pass in a member it skips: deep nesting, NaN, Infinity."""
    if not len(text):
        return np.empty(0, np.bool_)
    opened = pc.add(pc.count_substring(text, "{"), pc.count_substring(text, "["))
    hides: Bools = pc.greater(opened, MAX_DEPTH).to_numpy(zero_copy_only=False)
    for word in ("NaN", "Inf"):
        named = pc.match_substring(text, word)
        if pc.any(named).as_py():
            bare = pc.match_substring_regex(text, r"[:,\[]\s*" + _NOT_NUMBERS)
            hides |= bare.to_numpy(zero_copy_only=False)
            break
    return hides
