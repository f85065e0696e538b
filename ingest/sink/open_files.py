"""The files that are open for one topic partition: one for each kind and partition path.

Rows wait as columns. When a row group's worth waits for one path it goes to a local Parquet file. Under memory pressure
a quarter of that goes there too; what is less is set aside on the local disk instead, so that the number of partition
paths costs neither memory nor small files, nor many small row groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pyarrow as pa

from ingest.blocks import Int64s
from ingest.sink.background import BackgroundFile
from ingest.sink.encode import EncodedFile, ParquetFile
from ingest.sink.spill import Extent, Spill
from ingest.sink.spool import remove, spooling

Kind = Literal["data", "quarantine"]
Writer: TypeAlias = ParquetFile | BackgroundFile

COLUMN_COST = 400
"""Bytes of memory that a column of a batch costs besides its values: small batches are mostly that."""

SMALLEST = 4
"""One part in so many of a row group is worth one where memory is short: setting rows aside costs more than that."""

SQUEEZE = 4
"""Columns in memory shrink to about a quarter in a Parquet file."""


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A closed local file and where it belongs."""

    kind: Kind
    partition_path: str
    encoded: EncodedFile


@dataclass(slots=True, eq=False)
class OpenFile:
    """Rows of one partition path: some in memory, some set aside, some in a local Parquet file.

    `waiting` is the memory that `batches` hold, `aside` the bytes behind `extents`. Times are event times in
    microseconds since 1970 UTC; offsets are inclusive.
    """

    kind: Kind
    partition_path: str
    schema: pa.Schema
    first_offset: int
    last_offset: int
    batches: list[pa.RecordBatch] = field(default_factory=list)
    waiting: int = 0
    extents: list[Extent] = field(default_factory=list)
    aside: int = 0
    writer: Writer | None = None
    min_time: int | None = None
    max_time: int | None = None

    def add(self, batch: pa.RecordBatch, offsets: Int64s, times: Int64s | None) -> int:
        """Append rows; return the memory that they hold."""
        # Rows that overlap go to quarantine before those of the same block that can't be parsed.
        self.first_offset = min(self.first_offset, int(offsets[0]))
        self.last_offset = max(self.last_offset, int(offsets[-1]))
        if times is not None:
            low, high = int(times.min()), int(times.max())
            self.min_time = low if self.min_time is None else min(self.min_time, low)
            self.max_time = high if self.max_time is None else max(self.max_time, high)
        self.batches.append(batch)
        size = cost(batch)
        self.waiting += size
        return size


class OpenFiles:
    """All open files of a topic partition's range, and those of the same range that are closed already.

    After any error only `abandon` may be called.

    Args:
        start: begins a local Parquet file of a kind and schema.
        spill: where rows are set aside.
        row_group: bytes of columns that are worth a row group.
        may_write: asked before another Parquet file is begun early; False = too many are open in this worker.
    """

    def __init__(
        self,
        start: Callable[[Kind, pa.Schema], Writer],
        spill: Spill,
        row_group: int,
        may_write: Callable[[], bool],
    ) -> None:
        self.held = 0
        """Bytes of memory that the waiting rows hold."""
        self._start = start
        self._spill = spill
        self._row_group = row_group
        self._may_write = may_write
        self._open: dict[tuple[Kind, str], OpenFile] = {}
        self._writing: set[OpenFile] = set()
        self._aside = 0
        self._finished: list[FinishedFile] = []
        self._finished_bytes = 0

    def __iter__(self) -> Iterator[OpenFile]:
        return iter(self._open.values())

    def add(
        self, kind: Kind, partition_path: str, batch: pa.RecordBatch, offsets: Int64s, times: Int64s | None
    ) -> None:
        """Append rows to the file of a partition path; a new schema closes the file and opens the next.

        Args:
            kind: of the file.
            partition_path: where it belongs.
            batch: at least one row.
            offsets: int64[n] of the rows, ascending.
            times: int64[n], their event times; None = they have none.

        Raises:
            SpoolFailed: the local disk is full or broken.
        """
        file = self._open.get((kind, partition_path))
        with spooling():
            if file is not None and not file.schema.equals(batch.schema):
                self._finish(file)
                file = None
            if file is None:
                ends = int(offsets[0]), int(offsets[-1])
                file = self._open[kind, partition_path] = OpenFile(kind, partition_path, batch.schema, *ends)
            self.held += file.add(batch, offsets, times)
            if self._is_worth_writing(file, self._row_group):
                self._write(file)

    @property
    def paths(self) -> set[str]:
        """Return the partition paths that hold rows."""
        return {path for kind, path in self._open if kind == "data"}

    @property
    def writers(self) -> int:
        """Return how many Parquet files are being written."""
        return len(self._writing)

    @property
    def encoded(self) -> int:
        """Return the bytes of Parquet so far; what is not encoded yet is counted at a quarter of its size in memory."""
        written = sum(file.writer.bytes for file in self._writing if file.writer is not None)
        return self._finished_bytes + (self.held + self._aside) // SQUEEZE + written

    def set_aside(self, file: OpenFile) -> None:
        """Give back the memory of one file's waiting rows.

        Raises:
            SpoolFailed: the local disk is full or broken.
        """
        with spooling():
            if self._is_worth_writing(file, self._row_group // SMALLEST):
                self._write(file)
                return
            for part in merged(file.batches, file.schema, self._row_group):
                file.extents.append(self._spill.append(part))
        self.held -= file.waiting
        self._aside += file.waiting
        file.aside += file.waiting
        file.batches, file.waiting = [], 0

    def finish(self) -> list[FinishedFile]:
        """Close everything and hand it over; the next range begins with nothing open.

        Raises:
            SpoolFailed: the local disk is full or broken.
        """
        with spooling():
            for file in list(self._open.values()):
                self._finish(file)
            self._spill.clear()
        finished, self._finished = self._finished, []
        self._finished_bytes = 0
        return finished

    def abandon(self) -> None:
        """Drop everything: the rows will be read again.

        Raises:
            SpoolFailed: a file could not be deleted; nothing else is left.
        """
        with spooling(), ExitStack() as everything:
            everything.callback(self._spill.clear)
            everything.callback(remove, [closed.encoded.path for closed in self._finished])
            for file in self._writing:
                if file.writer is not None:
                    everything.callback(file.writer.abandon)
            self._open.clear()
            self._writing.clear()
            self._finished = []
            self.held = self._aside = self._finished_bytes = 0

    def _is_worth_writing(self, file: OpenFile, size: int) -> bool:
        return file.waiting + file.aside >= size and (file.writer is not None or self._may_write())

    def _write(self, file: OpenFile) -> None:
        """Move what was set aside and what waits into the Parquet file, a row group at a time."""
        if file.writer is None:
            file.writer = self._start(file.kind, file.schema)
            self._writing.add(file)
        for table in row_groups(self._rows(file), file.schema, self._row_group):
            file.writer.write(table)
        self.held -= file.waiting
        self._aside -= file.aside
        file.batches, file.waiting, file.extents, file.aside = [], 0, [], 0

    def _rows(self, file: OpenFile) -> Iterator[pa.RecordBatch]:
        for extent in file.extents:
            yield self._spill.read(extent, file.schema)
        yield from file.batches

    def _finish(self, file: OpenFile) -> None:
        if file.batches or file.extents:
            self._write(file)
        assert file.writer is not None
        encoded = file.writer.close(
            first_offset=file.first_offset,
            last_offset=file.last_offset,
            min_time=file.min_time,
            max_time=file.max_time,
        )
        self._writing.discard(file)
        del self._open[file.kind, file.partition_path]
        self._finished.append(FinishedFile(file.kind, file.partition_path, encoded))
        self._finished_bytes += encoded.bytes


def cost(batch: pa.RecordBatch) -> int:
    """Return the memory that a batch holds."""
    return int(batch.nbytes) + COLUMN_COST * int(batch.num_columns)


def row_groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """Yield tables of at least `size` bytes, made of neighbouring batches; the last one may be smaller."""
    group: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        group.append(batch)
        held += batch.nbytes
        if held >= size:
            yield pa.Table.from_batches(group, schema)
            group, held = [], 0
    if group:
        yield pa.Table.from_batches(group, schema)


def merged(batches: Sequence[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of about `size` bytes, so that neither many small ones nor a huge one is left."""
    for table in row_groups(iter(batches), schema, size):
        yield from table.combine_chunks().to_batches()
