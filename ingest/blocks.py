"""Columns: the blocks of many lines or records that flow between the parts.

    source ─ LineBlock ─ record batch ─ Kafka ─ RecordBlock ─ Parsed ─ Parquet

No interface hands out one line or one record. Arrays are numpy unless said; n is the number of rows.
Blocks are not changed once handed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s: TypeAlias = npt.NDArray[np.int64]
UInt64s: TypeAlias = npt.NDArray[np.uint64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_BLOCK = 2048
"""Bytes of memory that a block of lines takes besides its columns, on its way with all that belongs to it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One generation of one stream: what its lines have in common.

    `generation` is a random unsigned 64-bit id (os.urandom), new whenever the bytes start anew.
    `path` names the stream for people (a file's absolute path, "stdin", …).
    """

    generation: int
    host: str
    path: str
    source: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flag:
    """What is unusual about a line; travels in the record header `ingest-flags`.

    `names` are from "partial" (no newline at its end), "truncated" (cut at max_line). `length` is the original length
    in bytes where the line was cut, else None.
    """

    names: tuple[str, ...]
    length: int | None = None


@dataclass(frozen=True, slots=True)
class LineBlock:
    r"""Many lines of one stream, in order.

    Attributes:
        stream: whose lines these are.
        data: the bytes that hold the values; may hold others between them.
        starts: int64[n], first byte of each value in `data`.
        ends: int64[n], end (exclusive) of each value in `data`: without its \n, with its \r if it had one.
        positions: int64[n + 1], positions in the generation: record i covers [positions[i], positions[i + 1]), newline
            and bytes skipped before it included. positions[0] is the end of the last record before this block, so
            that the intervals of a generation are contiguous. With n = 0 it has one element.
        end: position up to which the stream was read, >= positions[-1]; more where trailing bytes were skipped.
        flags: row → Flag, only for the unusual ones.
        boundary: the last line's end is not decided by the bytes alone (a partial line given out at close, a multiline
            timeout): it must be durable before the block is sent, and be kept when the bytes are read again.
        state: the source's own snapshot of the stream as of `end`, JSON-able; comes back through `StreamState`.
        dropped: reason → lines that were left out ("empty_line") or lost their end ("truncated"), for the counter.
    """

    stream: Stream
    data: bytes
    starts: Int64s
    ends: Int64s
    positions: Int64s
    end: int
    flags: Mapping[int, Flag] = field(default_factory=dict)
    boundary: bool = False
    state: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.starts)

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that the block holds on to, roughly."""
        return _BLOCK + len(self.data) + self.starts.nbytes * 3


@dataclass(frozen=True, slots=True)
class Identity:
    """The columns of the header `ingest-pos`.

    Attributes:
        present: bool[n], rows that carry the header in its valid form (start < end < 2^63); the others hold zeros.
        generation: uint64[n].
        start: int64[n], position of the line's first byte in the generation.
        end: int64[n], exclusive, newline included.
    """

    present: Bools
    generation: UInt64s
    start: Int64s
    end: Int64s

    @classmethod
    def none(cls, rows: int) -> Identity:
        """Return the columns of `rows` records without the header."""
        return cls(
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.uint64),
            np.zeros(rows, np.int64),
            np.zeros(rows, np.int64),
        )

    def take(self, rows: Int64s) -> Identity:
        """Return the given rows."""
        return Identity(self.present[rows], self.generation[rows], self.start[rows], self.end[rows])


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Many records of one topic partition, in order of offset; control and aborted records are not among them.

    Attributes:
        topic: Kafka's.
        partition: Kafka's.
        offsets: int64[n], ascending, not necessarily without gaps.
        timestamps: int64[n], milliseconds since 1970 UTC; -1 = the record has none.
        values: pyarrow BinaryArray[n]; null = tombstone.
        keys: pyarrow BinaryArray[n], or None when all keys are null.
        identity: columns of the header `ingest-pos`.
        sources: row → bytes of the header `ingest-src`, where present.
        flags: row → bytes of the header `ingest-flags`, where present.
        next_offset: first offset after everything this block accounts for, control and aborted records included.
        leader_epoch: of the last batch, -1 = unknown.
        nbytes: bytes fetched for it.
        begin: first offset that this block accounts for: the block before ended there, or reading began there.
    """

    topic: str
    partition: int
    offsets: Int64s
    timestamps: Int64s
    values: pa.BinaryArray
    keys: pa.BinaryArray | None
    identity: Identity
    sources: Mapping[int, bytes]
    flags: Mapping[int, bytes]
    next_offset: int
    leader_epoch: int = -1
    nbytes: int = 0
    begin: int = 0

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.offsets)

    def take(self, rows: Int64s) -> RecordBlock:
        """Return the given rows (ascending); `next_offset` and `leader_epoch` stay those of the whole block."""
        index = pa.array(rows)
        renumber = {int(old): new for new, old in enumerate(rows)} if self.sources or self.flags else {}
        return RecordBlock(
            self.topic,
            self.partition,
            self.offsets[rows],
            self.timestamps[rows],
            self.values.take(index),
            None if self.keys is None else self.keys.take(index),
            self.identity.take(rows),
            {renumber[row]: value for row, value in self.sources.items() if row in renumber},
            {renumber[row]: value for row, value in self.flags.items() if row in renumber},
            self.next_offset,
            self.leader_epoch,
            self.nbytes,
            self.begin,
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser made of n values.

    Attributes:
        table: pyarrow RecordBatch[k], one row for each value that was parsed, in order, exactly the schema asked for.
        rows: int64[k], ascending: which value each row came from.
        rejects: int64[m], ascending: which values were refused. Every value is in `rows` or in `rejects`, never both.
        reasons: m short texts, a fixed vocabulary per parser ("not a JSON object", "duplicate key"): they become metric
            labels, so no value of a record may be in them.
        new_columns: fields found in the data that the schema lacks. When not empty the rest is void: agree on the
            columns with the other workers, then parse again with the agreed schema.
        counted: reason → how many values were accepted but changed (digits of a timestamp cut).
    """

    table: pa.RecordBatch
    rows: Int64s
    rejects: Int64s
    reasons: list[str]
    new_columns: tuple[pa.Field, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
