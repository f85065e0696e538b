"""Keeps each value as it is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Options, Parsed, Parser
from ingest.connectors.parsers.utf8 import as_text, invalid_rows

_SCHEMA = pa.schema([("value", pa.string()), ("value_bytes", pa.binary())])


class RawOptions(Options):
    """A raw value needs no options."""


class RawParser(Parser[RawOptions]):
    """A value becomes a string, or, where its bytes are not UTF-8, stays bytes.

    Columns: `value` (string; null where the bytes are not UTF-8) and `value_bytes` (binary; null where they are). So
    `coalesce(value_bytes, value)` is the line, byte for byte. Both are null for a null value. Nothing is rejected.
    """

    Options: ClassVar[type[RawOptions]] = RawOptions

    def schema(self) -> pa.Schema:
        """Return `value` and `value_bytes`."""
        return _SCHEMA

    def parse(self, values: pa.BinaryArray, schema: pa.Schema) -> Parsed:
        """Return one row for every value."""
        rows = np.arange(len(values), dtype=np.int64)
        text, other = _split(values)
        table = pa.RecordBatch.from_arrays([text, other], schema=schema)
        return Parsed(table, rows, np.empty(0, np.int64), [])


def _split(values: pa.BinaryArray) -> tuple[pa.StringArray, pa.BinaryArray]:
    text = as_text(values)
    if text is not None:
        return text, pa.nulls(len(values), pa.binary())
    wrong = np.zeros(len(values), np.bool_)
    wrong[invalid_rows(values)] = True
    mask = pa.array(wrong)
    nothing = pa.scalar(None, pa.binary())
    return pc.if_else(mask, nothing, values).cast(pa.string()), pc.if_else(mask, values, nothing)
