"""Rows of a file: the parsed fields, then where each came from.

The columns of a file never depend on a single block: `kafka_key` and `source_flags` are there even where they hold
nothing but null, as a column that comes and goes would close a file and open another each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.blocks import Bools, Int64s, Parsed, RecordBlock
from ingest.config.model import ColumnsOptions

TIME = pa.timestamp("us", tz="UTC")

_ORIGIN: tuple[tuple[str, pa.DataType], ...] = (
    ("kafka_partition", pa.int32()),
    ("kafka_offset", pa.int64()),
    ("kafka_timestamp", TIME),
    ("kafka_key", pa.binary()),
    ("source_stream", pa.string()),
    ("source_generation", pa.string()),
    ("source_position", pa.int64()),
    ("source_flags", pa.string()),
)
_LARGEST_MS = np.iinfo(np.int64).max // 1_000


@dataclass(frozen=True, slots=True)
class RowShape:
    """What the rows of a topic look like.

    Attributes:
        schema: of the files.
        renamed: parsed column → its name in the files, for those that have another one.
    """

    schema: pa.Schema
    renamed: Mapping[str, str]


def shape(parsed: pa.Schema, names: ColumnsOptions, keys: Iterable[str]) -> RowShape:
    """Return the columns of the files.

    A parsed column whose name is taken, in any case of letters, gets trailing underscores until it is free. Columns
    appended to `parsed` later change nothing about those before them.

    Args:
        parsed: what the parser gives.
        names: what the columns about the origin are called.
        keys: the names in the partition path (`dt`, `hour`): readers make columns of them.
    """
    origin = [pa.field(getattr(names, name), kind) for name, kind in _ORIGIN]
    taken = {name.casefold() for name in [*keys, *(column.name for column in origin)]}
    columns: list[pa.Field] = []
    renamed: dict[str, str] = {}
    for column in parsed:
        name = column.name
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        if name != column.name:
            renamed[column.name] = name
        columns.append(column.with_name(name))
    return RowShape(pa.schema([*columns, *origin]), renamed)


def build(
    shape: RowShape, block: RecordBlock, parsed: Parsed, streams: Mapping[int, str], *, kafka: bool = True
) -> pa.RecordBatch:
    """Return the rows of a block.

    Args:
        shape: for `parsed.table`'s schema.
        block: the records that were parsed.
        parsed: what came of their values.
        streams: generation → "host:path", as far as it is known.
        kafka: False = the records never were in Kafka: kafka_* are null.
    """
    rows = parsed.rows
    columns = [*parsed.table.columns, *_kafka(block, rows, kafka), *origin_columns(block, rows, streams)]
    columns.append(_flags(block, rows))
    return pa.RecordBatch.from_arrays(columns, schema=shape.schema)


def _kafka(block: RecordBlock, rows: Int64s, kafka: bool) -> list[pa.Array]:
    if not kafka:
        return [pa.nulls(len(rows), kind) for name, kind in _ORIGIN if name.startswith("kafka_")]
    return [
        pa.array(np.full(len(rows), block.partition, np.int32)),
        pa.array(block.offsets[rows]),
        timestamps(block.timestamps[rows]),
        pa.nulls(len(rows), pa.binary()) if block.keys is None else block.keys.take(pa.array(rows)),
    ]


def timestamps(milliseconds: Int64s) -> pa.TimestampArray:
    """Return Kafka's timestamps as timestamp[us, UTC]; null for -1 (none) and for what microseconds can't hold."""
    missing = (milliseconds == -1) | _too_large(milliseconds)
    return pa.array(np.where(missing, 0, milliseconds) * 1_000, mask=missing).cast(TIME)


def lost_timestamps(milliseconds: Int64s) -> int:
    """Return how many timestamps `timestamps` makes null although the record had one: to be counted."""
    return int(_too_large(milliseconds).sum())


def _too_large(milliseconds: Int64s) -> Bools:
    return (milliseconds > _LARGEST_MS) | (milliseconds < -_LARGEST_MS)


def origin_columns(block: RecordBlock, rows: Int64s, streams: Mapping[int, str]) -> list[pa.Array]:
    """Return source_stream, source_generation and source_position of the given rows; null without `ingest-pos`."""
    present = block.identity.present[rows]
    missing = ~present
    generations, codes = np.unique(block.identity.generation[rows], return_inverse=True)
    names = pa.array([streams.get(int(generation)) for generation in generations], pa.string())
    digits = pa.array([f"{int(generation):016x}" for generation in generations], pa.string())
    index = pa.array(codes.astype(np.int32), mask=missing)
    return [names.take(index), digits.take(index), pa.array(block.identity.start[rows], mask=missing)]


def _flags(block: RecordBlock, rows: Int64s) -> pa.StringArray:
    if not block.flags:
        return pa.nulls(len(rows), pa.string())
    texts: list[str | None] = [None] * len(rows)
    for row, header in block.flags.items():
        at = int(np.searchsorted(rows, row))
        if at < len(rows) and rows[at] == row:
            texts[at] = flag_text(header)
    return pa.array(texts, pa.string())


def flag_text(header: bytes) -> str | None:
    """Return the names in the header `ingest-flags`, joined by commas; None where it isn't one of ours."""
    try:
        names = json.loads(header)["flags"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isalnum() for name in names):
        return None
    return ",".join(names) or None
