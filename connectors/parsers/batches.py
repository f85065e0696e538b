"""Rows of a schema, put together from parts that were read in different ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.api import Int64s

NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows read as columns: which of the values, int64[k], ascending; `cut`: rows with digits of a time cut."""

    rows: Int64s
    batch: pa.RecordBatch
    cut: int


def batch_of(arrays: list[pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Return the columns as a batch of so many rows, even where there is no column."""
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def nulls_of(schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Return so many rows without a value."""
    return batch_of([pa.nulls(rows, column.type) for column in schema], schema, rows)


def in_order(parts: Sequence[tuple[Int64s, pa.RecordBatch]], schema: pa.Schema) -> tuple[Int64s, pa.RecordBatch]:
    """Return the rows of all parts as one batch, in the order of the values they came from, and these.

    Args:
        parts: which values, int64[k], ascending, and their rows.
        schema: of all of them.
    """
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return NO_ROWS, nulls_of(schema, 0)
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part for part, _ in parts])
    arrays = [pa.concat_arrays([batch.column(index) for _, batch in parts]) for index in range(len(schema))]
    if not (rows[1:] > rows[:-1]).all():
        order = np.argsort(rows, kind="stable")
        rows, arrays = rows[order], [array.take(pa.array(order)) for array in arrays]
    return rows, batch_of(arrays, schema, len(rows))
