"""Which values are UTF-8: asked for a whole column at once, by halves only where one is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.api import Int64s


def as_text(values: pa.BinaryArray) -> pa.StringArray | None:
    """Return the same bytes as strings, without copying, or None if a value is not UTF-8."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def invalid_rows(values: pa.BinaryArray) -> Int64s:
    """Return which values are not UTF-8, ascending: int64[m]."""
    found: list[int] = []
    spans = [(0, len(values))]
    while spans:
        start, end = spans.pop()
        if start == end or as_text(values.slice(start, end - start)) is not None:
            continue
        if end - start == 1:
            found.append(start)
            continue
        middle = (start + end) // 2
        spans += [(middle, end), (start, middle)]
    return np.array(found, np.int64)


@dataclass(frozen=True, slots=True)
class Texts:
    """`text`: StringArray of the values that are UTF-8; `rows`: int64, which values these are; `invalid`: int64, which
    are not UTF-8; `nulls`: int64, which are null; all ascending.
    """

    text: pa.StringArray
    rows: Int64s
    invalid: Int64s
    nulls: Int64s


def texts_among(values: pa.BinaryArray) -> Texts:
    """Sort values into texts, what is none, and nulls."""
    rows = np.arange(len(values), dtype=np.int64)
    nulls = invalid = np.empty(0, np.int64)
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        rows, nulls = rows[~missing], rows[missing]
        values = values.drop_null()
    text = as_text(values)
    if text is None:
        wrong = invalid_rows(values)
        rows, invalid = np.delete(rows, wrong), rows[wrong]
        text = values.take(pa.array(np.delete(np.arange(len(values)), wrong))).cast(pa.string())
    return Texts(text, rows, invalid, nulls)
