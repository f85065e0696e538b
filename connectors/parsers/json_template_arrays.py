"""Columns in the making: how values become Arrow arrays once it is known which lines are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.escapes import unescaped
from ingest.connectors.parsers.json_template_cells import STRING, Cells
from ingest.connectors.parsers.spans import bitmap, string_columns


class Column(Protocol):
    """A value or null for each of n lines; for those that do not fit, anything."""

    def array(self, rows: Int64s | None) -> pa.Array:
        """Return the values of some lines, ascending; None = of all."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Values of one width: `values` bool[n], or numbers as Arrow holds them; `valid` bool[n], None = all."""

    kind: pa.DataType
    values: npt.NDArray[np.generic]
    valid: Bools | None

    def array(self, rows: Int64s | None) -> pa.Array:
        """See `Column`."""
        values = self.values if rows is None else self.values[rows]
        valid = self.valid if rows is None or self.valid is None else self.valid[rows]
        if values.dtype == np.bool_:
            content = pa.py_buffer(np.packbits(values.view(np.bool_), bitorder="little"))
        else:
            content = pa.py_buffer(np.ascontiguousarray(values))
        return pa.Array.from_buffers(self.kind, len(values), [bitmap(valid), content])


@dataclass(frozen=True, slots=True)
class Pieces:
    """Texts that are where they were: of the given kinds, strings without their quotes; of other kinds null."""

    kind: pa.DataType
    cells: Cells
    lane: int
    kinds: int

    def spans(self, rows: Int64s | None) -> tuple[Int64s, Int64s, Bools]:
        """Return where the texts start and end, and which are not null."""
        starts, ends = self.cells.spans(self.lane, rows)
        if self.cells.held[self.lane] == STRING:
            return starts + 1, ends - 1, np.ones(len(starts), np.bool_)
        kinds = self.cells.kinds[self.lane] if rows is None else self.cells.kinds[self.lane][rows]
        strings, present = kinds == STRING, kinds & self.kinds != 0
        starts = starts + strings
        return starts, np.where(present, ends - strings, starts), present

    def array(self, rows: Int64s | None) -> pa.Array:
        """See `Column`."""
        return _copied([self], rows)[0]


@dataclass(frozen=True, slots=True)
class Coded:
    """Values by number: `codes` int64[n] into `values`, -1 = null."""

    values: pa.Array
    codes: Int64s

    def array(self, rows: Int64s | None) -> pa.Array:
        """See `Column`."""
        codes = self.codes if rows is None else self.codes[rows]
        return self.values.take(pa.array(codes, mask=codes < 0))


@dataclass(frozen=True, slots=True)
class Nulls:
    """Nothing: `size` nulls."""

    kind: pa.DataType
    size: int

    def array(self, rows: Int64s | None) -> pa.Array:
        """See `Column`."""
        return pa.nulls(self.size if rows is None else len(rows), self.kind)


def arrays_of(columns: Sequence[Column], rows: Int64s | None) -> list[pa.Array]:
    """Return the values that all columns have in some lines; None = in all."""
    pieces = [column for column in columns if isinstance(column, Pieces)]
    copied = iter(_copied(pieces, rows))
    return [next(copied) if isinstance(column, Pieces) else column.array(rows) for column in columns]


def _copied(columns: Sequence[Pieces], rows: Int64s | None) -> list[pa.Array]:
    """Return the texts of all columns, copied at once: a call for each column costs more than what it does."""
    if not columns:
        return []
    spans = [column.spans(rows) for column in columns]
    starts, ends, present = (np.stack(each) for each in zip(*spans, strict=True))
    parts = string_columns(columns[0].cells.data, starts, ends, present)
    if len(columns[0].cells.scan.escapes):
        parts = [unescaped(part) for part in parts]
    return [
        part if column.kind == pa.string() else part.cast(column.kind)
        for part, column in zip(parts, columns, strict=True)
    ]
