"""Lines of few shapes into columns, without reading them byte by byte: by templates. See `json_template`.

What it accepts, `json_rows` accepts with the same result; what it can't accept it leaves over.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.batches import Piece, batch_of
from ingest.connectors.parsers.json_rows import Rules
from ingest.connectors.parsers.json_template import TELLING, JsonTemplate, Member, marks_in
from ingest.connectors.parsers.json_template_arrays import Column, Nulls, arrays_of
from ingest.connectors.parsers.json_template_cells import NULL, Cells, cells_of
from ingest.connectors.parsers.json_template_columns import Columns, way
from ingest.connectors.parsers.json_template_judge import MOST_DISTINCT, judge
from ingest.connectors.parsers.json_template_match import Group, Shapes
from ingest.connectors.parsers.json_template_rest import rest_of
from ingest.connectors.parsers.template_scan import scan

CHUNK = 2 << 20
"""So many bytes at a time: enough to make little of what each call costs, few enough to stay in a cache."""


class TemplateReader:
    """Reads values as columns of a schema where they have a template."""

    def __init__(self, schema: pa.Schema, rules: Rules, shapes: Shapes) -> None:
        self._schema = schema
        self._rules = rules
        self._shapes = shapes
        self._columns = [
            (column.name, column.type, None if rules.is_rest(column.name) else way(column.type)) for column in schema
        ]
        # Where columns are inferred, members without a column may become one.
        self._rest = rules.unknown == "rest" and not rules.inferred
        self._kinds = {name: kind for name, kind, made in self._columns if made is not None}
        self._read = {name for name, kind in self._kinds.items() if not pa.types.is_string(kind)}

    def read(self, text: pa.StringArray) -> tuple[list[Piece], Int64s]:
        """Return pieces of the values that have a template, ascending, and which are left over, ascending.

        Args:
            text: values that passed the guard; see there.
        """
        pieces: list[Piece] = []
        left = np.ones(len(text), np.bool_)
        if len(text) < self._shapes.least:
            return [], np.flatnonzero(left)
        step = -(-len(text) // (text.nbytes // CHUNK + 1))
        for start in range(0, len(text), step):
            pieces += self._chunk(text.slice(start, step), start, left[start : start + step])
        return pieces, np.flatnonzero(left)

    def _chunk(self, lines: pa.StringArray, start: int, left: Bools) -> list[Piece]:
        """Read some lines, of which the first is number `start`; clear those that were read in `left`."""
        seen = scan(lines, marks_in, TELLING)
        placed = self._shapes.match(seen, self._is_worth)
        if not placed:
            return []
        cells = cells_of(seen, placed, self._kinds)
        numbers = judge(cells, self._read, most=MOST_DISTINCT if self._rules.lenient else None)
        columns = Columns(cells, numbers, nested_as_text=self._rules.inferred)
        made = self._made(cells, columns, placed)
        left[cells.fits] = False
        rows = np.flatnonzero(cells.fits)
        if not len(rows):
            return []
        arrays = arrays_of(made, None if len(rows) == len(lines) else rows)
        batch = batch_of(arrays, self._schema, len(rows))
        return [Piece(rows + start, batch, int(np.count_nonzero(columns.cut[rows])))]

    def _made(self, cells: Cells, columns: Columns, placed: list[Group]) -> list[Column]:
        """Return all columns; lines with a value that has no place in them are unfit afterwards."""
        if not (self._rules.lenient or self._rest):
            for path, number in cells.lanes.items():
                if len(path) == 1 and path[0] not in self._kinds:
                    columns.allow(number, NULL)
        made: list[Column] = []
        for name, kind, by in self._columns:
            lane = cells.lanes.get((name,))
            if by is None and self._rest:
                made.append(rest_of(cells, placed, self._kinds, kind))
            elif by is None or lane is None:
                made.append(Nulls(kind, cells.rows))
            else:
                made.append(by(columns, lane, kind))
        return made

    def _is_worth(self, template: JsonTemplate) -> bool:
        return all(map(self._is_welcome, template.members))

    def _is_welcome(self, member: Member) -> bool:
        """Return whether the member, where a line has it, may be all that a row needs of it."""
        kind = self._kinds.get(member.name)
        if kind is None:
            if self._rest:
                return member.canonical
            # A leaf may be null, which is nothing to keep.
            return self._rules.unknown != "quarantine" and (self._rules.lenient or not member.nested)
        if not member.nested:
            return True
        if pa.types.is_string(kind):
            return member.canonical and self._rules.inferred
        return bool(pa.types.is_struct(kind) or pa.types.is_map(kind))
