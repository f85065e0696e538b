"""Many values at once into columns, with pyarrow's JSON reader behind a guard.

What it accepts, `json_rows` accepts with the same result; what it can't accept it leaves over, value by value, for
`json_rows` to decide on. A piece that fails is halved, so that b bad values among n cost O(b log n) readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.batches import NO_ROWS, Piece, batch_of
from ingest.connectors.parsers.json_guard import hides_something
from ingest.connectors.parsers.json_rows import Rules
from ingest.connectors.parsers.json_tighten import Unreadable, tightened, wire_type
from ingest.connectors.parsers.json_value import Number, read_object
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.time_columns import TIME, TIME_AS_DECIMAL

FEW = 64
"""A failing piece of so many values is read one by one."""

MANY = 256
"""A failing piece of so many values is read with all its unknown members, to learn which values have some."""

_MOST_MEMBERS = 20_000
"""… unless it may have more members: each name costs memory for every row."""

_MOST_BYTES = 128 << 20
_MOST_NULLS = 64
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_STRICT_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,6})?)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the first value of a piece shows of the others: how times are written, which unknown members are null."""

    times: dict[str, pa.DataType]
    nulls: tuple[str, ...]


class ColumnReader:
    """Reads values as columns of a schema. `able` is False where the schema has types that this way can't give."""

    def __init__(self, schema: pa.Schema, rules: Rules) -> None:
        self._schema = schema
        self._rules = rules
        self._columns = [column for column in schema if not rules.is_rest(column.name)]
        self._names = {column.name for column in self._columns}
        self._times = [column.name for column in self._columns if pa.types.is_timestamp(column.type)]
        self._decimals = [column.name for column in self._columns if pa.types.is_decimal(column.type)]
        self.able = all(_is_able(column.type) for column in self._columns)

    def read(self, text: pa.StringArray) -> tuple[list[Piece], Int64s]:
        """Return the pieces that were read, ascending, and the indices that are left over, ascending.

        Args:
            text: values that passed the guard; see there.
        """
        hidden = hides_something(text) if self._rules.lenient else np.zeros(len(text), np.bool_)
        if not hidden.any():
            return self._halves(text)
        plain = np.flatnonzero(~hidden)
        pieces, left = self._halves(text.take(pa.array(plain)))
        rows = np.sort(np.concatenate([plain[left], np.flatnonzero(hidden)]))
        return [Piece(plain[piece.rows], piece.batch, piece.cut) for piece in pieces], rows

    def _halves(self, text: pa.StringArray) -> tuple[list[Piece], Int64s]:
        """Read all values, and where that fails each half of them."""
        pieces: list[Piece] = []
        left: list[int] = []
        spans = [(0, len(text))] if len(text) else []
        while spans:
            start, end = spans.pop()
            try:
                piece, others = self._piece(text.slice(start, end - start))
            except Unreadable:
                if end - start <= FEW:
                    left += range(start, end)
                else:
                    middle = (start + end) // 2
                    spans += [(middle, end), (start, middle)]
            else:
                pieces.append(Piece(piece.rows + start, piece.batch, piece.cut))
                left += (others + start).tolist()
        return pieces, np.array(left, np.int64)

    def _piece(self, text: pa.StringArray) -> tuple[Piece, Int64s]:
        """Read a piece; return it and the values that must be read one by one."""
        if text.nbytes > _MOST_BYTES and len(text) > 1:
            raise Unreadable
        sample = self._sample(text[0].as_py())
        self._refuse_quoted(text, sample)
        joined = _joined(text)
        try:
            table = self._table(joined, len(text), sample, "ignore" if self._rules.lenient else "error")
            return self._typed(table, np.arange(len(text), dtype=np.int64)), NO_ROWS
        except Unreadable:
            if self._rules.unknown != "rest" or len(text) > MANY or joined.to_pybytes().count(b":") > _MOST_MEMBERS:
                raise
        table = self._table(joined, len(text), sample, "infer")
        more = np.zeros(len(text), np.bool_)
        for name in table.column_names[len(self._columns) :]:
            more |= table[name].is_valid().to_numpy()
        rows = np.flatnonzero(~more)
        # Inferred lists may hold invalid offsets (apache/arrow#51305): ask nothing of them but whether they are there.
        known = table.select([column.name for column in self._columns])
        return self._typed(known.take(pa.array(rows)), rows), np.flatnonzero(more)

    def _typed(self, table: pa.Table, rows: Int64s) -> Piece:
        arrays: list[pa.Array] = []
        cut: Bools | None = None
        for column in self._schema:
            if self._rules.is_rest(column.name):
                arrays.append(pa.nulls(len(rows), column.type))
                continue
            array, lost = tightened(_whole(table[column.name]), column.type)
            arrays.append(array)
            if lost is not None:
                cut = lost if cut is None else cut | lost
        return Piece(rows, batch_of(arrays, self._schema, len(rows)), 0 if cut is None else int(cut.sum()))

    def _table(self, joined: pa.Buffer, rows: int, sample: _Sample, unknown: str) -> pa.Table:
        wire = [
            pa.field(column.name, sample.times.get(column.name, wire_type(column.type))) for column in self._columns
        ]
        wire += [pa.field(name, pa.null()) for name in sample.nulls]
        parse = pj.ParseOptions(explicit_schema=pa.schema(wire), unexpected_field_behavior=unknown)
        # One block, so that nothing is looked for but values; one thread, as the caller has its own.
        read = pj.ReadOptions(use_threads=False, block_size=joined.size + 1)
        try:
            table = pj.read_json(pa.BufferReader(joined), read_options=read, parse_options=parse)
        except (pa.ArrowInvalid, pa.ArrowCapacityError) as error:
            raise Unreadable from error
        # The guard's proof that rows and values belong together stands on this comparison.
        if table.num_rows != rows or any(table[field.name].type != field.type for field in wire):
            raise Unreadable
        return table

    def _sample(self, value: str) -> _Sample:
        try:
            members = read_object(value.encode(), lenient=self._rules.lenient)
        except Reject as reject:
            raise Unreadable from reject
        times = {name: _time_as_written(members.get(name)) for name in self._times}
        if self._rules.unknown != "rest":
            return _Sample(times, ())
        unknown = [name for name in members if name not in self._names]
        if len(unknown) > _MOST_NULLS or any(members[name] is not None for name in unknown):
            raise Unreadable
        return _Sample(times, tuple(unknown))

    def _refuse_quoted(self, text: pa.StringArray, sample: _Sample) -> None:
        """Refuse strings where decimals are read: pyarrow takes "5" for a 5 there, and nowhere else."""
        names = self._decimals + [name for name, kind in sample.times.items() if kind == TIME_AS_DECIMAL]
        if not names:
            return
        # An escape may spell a name in another way.
        escape = "\\u" if all(map(_PLAIN_NAME.fullmatch, names)) else "\\"
        quoted = '"(?:' + "|".join(map(re.escape, names)) + r')"\s*:\s*"'
        if pc.any(pc.match_substring(text, escape)).as_py() or pc.any(pc.match_substring_regex(text, quoted)).as_py():
            raise Unreadable


def _is_able(kind: pa.DataType, nested: bool = False) -> bool:
    if pa.types.is_list(kind):
        return _is_able(kind.value_type, True)
    if pa.types.is_struct(kind):
        return all(_is_able(member.type, True) for member in kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return True
    return not nested and not pa.types.is_map(kind)


def _joined(text: pa.StringArray) -> pa.Buffer:
    """Return the values with a newline between each two."""
    try:
        return pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(text)], pa.int32()), text), "\n")[0].as_buffer()
    except (pa.ArrowInvalid, pa.ArrowCapacityError) as error:
        raise Unreadable from error


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _time_as_written(member: object) -> pa.DataType:
    """Return the type to ask pyarrow for, given how one value writes the time."""
    if isinstance(member, Number):
        return pa.int64() if member.whole else TIME_AS_DECIMAL
    if isinstance(member, str) and not _STRICT_TIME.fullmatch(member):
        return pa.string()
    return TIME
