"""The frame of parsers whose values are texts with fields: each field is a text until its column's type is known.

Such a parser says what a value's fields are, twice:

    split   many values at once, into columns of texts; what it can't prove it leaves over
    read    one value, slow and plainly right: decides for all that is left over, and why a value is refused

So does the frame for types: `text_columns` for whole columns, `text_fit` for one text. Tests hold both equal.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s, Options, Parsed, Parser, type_name
from ingest.connectors.parsers.batches import NO_ROWS, batch_of, in_order, nulls_of
from ingest.connectors.parsers.json_fit import Notes, Unfit
from ingest.connectors.parsers.reasons import CUT, EMPTY, NOT_UTF8, Reject
from ingest.connectors.parsers.spans import bytes_of
from ingest.connectors.parsers.text_columns import typed
from ingest.connectors.parsers.text_fit import text_fitter
from ingest.connectors.parsers.utf8 import texts_among

CHUNK = 2 << 20
"""So many bytes are split at a time: enough to make little of what each call costs, few enough to stay in a cache."""

O = TypeVar("O", bound=Options)


@dataclass(frozen=True, slots=True)
class Fields:
    """Values that were split in one way.

    Attributes:
        rows: int64[k], ascending: which of the values that were given.
        columns: name → array[k], a StringArray to be typed, or of the column's type already. A column that is not there
            is null.
        counted: reason → bool[k], which of these values were changed.
    """

    rows: Int64s
    columns: Mapping[str, pa.Array]
    counted: Mapping[str, Bools] = field(default_factory=dict)


class TextParser(Parser[O]):
    """Reads texts with fields.

    A value that is empty or not UTF-8 is a reject, a null value a row of nulls. A text that does not fit its column's
    type without loss makes a reject of its value; see `text_fit`.
    """

    @abc.abstractmethod
    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> list[Fields]:
        """Return the values that could be split, each at most once.

        Args:
            text: n > 0 values, none of them null or empty.
            moments: int64[n], see `Parser.parse_dated`.
            schema: the columns.
        """

    @abc.abstractmethod
    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """Return the fields of one value: name → text, None = null.

        Args:
            text: the value, not empty.
            moment: see `Parser.parse_dated`.
            counted: takes why the value was changed, if it was.

        Raises:
            Reject: with the reason.
        """

    def arrange(
        self, fields: Mapping[str, str | None], schema: pa.Schema, new: dict[str, None]
    ) -> Mapping[str, str | None]:
        """Return column → text for what `read` returned; note in `new` which columns the schema should have.

        Raises:
            Reject: a field has no column, and may not be without one.
        """
        return fields

    def parse(self, values: pa.BinaryArray, schema: pa.Schema) -> Parsed:
        """Parse all values into `schema`."""
        return self.parse_dated(values, schema, np.full(len(values), -1))

    def parse_dated(self, values: pa.BinaryArray, schema: pa.Schema, timestamps: Int64s) -> Parsed:
        """Parse all values into `schema`, with the timestamps of their records."""
        seen = texts_among(values)
        moments = timestamps[seen.rows]
        parts, left, counted = self._columns(seen.text, moments, schema)
        slow = _Rows(self, schema)
        for at in left.tolist():
            slow.add(at, seen.text[at].as_py(), int(moments[at]))
        if slow.new:
            new = tuple(pa.field(name, pa.string()) for name in slow.new)
            return Parsed(nulls_of(schema, 0), NO_ROWS, NO_ROWS, [], new)
        parts = [(seen.rows[rows], batch) for rows, batch in (*parts, slow.batch())]
        rows, table = in_order([*parts, (seen.nulls, nulls_of(schema, len(seen.nulls)))], schema)
        rejects = dict.fromkeys(seen.invalid.tolist(), NOT_UTF8)
        rejects |= {int(seen.rows[at]): reason for at, reason in slow.rejects.items()}
        ascending = sorted(rejects)
        reasons = [rejects[row] for row in ascending]
        return Parsed(table, rows, np.array(ascending, np.int64), reasons, counted=counted + slow.counted)

    def _columns(
        self, text: pa.StringArray, moments: Int64s, schema: pa.Schema
    ) -> tuple[list[tuple[Int64s, pa.RecordBatch]], Int64s, Counter[str]]:
        """Return the values that were read as columns, with their rows, which are left over, and what was changed."""
        parts: list[tuple[Int64s, pa.RecordBatch]] = []
        counted: Counter[str] = Counter()
        left = np.ones(len(text), np.bool_)
        filled = np.flatnonzero(np.diff(bytes_of(text)[1]))
        some = text if len(filled) == len(text) else text.take(pa.array(filled))
        for start, part in _chunks(some):
            numbers = filled[start : start + len(part)]
            for fields in self.split(part, moments[numbers], schema):
                rows, batch, changed = _batch(fields, schema)
                parts.append((numbers[rows], batch))
                left[numbers[rows]] = False
                counted += changed
        return parts, np.flatnonzero(left), counted


def _chunks(text: pa.StringArray) -> Iterator[tuple[int, pa.StringArray]]:
    """Yield parts of about CHUNK bytes, each with the number of its first value."""
    if len(text):
        step = -(-len(text) // (text.nbytes // CHUNK + 1))
        for start in range(0, len(text), step):
            yield start, text.slice(start, step)


def _batch(fields: Fields, schema: pa.Schema) -> tuple[Int64s, pa.RecordBatch, Counter[str]]:
    """Return which values fit their types, their rows, and what was changed in them."""
    size = len(fields.rows)
    arrays, fits, cut = [], np.ones(size, np.bool_), np.zeros(size, np.bool_)
    for column in schema:
        array = fields.columns.get(column.name)
        if array is None:
            array = pa.nulls(size, column.type)
        elif array.type != column.type:
            found = typed(array, column.type)
            array = found.array
            fits = fits if found.fits is None else fits & found.fits
            cut = cut if found.cut is None else cut | found.cut
        arrays.append(array)
    batch, rows = batch_of(arrays, schema, size), fields.rows
    if not fits.all():
        batch, rows = batch.filter(pa.array(fits)), rows[fits]
    changed = {CUT: cut, **fields.counted}
    return rows, batch, Counter({reason: int(np.count_nonzero(which & fits)) for reason, which in changed.items()})


class _Rows:
    """Values that are read one by one.

    Attributes:
        rejects: number of the value → reason.
        counted: what was changed in the others.
        new: names of columns that the schema should have; not empty = the rest is void.
    """

    def __init__(self, parser: TextParser[Any], schema: pa.Schema) -> None:
        self._parser = parser
        self._schema = schema
        self._fitters = {column.name: text_fitter(column.type) for column in schema}
        self._rows: list[int] = []
        self._cells: list[list[Any]] = [[] for _ in schema]
        self.rejects: dict[int, str] = {}
        self.counted: Counter[str] = Counter()
        self.new: dict[str, None] = {}

    def add(self, number: int, text: str, moment: int) -> None:
        """Read one value."""
        changed: Counter[str] = Counter()
        try:
            if not text:
                raise Reject(EMPTY)
            fields = self._parser.arrange(self._parser.read(text, moment, changed), self._schema, self.new)
            cells = [self._fit(column, fields.get(column.name), changed) for column in self._schema]
        except Reject as reject:
            self.rejects[number] = reject.reason
            return
        self._rows.append(number)
        # Once a value, however many times of it were cut.
        self.counted += Counter(dict.fromkeys(changed, 1))
        for cell, others in zip(cells, self._cells, strict=True):
            others.append(cell)

    def _fit(self, column: pa.Field, text: str | None, changed: Counter[str]) -> Any:
        if text is None:
            return None
        notes = Notes()
        try:
            cell = self._fitters[column.name](text, notes)
        except Unfit as unfit:
            raise Reject(f"does not fit {type_name(column.type)}") from unfit
        if notes.cut:
            changed[CUT] += 1
        return cell

    def batch(self) -> tuple[Int64s, pa.RecordBatch]:
        """Return the rows read so far: which values they came from, and their columns."""
        arrays = [pa.array(cells, column.type) for cells, column in zip(self._cells, self._schema, strict=True)]
        return np.array(self._rows, np.int64), batch_of(arrays, self._schema, len(self._rows))
