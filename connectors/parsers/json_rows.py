"""Values one by one into rows: slow and plainly right. Decides what a value is, why it is refused, what goes to `rest`.

`json_columns` does the same for many values at once; tests hold both equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ingest.api import Int64s, type_name
from ingest.connectors.parsers.batches import batch_of
from ingest.connectors.parsers.json_fit import Notes, Unfit, fitter
from ingest.connectors.parsers.json_infer import worth_a_column
from ingest.connectors.parsers.json_value import Repeated, read_object, text_of
from ingest.connectors.parsers.reasons import DUPLICATE, Reject

UNKNOWN = "unknown member"


@dataclass(frozen=True, slots=True)
class Rules:
    """What becomes of members that no column takes.

    Attributes:
        unknown: where members go that the schema lacks.
        rest: name of the column for members that no other column takes, as the text of a JSON object.
        inferred: the columns were agreed on, not given: members that do not fit go to `rest`, new ones are noted.
        max_columns: so many columns are inferred at most; further members go to `rest`.
    """

    unknown: Literal["rest", "drop", "quarantine"]
    rest: str
    inferred: bool
    max_columns: int

    @property
    def lenient(self) -> bool:
        """Return whether unwanted members are not looked into."""
        return self.unknown == "drop"

    def is_rest(self, column: str) -> bool:
        """Return whether the column is the one for members that no other takes."""
        return self.unknown == "rest" and column == self.rest


@dataclass(slots=True)
class Slow:
    """What came of the values that were read one by one.

    Attributes:
        rows: which values became rows, in the order they were added.
        cells: for each column of the schema, its values for these rows.
        rejects: row → reason.
        cut: rows in which digits of a time were cut.
        found: members that should become columns: name → their values.
        lacks_rest: a row has something for `rest`, and the schema has no such column.
    """

    rows: list[int] = field(default_factory=list)
    cells: list[list[Any]] = field(default_factory=list)
    rejects: dict[int, str] = field(default_factory=dict)
    cut: int = 0
    found: dict[str, list[Any]] = field(default_factory=dict)
    lacks_rest: bool = False


class RowReader:
    """Reads values one by one into the columns of a schema.

    Raises:
        ValueError: a column has a type that no JSON value can have.
    """

    def __init__(self, schema: pa.Schema, rules: Rules) -> None:
        self._schema = schema
        self._rules = rules
        self._fitters = {
            column.name: fitter(column.type, nested_as_text=rules.inferred)
            for column in schema
            if not rules.is_rest(column.name)
        }
        self._reasons = {column.name: f"does not fit {type_name(column.type)}" for column in schema}
        self._taken = {rules.rest.casefold(), *(name.casefold() for name in schema.names)}
        self.result = Slow(cells=[[] for _ in schema])

    def add(self, row: int, value: bytes) -> None:
        """Read one value."""
        notes, rest = Notes(), dict[str, Any]()
        try:
            cells = self._cells(value, notes, rest)
        except Reject as reject:
            self.result.rejects[row] = reject.reason
            return
        if rest:
            cells[self._rules.rest] = text_of(rest)
            self.result.lacks_rest |= self._rules.rest not in self._schema.names
        self.result.rows.append(row)
        self.result.cut += notes.cut
        for column, name in zip(self.result.cells, self._schema.names, strict=True):
            column.append(cells.get(name))

    def _cells(self, value: bytes, notes: Notes, rest: dict[str, Any]) -> dict[str, Any]:
        """Return column → cell; fills `rest` with the members that no column takes."""
        members = read_object(value, lenient=self._rules.lenient)
        if isinstance(members, Repeated) and members.names & self._fitters.keys():
            raise Reject(DUPLICATE)
        cells: dict[str, Any] = {}
        for name, member in members.items():
            if name not in self._fitters:
                self._unknown(name, member, rest)
            elif member is not None:
                self._fit(name, member, notes, cells, rest)
        return cells

    def _fit(self, name: str, member: Any, notes: Notes, cells: dict[str, Any], rest: dict[str, Any]) -> None:
        notes.left_out = False
        try:
            cells[name] = self._fitters[name](member, notes)
        except Unfit as unfit:
            if not self._rules.inferred:
                raise Reject(self._reasons[name]) from unfit
            rest[name] = member
        if notes.left_out and self._rules.unknown == "quarantine":
            raise Reject(UNKNOWN)
        if notes.left_out and self._rules.unknown == "rest":
            rest[name] = member

    def _unknown(self, name: str, member: Any, rest: dict[str, Any]) -> None:
        if self._rules.unknown == "quarantine":
            raise Reject(UNKNOWN)
        if member is None or self._rules.unknown == "drop":
            return
        if self._rules.inferred and self._is_new(name):
            self.result.found.setdefault(name, []).append(member)
        else:
            rest[name] = member

    def _is_new(self, name: str) -> bool:
        if name in self.result.found:
            return True
        room = len(self._schema) + len(self.result.found) < self._rules.max_columns
        if not worth_a_column(name, self._taken, room):
            return False
        self._taken.add(name.casefold())
        return True

    def batch(self) -> tuple[Int64s, pa.RecordBatch]:
        """Return the rows read so far: which values they came from, and their columns."""
        arrays = [pa.array(cells, column.type) for cells, column in zip(self.result.cells, self._schema, strict=True)]
        rows = np.array(self.result.rows, np.int64)
        return rows, batch_of(arrays, self._schema, len(rows))
