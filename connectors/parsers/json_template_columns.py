"""Columns of a schema from cells that are proven to be JSON, each by the way that suits its type.

A cell that does not fit its column makes its line unfit here; the reference decides what becomes of the line. So what
these ways accept may be less than what `json_fit` accepts, never more, and never with another result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_fit import Notes, Unfit, fitter
from ingest.connectors.parsers.json_template_arrays import Coded, Column, Fixed, Pieces
from ingest.connectors.parsers.json_template_cells import ABSENT, FALSE, LIST, NULL, NUMBER, OBJECT, STRING, TRUE, Cells
from ingest.connectors.parsers.json_template_judge import MOST_DISTINCT, NumberCells
from ingest.connectors.parsers.json_value import read_object
from ingest.connectors.parsers.number_columns import NO_NUMBERS, WHOLE_LIMITS, Numbers
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import texts
from ingest.connectors.parsers.time_columns import FIRST_US, LAST_US, times_of_numbers, times_of_texts

Way: TypeAlias = "Callable[[Columns, int, pa.DataType], Column]"


def way(kind: pa.DataType) -> Way:
    """Return how columns of a type are made."""
    for test, found in _WAYS:
        if test(kind):
            return found
    return Columns.distinct


class Columns:
    """Makes columns of the cells of one block.

    Each way takes the number of a lane and a type; afterwards the lines whose cell does not fit the type are unfit.

    Attributes:
        cut: bool[n], lines in which digits of a time were cut.
    """

    def __init__(self, cells: Cells, found: Mapping[int, NumberCells], *, nested_as_text: bool) -> None:
        self.cells = cells
        self.cut = np.zeros(cells.rows, np.bool_)
        self._found = found
        self._nested_as_text = nested_as_text

    def allow(self, lane: int, kinds: int) -> None:
        """Make lines unfit whose cell is neither of these kinds nor null."""
        kinds |= ABSENT | NULL
        if self.cells.held[lane] & ~kinds:
            self.cells.refuse(None, self.cells.kinds[lane] & kinds == 0)

    def strings(self, lane: int, kind: pa.DataType) -> Column:
        """Strings as they are; lists and objects too, where their text is wanted."""
        kinds = STRING | LIST | OBJECT if self._nested_as_text and pa.types.is_string(kind) else STRING
        self.allow(lane, kinds)
        if self.cells.held[lane] & OBJECT:
            # The reference writes characters as they are, wherever it can.
            rows = self.cells.rows_of(lane, OBJECT)
            self.cells.escaped(rows, *self.cells.spans(lane, rows))
        return Pieces(kind, self.cells, lane, kinds)

    def bools(self, lane: int, kind: pa.DataType) -> Column:
        """True and false."""
        self.allow(lane, TRUE | FALSE)
        kinds = self.cells.kinds[lane]
        valid = kinds & (TRUE | FALSE) != 0 if self.cells.held[lane] & ~(TRUE | FALSE) else None
        return Fixed(kind, kinds == TRUE, valid)

    def integers(self, lane: int, kind: pa.DataType) -> Column:
        """Numbers written as whole ones."""
        self.allow(lane, NUMBER)
        rows, found = self._chosen(lane, lambda found: found.ints)
        values = found.text.cast(pa.int64()).to_numpy()
        if kind == pa.int64():
            return self._placed(kind, rows, values)
        limits = np.iinfo(kind.to_pandas_dtype())
        self.cells.refuse(rows, (values < limits.min) | (values > limits.max))
        return self._placed(kind, rows, values.astype(limits.dtype))

    def floats(self, lane: int, kind: pa.DataType) -> Column:
        """Numbers, as far as no whole one can have been rounded."""
        self.allow(lane, NUMBER)
        rows, found = self._chosen(lane, lambda found: found.valid)
        values = found.text.cast(kind).to_numpy()
        self.cells.refuse(rows, ~(np.abs(values) < WHOLE_LIMITS[kind]))
        return self._placed(kind, rows, values)

    def decimals(self, lane: int, kind: pa.DataType) -> Column:
        """Numbers with no digits more than the type has places for."""
        self.allow(lane, NUMBER)
        rows, found = self._chosen(lane, lambda found: found.decimals(kind))
        codes = np.full(self.cells.rows, -1)
        codes[slice(None) if rows is None else rows] = np.arange(len(found.text))
        return Coded(found.text.cast(kind), codes)

    def times(self, lane: int, kind: pa.DataType) -> Column:
        """Strings and numbers."""
        self.allow(lane, NUMBER | STRING)
        us = np.zeros(self.cells.rows, np.int64)
        if lane in self._found:
            cells = self._found[lane]
            self._put(us, cells.rows, *times_of_numbers(cells.found))
        if self.cells.held[lane] & STRING:
            rows = self.cells.rows_of(lane, STRING)
            starts, ends = self.cells.spans(lane, rows)
            if (escaped := self.cells.escaped(rows, starts, ends)) is not None:
                rows = np.flatnonzero(~escaped) if rows is None else rows[~escaped]
                starts, ends = self.cells.spans(lane, rows)
            if len(starts):
                self._put(us, rows, *times_of_texts(texts(self.cells.data, starts + 1, ends - 1, pa.string())))
        valid = self.cells.kinds[lane] & (NUMBER | STRING) != 0 if self.cells.held[lane] & ~(NUMBER | STRING) else None
        return Fixed(kind, us, valid)

    def _put(self, every: Int64s, rows: Int64s | None, us: Int64s, good: Bools, cut: Bools | None) -> None:
        every[slice(None) if rows is None else rows] = us
        self.cells.refuse(rows, ~(good & (us >= FIRST_US) & (us <= LAST_US)))
        if cut is not None:
            self.cut[slice(None) if rows is None else rows] |= cut

    def distinct(self, lane: int, kind: pa.DataType) -> Column:
        """Whatever the reference makes of each distinct text, if there are few."""
        codes = np.full(self.cells.rows, -1)
        rows = np.flatnonzero((self.cells.kinds[lane] & (ABSENT | NULL) == 0) & self.cells.fits)
        found = texts(self.cells.data, *self.cells.spans(lane, rows), pa.string()).dictionary_encode()
        if len(found.dictionary) > MOST_DISTINCT:
            self.cells.fits[rows] = False
            return Coded(pa.nulls(0, kind), codes)
        fit = fitter(kind, nested_as_text=self._nested_as_text)
        values, unfit, cut = [], np.zeros(len(found.dictionary), np.bool_), np.zeros(len(found.dictionary), np.bool_)
        for number, text in enumerate(found.dictionary.to_pylist()):
            notes = Notes()
            try:
                values.append(fit(read_object(b'{"":' + text.encode() + b"}")[""], notes))
            except (Unfit, Reject):
                values.append(None)
                unfit[number] = True
            unfit[number] |= notes.left_out
            cut[number] = notes.cut
        codes[rows] = found.indices.to_numpy()
        self.cells.refuse(rows, unfit[codes[rows]])
        self.cut[rows] |= cut[codes[rows]]
        return Coded(pa.array(values, kind), codes)

    def _chosen(self, lane: int, choose: Callable[[Numbers], Bools]) -> tuple[Int64s | None, Numbers]:
        """Return the numbers of a lane that are as they should be; the lines of the others are unfit."""
        if lane not in self._found:
            return np.empty(0, np.int64), NO_NUMBERS
        rows, found = self._found[lane].rows, self._found[lane].found
        good = choose(found)
        if good.all():
            return rows, found
        self.cells.refuse(rows, ~good)
        return np.flatnonzero(good) if rows is None else rows[good], found.only(good)

    def _placed(self, kind: pa.DataType, rows: Int64s | None, values: npt.NDArray[np.generic]) -> Fixed:
        """Return a column with values in some lines and null in the others."""
        if rows is None:
            return Fixed(kind, values, None)
        every = np.zeros(self.cells.rows, values.dtype)
        every[rows] = values
        valid = np.zeros(self.cells.rows, np.bool_)
        valid[rows] = True
        return Fixed(kind, every, valid)


_WAYS: tuple[tuple[Callable[[pa.DataType], bool], Way], ...] = (
    (pa.types.is_string, Columns.strings),
    (pa.types.is_binary, Columns.strings),
    (pa.types.is_integer, Columns.integers),
    (pa.types.is_floating, Columns.floats),
    (pa.types.is_boolean, Columns.bools),
    (pa.types.is_timestamp, Columns.times),
    (pa.types.is_decimal, Columns.decimals),
)
