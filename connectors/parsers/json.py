"""One JSON object a record, into typed columns given by a schema or inferred."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa

from ingest.api import Int64s, Options, Parsed, Parser, arrow_type, option
from ingest.connectors.parsers.batches import NO_ROWS, Piece, in_order, nulls_of
from ingest.connectors.parsers.column_options import check_names, check_types, check_unknown
from ingest.connectors.parsers.json_columns import ColumnReader
from ingest.connectors.parsers.json_fit import fitter
from ingest.connectors.parsers.json_guard import look
from ingest.connectors.parsers.json_infer import propose
from ingest.connectors.parsers.json_rows import RowReader, Rules
from ingest.connectors.parsers.json_template_match import Shapes
from ingest.connectors.parsers.json_template_reader import TemplateReader
from ingest.connectors.parsers.reasons import CUT


class JsonOptions(Options):
    """What the objects hold."""

    schema: Annotated[
        dict[str, str],
        option(
            "Column and type of each member. Left out: inferred from the data.",
            example={"ts": "timestamp", "status": "int32", "path": "string"},
        ),
    ] = {}
    unknown: Annotated[
        Literal["rest", "drop", "quarantine"],
        option(
            "Where members go that the schema lacks: as JSON text into one more column, nowhere (they are not even "
            "looked into), or with the whole record into quarantine."
        ),
    ] = "rest"
    rest_column: Annotated[
        str, option('The column for members that no other column takes, as the text of an object (unknown = "rest").')
    ] = "rest"
    max_columns: Annotated[
        int, option("So many columns are inferred at most; further members go to `rest_column`.", ge=1)
    ] = 1000

    def __post_init__(self) -> None:
        """Refuse types that JSON can't give and columns that readers could not tell apart."""
        check_names("schema", self.schema)
        check_types(self.schema, fitter)
        check_unknown(self.unknown, self.rest_column, self.schema)


class JsonParser(Parser[JsonOptions]):
    """Reads one JSON object from each value.

    With a schema, a value that does not fit its column without loss is a reject, and members that the schema lacks go
    where `unknown` says. Without one, members that no column holds are proposed as columns; a member that does not fit
    its column goes, as JSON text, into `rest_column`, and the row stays. Missing is null and null is missing. A null
    value is a row of nulls. What fits what: `json_fit`. Reasons of rejects: those in `json_value`, "unknown member" and
    "does not fit TYPE".
    """

    Options: ClassVar[type[JsonOptions]] = JsonOptions

    def __init__(self, options: JsonOptions) -> None:
        super().__init__(options)
        self.rules = Rules(options.unknown, options.rest_column, not options.schema, options.max_columns)
        self._schema = _schema(options) if options.schema else None
        self.shapes = Shapes()

    def schema(self) -> pa.Schema | None:
        """Return the columns, `rest_column` last, or None where they are inferred."""
        return self._schema

    def parse(self, values: pa.BinaryArray, schema: pa.Schema) -> Parsed:
        """Parse all values into `schema`."""
        seen = look(values)
        pieces, left = self._columns(seen.text, schema)
        parts = [(seen.rows[piece.rows], piece.batch) for piece in pieces]
        cut = sum(piece.cut for piece in pieces)
        rejects: dict[int, str] = {}
        one_by_one = np.sort(np.concatenate([seen.suspects, seen.rows[left]]))
        if len(one_by_one):
            slow = RowReader(schema, self.rules)
            for row in one_by_one.tolist():
                slow.add(row, values[row].as_py())
            new = propose(slow.result.found)
            if slow.result.lacks_rest:
                new.append(pa.field(self.rules.rest, pa.string()))
            if new:
                return Parsed(nulls_of(schema, 0), NO_ROWS, NO_ROWS, [], tuple(new))
            parts.append(slow.batch())
            cut += slow.result.cut
            rejects = slow.result.rejects
        if len(seen.nulls):
            parts.append((seen.nulls, nulls_of(schema, len(seen.nulls))))
        rows, table = in_order(parts, schema)
        return Parsed(
            table,
            rows,
            np.array(list(rejects), np.int64),
            list(rejects.values()),
            counted={CUT: cut} if cut else {},
        )

    def _columns(self, text: pa.StringArray, schema: pa.Schema) -> tuple[list[Piece], Int64s]:
        """Read many values at once; return also which are left over to be read one by one."""
        if not len(schema):
            # Without columns there is nothing to read: all members are new.
            return [], np.arange(len(text))
        pieces, left = TemplateReader(schema, self.rules, self.shapes).read(text)
        if not len(left):
            return pieces, left
        general = ColumnReader(schema, self.rules)
        if not general.able:
            return pieces, left
        others, rest = general.read(text.take(pa.array(left)) if pieces else text)
        return [*pieces, *(Piece(left[piece.rows], piece.batch, piece.cut) for piece in others)], left[rest]


def _schema(options: JsonOptions) -> pa.Schema:
    columns = [(name, arrow_type(kind)) for name, kind in options.schema.items()]
    if options.unknown == "rest":
        columns.append((options.rest_column, pa.string()))
    return pa.schema(columns)
