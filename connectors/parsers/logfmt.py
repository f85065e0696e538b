"""Lines of key=value pairs, as many programs in Go write them, into typed columns given by a schema or inferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Int64s, Options, arrow_type, option
from ingest.connectors.parsers.column_options import check_names, check_types, check_unknown
from ingest.connectors.parsers.json_infer import worth_a_column
from ingest.connectors.parsers.json_value import text_of
from ingest.connectors.parsers.logfmt_columns import fields_of
from ingest.connectors.parsers.logfmt_pairs import NO_PAIR, pairs, text_of_value
from ingest.connectors.parsers.logfmt_template import TELLING, LogfmtShapes, marks_in
from ingest.connectors.parsers.reasons import DUPLICATE, Reject
from ingest.connectors.parsers.spans import BACKSLASH, Bytes, bytes_of
from ingest.connectors.parsers.template import Template
from ingest.connectors.parsers.template_scan import scan
from ingest.connectors.parsers.text_fit import text_fitter
from ingest.connectors.parsers.text_parser import Columns, Fields, TextParser

UNKNOWN = "unknown key"
ALONE = "true"
"""What a key means that stands alone."""

LEAST = 32
"""Fewer lines are read as fast one by one."""

FEW = 8
"""Fewer lines of one shape are not worth the calls that they cost."""

_RETURN = ord("\r")


class LogfmtOptions(Options):
    """What the pairs hold."""

    schema: Annotated[
        dict[str, str],
        option(
            "Column and type of each key. Left out: every key becomes a column of strings.",
            example={"ts": "timestamp", "status": "int32", "path": "string"},
        ),
    ] = {}
    unknown: Annotated[
        Literal["rest", "drop", "quarantine"],
        option(
            "Where pairs go that the schema lacks: as JSON text into one more column, nowhere, or with the whole "
            "record into quarantine."
        ),
    ] = "rest"
    rest_column: Annotated[
        str,
        option(
            'The column for pairs that no other column takes, as the text of an object of strings (unknown = "rest").'
        ),
    ] = "rest"
    max_columns: Annotated[
        int, option("So many columns are inferred at most; further pairs go to `rest_column`.", ge=1)
    ] = 1000

    def __post_init__(self) -> None:
        """Refuse types that no text can have and columns that readers could not tell apart."""
        check_names("schema", self.schema)
        check_types(self.schema, text_fitter)
        check_unknown(self.unknown, self.rest_column, self.schema)


class LogfmtParser(TextParser[LogfmtOptions]):
    """Reads the pairs of a line; there must be one with a value at least. A key that stands alone means "true".

    With a schema, pairs that it lacks go where `unknown` says. Without one, keys that no column holds are proposed as
    columns of strings, but for those that stand alone: these go to `rest_column` unless they have a column already.
    A key that is missing is null. Reasons of rejects: those of `logfmt_pairs` and `TextParser`, "duplicate key",
    "unknown key".
    """

    Options: ClassVar[type[LogfmtOptions]] = LogfmtOptions

    def __init__(self, options: LogfmtOptions) -> None:
        super().__init__(options)
        self.shapes = LogfmtShapes(LEAST, FEW)
        self._inferred = not options.schema
        self._rest = options.rest_column if options.unknown == "rest" else None
        self._folded_rest = options.rest_column.casefold()
        columns = [(name, arrow_type(kind)) for name, kind in options.schema.items()]
        self._schema = pa.schema([*columns, (self._rest, pa.string())] if self._rest is not None else columns)

    def schema(self) -> pa.Schema | None:
        """Return the columns, `rest_column` last, or None where they are inferred."""
        return None if self._inferred else self._schema

    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> list[Fields]:
        """See `TextParser`."""
        if len(text) < self.shapes.least:
            return []
        text, rows = _scannable(text)
        if not len(rows):
            return []
        columns = Columns(schema)
        taken = columns.names - {self._rest}
        seen = scan(text, marks_in, TELLING)
        groups = self.shapes.match(seen, lambda template: self._is_worth(template, columns))
        found = [fields_of(seen, group, taken, self._rest) for group in groups]
        return [Fields(rows[fields.rows], fields.columns) for fields in found]

    def _is_worth(self, template: Template, columns: Columns) -> bool:
        """Return whether every key of a template has its place: none makes a reject of its line, or a new column."""
        unknown = [leaf.path[0] for leaf in template.leaves if leaf.path[0] not in columns.names]
        if not self._inferred:
            return self.options.unknown != "quarantine" or not unknown
        has_rest = self._rest in columns.names
        return not unknown or (has_rest and not any(self._is_new(key, columns) for key in unknown))

    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """Return key → text, None where it stands alone; see `TextParser`."""
        fields: dict[str, str | None] = {}
        for pair in pairs(text):
            if pair.key in fields:
                raise Reject(DUPLICATE)
            fields[pair.key] = None if pair.value is None else text_of_value(text[slice(*pair.value)])
        if all(value is None for value in fields.values()):
            raise Reject(NO_PAIR)
        return fields

    def arrange(self, fields: Mapping[str, str | None], columns: Columns) -> Mapping[str, str | None]:
        """See `TextParser`."""
        texts: dict[str, str | None] = {}
        rest: dict[str, str] = {}
        for key, value in fields.items():
            text = ALONE if value is None else value
            if key in columns.names and key != self._rest:
                texts[key] = text
            elif self.options.unknown == "quarantine":
                raise Reject(UNKNOWN)
            elif self._inferred and value is not None and self._is_new(key, columns):
                columns.add(key)
            else:
                rest[key] = text
        if rest and self._rest is not None:
            texts[self._rest] = text_of(rest)
            if self._rest not in columns.names:
                columns.add(self._rest)
        if self._rest in columns.new:
            # The last one, whatever was found first.
            columns.new[self._rest] = columns.new.pop(self._rest)
        return texts

    def _is_new(self, key: str, columns: Columns) -> bool:
        """Return whether a key without a column may have one."""
        if key in columns.new:
            return True
        number = len(columns.names) + len(columns.new) - (self._rest in columns.new)
        room = number < self.options.max_columns and key.casefold() != self._folded_rest
        return worth_a_column(key, columns.taken, room)


def _scannable(text: pa.StringArray) -> tuple[pa.StringArray, Int64s]:
    """Return the lines that `scan` can look at, without carriage returns at their ends, and which these are."""
    rows = np.arange(len(text))
    if (_last(text) == _RETURN).any():
        text = pc.ascii_rtrim(text, "\r")
        rows = np.flatnonzero(np.diff(bytes_of(text)[1]))
        text = text.take(pa.array(rows))
    whole = _last(text) != BACKSLASH
    return (text, rows) if whole.all() else (text.filter(pa.array(whole)), rows[whole])


def _last(text: pa.StringArray) -> Bytes:
    """Return the last byte of each line; none is empty."""
    data, bounds = bytes_of(text)
    return data[bounds[1:] - 1]
