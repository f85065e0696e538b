"""Which values are UTF-8: asked for a whole column at once, by halves only where one is not."""

from __future__ import annotations

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
