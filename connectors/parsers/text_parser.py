"""The frame of parsers whose values are texts with fields: each field is a text until its column's type is known.

Such a parser says what a value's fields are, twice:

    split   many values at once, into columns of texts; what it can't prove it leaves over
    read    one value, slow and plainly right: decides for all that is left over, and why a value is refused

So does the frame for types: `text_columns` for whole columns, `text_fit` for one text. Tests hold both equal.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s, Options, Parsed, Parser, type_name
from ingest.connectors.parsers.batches import NO_ROWS, batch_of, in_order, nulls_of
from ingest.connectors.parsers.json_fit import Fitter, Notes, Unfit
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

    def only(self, chosen: Bools) -> Fields:
        """Return some of the values: bool[k]."""
        if chosen.all():
            return self
        mask = pa.array(chosen)
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return Fields(self.rows[chosen], columns, {reason: which[chosen] for reason, which in self.counted.items()})


@dataclass(frozen=True, slots=True)
class Refused:
    """Values that are surely rejects: `rows` int64[k], which of those given, and the one `reason` of all."""

    rows: Int64s
    reason: str


class Columns:
    """The columns of a schema, and those that it should have as the values of a block show one by one.

    Attributes:
        names: of the schema's.
        taken: of all, casefolded.
        new: of those that it should have, in order.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.names = frozenset(schema.names)
        self.taken = {name.casefold() for name in self.names}
        self.new: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Note that the schema should have one more."""
        self.new[name] = None
        self.taken.add(name.casefold())


class TextParser(Parser[O]):
    """Reads texts with fields.

    A value that is empty or not UTF-8 is a reject, a null value a row of nulls. A text that does not fit its column's
    type without loss makes a reject of its value; see `text_fit`.
    """

    @abc.abstractmethod
    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> Sequence[Fields | Refused]:
        """Return what can be said of values without reading them one by one, of each at most once.

        What is split has the fields that `read` finds; whether these fit their types is not asked here.

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

    def arrange(self, fields: Mapping[str, str | None], columns: Columns) -> Mapping[str, str | None]:
        """Return column → text for what `read` returned; note which columns the schema should have.

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
        block = _Block(self, schema, seen.text, timestamps[seen.rows])
        block.split()
        block.read()
        if block.columns.new:
            new = tuple(pa.field(name, pa.string()) for name in block.columns.new)
            return Parsed(nulls_of(schema, 0), NO_ROWS, NO_ROWS, [], new)
        parts = [(seen.rows[numbers], batch) for numbers, batch in block.parts]
        rows, table = in_order([*parts, (seen.nulls, nulls_of(schema, len(seen.nulls)))], schema)
        rejects = dict.fromkeys(seen.invalid.tolist(), NOT_UTF8)
        rejects |= {int(seen.rows[number]): reason for number, reason in block.rejects.items()}
        refused = sorted(rejects)
        return Parsed(
            table, rows, np.array(refused, np.int64), [rejects[row] for row in refused], counted=block.counted
        )


class _Block:
    """n texts on their way into the columns of a schema.

    Attributes:
        parts: rows that were made, with the numbers of their values, ascending.
        rejects: number of a value → reason.
        counted: reason → how many of the accepted values were changed.
        columns: those of the schema; where it should have more, the rest is void.
    """

    def __init__(self, parser: TextParser[Any], schema: pa.Schema, text: pa.StringArray, moments: Int64s) -> None:
        self._parser = parser
        self._schema = schema
        self._text = text
        self._moments = moments
        self._left = np.ones(len(text), np.bool_)
        self._misfits: dict[int, _Misfit] = {}
        self.parts: list[tuple[Int64s, pa.RecordBatch]] = []
        self.rejects: dict[int, str] = {}
        self.counted: Counter[str] = Counter()
        self.columns = Columns(schema)

    def split(self) -> None:
        """Make rows of what can be split and typed in columns."""
        filled = np.flatnonzero(np.diff(bytes_of(self._text)[1]))
        text = self._text if len(filled) == len(self._text) else self._text.take(pa.array(filled))
        for start, part in _chunks(text):
            numbers = filled[start : start + len(part)]
            for found in self._parser.split(part, self._moments[numbers], self._schema):
                if isinstance(found, Fields):
                    self._type(found, numbers[found.rows])
                else:
                    self.rejects |= dict.fromkeys(numbers[found.rows].tolist(), found.reason)
                    self._left[numbers[found.rows]] = False

    def _type(self, fields: Fields, numbers: Int64s) -> None:
        """Make rows of fields; those that do not fit their types as columns are kept for `read`."""
        arrays, fits, cut = [], np.ones(len(numbers), np.bool_), np.zeros(len(numbers), np.bool_)
        for column in self._schema:
            array = fields.columns.get(column.name)
            if array is None:
                array = pa.nulls(len(numbers), column.type)
            elif array.type != column.type:
                found = typed(array, column.type)
                array = found.array
                fits = fits if found.fits is None else fits & found.fits
                cut = cut if found.cut is None else cut | found.cut
            arrays.append(array)
        batch, changed = batch_of(arrays, self._schema, len(numbers)), {CUT: cut, **fields.counted}
        self._left[numbers[fits]] = False
        if not fits.all():
            for at in np.flatnonzero(~fits).tolist():
                texts = {name: column[at].as_py() for name, column in fields.columns.items()}
                self._misfits[int(numbers[at])] = _Misfit(
                    texts, [why for why, rows in fields.counted.items() if rows[at]]
                )
            batch = batch.filter(pa.array(fits))
        self.parts.append((numbers[fits], batch))
        self.counted += Counter({reason: int(np.count_nonzero(rows & fits)) for reason, rows in changed.items()})

    def read(self) -> None:
        """Make rows of the values that are left, one by one."""
        fitters = [(column.name, column.type, text_fitter(column.type)) for column in self._schema]
        cells: list[list[Any]] = [[] for _ in fitters]
        rows = []
        for number in np.flatnonzero(self._left).tolist():
            changed: Counter[str] = Counter()
            try:
                fields = self._fields(number, changed)
                row = [_fit(kind, fit, fields.get(name), changed) for name, kind, fit in fitters]
            except Reject as reject:
                self.rejects[number] = reject.reason
                continue
            rows.append(number)
            # Once a value, however many times in it were cut.
            self.counted += Counter(dict.fromkeys(changed, 1))
            for cell, column in zip(row, cells, strict=True):
                column.append(cell)
        arrays = [pa.array(column, kind) for column, kind in zip(cells, self._schema.types, strict=True)]
        self.parts.append((np.array(rows, np.int64), batch_of(arrays, self._schema, len(rows))))

    def _fields(self, number: int, changed: Counter[str]) -> Mapping[str, Any]:
        """Return column → text, or a value of its type, for one value."""
        misfit = self._misfits.get(number)
        if misfit is not None:
            changed.update(misfit.changed)
            return misfit.texts
        text = self._text[number].as_py()
        if not text:
            raise Reject(EMPTY)
        return self._parser.arrange(self._parser.read(text, int(self._moments[number]), changed), self.columns)


@dataclass(frozen=True, slots=True)
class _Misfit:
    """A value that was split, of which some text may not fit: column → text, or value of its type; what was changed."""

    texts: Mapping[str, Any]
    changed: Sequence[str]


def _fit(kind: pa.DataType, fit: Fitter, found: Any, changed: Counter[str]) -> Any:
    """Return a cell of a type for a text; a value of the type is one."""
    if not isinstance(found, str):
        return found
    notes = Notes()
    try:
        cell = fit(found, notes)
    except Unfit as unfit:
        raise Reject(f"does not fit {type_name(kind)}") from unfit
    if notes.cut:
        changed[CUT] += 1
    return cell


def _chunks(text: pa.StringArray) -> Iterator[tuple[int, pa.StringArray]]:
    """Yield parts of about CHUNK bytes, each with the number of its first value."""
    if len(text):
        step = -(-len(text) // (text.nbytes // CHUNK + 1))
        for start in range(0, len(text), step):
            yield start, text.slice(start, step)
