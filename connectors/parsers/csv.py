"""Values separated by commas, or by another character, with or without quotes."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa

from ingest.api import ConfigError, Int64s, Options, arrow_type, option
from ingest.connectors.parsers.column_options import check_names, check_types
from ingest.connectors.parsers.csv_columns import Dialect, cells_of
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import exactly, string_columns
from ingest.connectors.parsers.text_fit import text_fitter
from ingest.connectors.parsers.text_parser import Fields, TextParser

TOO_FEW = "too few fields"
TOO_MANY = "too many fields"
BAD_QUOTING = "bad quoting"
LINE_BREAK = "line break outside of quotes"
HEADER = "header line"

_BOM = "\ufeff"

# For the whole process, as the module has it no other way; its default is less than a long line.
csv.field_size_limit(1 << 31)


class CsvOptions(Options):
    """How the fields are called and separated."""

    fields: Annotated[
        list[str],
        option(
            "What the fields of a line are called, in order. Left out: as the schema says, in its order.",
            example=["ts", "status", "path"],
        ),
    ] = []
    schema: Annotated[
        dict[str, str],
        option(
            "Column and type of those fields that are no strings; or of all fields, in order.",
            example={"ts": "timestamp", "status": "int32"},
        ),
    ] = {}
    delimiter: Annotated[str, option("What separates fields: one ASCII character.")] = ","
    quote: Annotated[
        str, option("What encloses fields that hold a delimiter; two of it inside mean one. One ASCII character.")
    ] = '"'
    nulls: Annotated[tuple[str, ...], option("Fields that are null when they are exactly one of these texts.")] = ("",)

    def __post_init__(self) -> None:
        """Refuse columns that nothing names, types that no text can have, and characters that are none."""
        if not self.names:
            raise ConfigError("fields", "missing; name the fields of a line, here or in a schema")
        check_names("fields" if self.fields else "schema", self.names)
        for name in self.schema:
            if name not in self.names:
                raise ConfigError(f"schema.{name}", f"not among the fields {', '.join(self.names)}")
        check_types(self.schema, text_fitter)
        for key, character in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(character) != 1 or not character.isascii() or character in "\r\n\0":
                raise ConfigError(key, f"expected one ASCII character, got {character!r}")
        if self.delimiter == self.quote:
            raise ConfigError("quote", "must differ from the delimiter")

    @property
    def names(self) -> list[str]:
        """Return the columns in the order of the fields."""
        return self.fields or list(self.schema)


class CsvParser(TextParser[CsvOptions]):
    """Reads a line of fields, all of them and no more.

    A field is quoted as a whole or not at all; a quote elsewhere in a field is a character like others. A carriage
    return at the end is no part of the line. A line that holds the names of the columns, perhaps behind a byte order
    mark, is refused as a header.
    """

    Options: ClassVar[type[CsvOptions]] = CsvOptions

    def __init__(self, options: CsvOptions) -> None:
        super().__init__(options)
        self._names = options.names
        name = self._names[0]
        # Behind a byte order mark, quotes are characters like others.
        self._first = (name, f"{_BOM}{name}", f"{_BOM}{options.quote}{name}{options.quote}")
        self._nulls = frozenset(options.nulls)
        self._dialect = Dialect(ord(options.delimiter), ord(options.quote))
        self._schema = pa.schema([(name, arrow_type(options.schema.get(name, "string"))) for name in self._names])

    def schema(self) -> pa.Schema:
        """Return the columns."""
        return self._schema

    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> list[Fields]:
        """See `TextParser`."""
        cells = cells_of(text, self._dialect, len(self._names))
        if not len(cells.rows):
            return []
        header = np.zeros(len(cells.rows), np.bool_)
        for first in self._first:
            header |= exactly(cells.data, cells.starts[0], cells.ends[0], first.encode())
        if header.any():
            cells = cells.only(~header)
        null = exactly(cells.data, cells.starts, cells.ends, b"") & ("" in self._nulls)
        for each in self._nulls - {""}:
            null |= exactly(cells.data, cells.starts, cells.ends, each.encode())
        columns = string_columns(cells.data, cells.starts, cells.ends, ~null)
        return [Fields(cells.rows, dict(zip(self._names, columns, strict=True)))]

    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """See `TextParser`."""
        fields = self._fields(text)
        if fields[0] in self._first and fields[1:] == self._names[1:]:
            raise Reject(HEADER)
        if len(fields) < len(self._names):
            raise Reject(TOO_FEW)
        if len(fields) > len(self._names):
            raise Reject(TOO_MANY)
        return {name: None if field in self._nulls else field for name, field in zip(self._names, fields, strict=True)}

    def _fields(self, text: str) -> list[str]:
        delimiter, quote = self.options.delimiter, self.options.quote
        try:
            lines = list(csv.reader([text], delimiter=delimiter, quotechar=quote, strict=True))
        except csv.Error as error:
            raise Reject(LINE_BREAK if "new-line" in str(error) else BAD_QUOTING) from error
        return lines[0] or [""]
