"""Records that could not become rows: what is kept of them, and how many may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.blocks import Int64s, RecordBlock
from ingest.sink.rows import TIME, origin_columns, timestamps

PARSE, OVERLAP, ENCODE = "parse", "overlap", "encode"

SCHEMA = pa.schema(
    [
        ("raw", pa.binary()),
        ("reason", pa.string()),
        ("stage", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", TIME),
        ("source_stream", pa.string()),
        ("source_position", pa.int64()),
    ]
)


def quarantined(
    block: RecordBlock,
    rows: Int64s,
    reasons: Sequence[str],
    stage: str,
    streams: Mapping[int, str],
    *,
    kafka: bool = True,
) -> pa.RecordBatch:
    """Return the given rows of a block as they are kept in quarantine, with their bytes exactly.

    Args:
        block: the records.
        rows: int64[m], ascending: which of them.
        reasons: one for each row.
        stage: which step refused them: PARSE, OVERLAP or ENCODE.
        streams: generation → "host:path", as far as it is known.
        kafka: False = the records never were in Kafka: kafka_* are null.
    """
    stream, _, position = origin_columns(block, rows, streams)
    index = pa.array(rows)
    where = (
        [
            pa.array(np.full(len(rows), block.partition, np.int32)),
            pa.array(block.offsets[rows]),
            timestamps(block.timestamps[rows]),
        ]
        if kafka
        else [pa.nulls(len(rows), kind) for kind in (pa.int32(), pa.int64(), TIME)]
    )
    columns = [
        block.values.take(index),
        pa.array(reasons, pa.string()),
        pa.array([stage] * len(rows), pa.string()),
        *where,
        stream,
        position,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


@dataclass(frozen=True, slots=True)
class Window:
    """How many records the current window has seen, and how many of them were refused. Kept in every commit."""

    records: int = 0
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How many of a full window of `window` records may be refused: `max_ratio` of them, inclusive."""

    max_ratio: float
    window: int

    @property
    def allowed(self) -> int:
        """Return how many of a full window may be refused."""
        return int(self.max_ratio * self.window)

    def spend(self, before: Window, records: int, rejects: Int64s) -> tuple[Window, int | None]:
        """Count further records; windows follow one another without a gap.

        A window is judged by the records of a full one: it fails as soon as more are refused than a full one may have,
        and a few bad records at its beginning do not fail it.

        Args:
            before: the window as of the record before.
            records: how many there are now.
            rejects: int64[m], ascending: which of them, from 0, were refused.

        Returns:
            The window after them, and the index of the first record that is past the budget, or None.
        """
        windows = (before.records + rejects) // self.window
        earlier = np.where(windows == 0, before.rejects, 0)
        # A reject's number within its window: how many of the same window stand before it, itself included.
        ordinals = np.arange(len(rejects)) - np.searchsorted(windows, windows) + 1 + earlier
        past = np.flatnonzero(ordinals > self.allowed)
        whole, seen = divmod(before.records + records, self.window)
        last = int((windows == whole).sum()) + (before.rejects if whole == 0 else 0)
        return Window(seen, last), int(rejects[past[0]]) if len(past) else None
