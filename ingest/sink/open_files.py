"""The files that are open for one topic partition: one for each kind and partition path.

Rows wait as columns. When a row group's worth waits for one path it goes to a local Parquet file; under memory pressure
less than that is set aside on the local disk instead, so that the number of partition paths costs neither memory nor
small files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ingest.blocks import Int64s
from ingest.sink.encode import EncodedFile, ParquetFile
from ingest.sink.spill import Extent, Spill

Kind = Literal["data", "quarantine"]


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A closed local file and where it belongs."""

    kind: Kind
    partition_path: str
    encoded: EncodedFile


@dataclass(slots=True)
class OpenFile:
    """Rows of one partition path: some in memory, some set aside, some in a local Parquet file.

    `waiting` is the memory that `batches` hold, `aside` the bytes behind `extents`. Times are event times in
    microseconds since 1970 UTC.
    """

    kind: Kind
    partition_path: str
    schema: pa.Schema
    batches: list[pa.RecordBatch] = field(default_factory=list)
    waiting: int = 0
    extents: list[Extent] = field(default_factory=list)
    aside: int = 0
    writer: ParquetFile | None = None
    first_offset: int = 0
    last_offset: int = -1
    min_time: int | None = None
    max_time: int | None = None

    def add(self, batch: pa.RecordBatch, offsets: Int64s, times: Int64s | None) -> None:
        """Append rows; `offsets` ascend."""
        if self.last_offset < 0:
            self.first_offset = int(offsets[0])
        self.last_offset = int(offsets[-1])
        self.batches.append(batch)
        self.waiting += batch.nbytes
        if times is not None:
            low, high = int(times.min()), int(times.max())
            self.min_time = low if self.min_time is None else min(self.min_time, low)
            self.max_time = high if self.max_time is None else max(self.max_time, high)


class OpenFiles:
    """All open files of a topic partition's range, and those of the same range that are closed already.

    Args:
        start: begins a local Parquet file of a kind and schema.
        spill: where rows are set aside.
        row_group: bytes of columns that are worth a row group.
        may_write: asked before another Parquet file is begun early; False = too many are open in this worker.
    """

    def __init__(
        self,
        start: Callable[[Kind, pa.Schema], ParquetFile],
        spill: Spill,
        row_group: int,
        may_write: Callable[[], bool],
    ) -> None:
        self._start = start
        self._spill = spill
        self._row_group = row_group
        self._may_write = may_write
        self._open: dict[tuple[Kind, str], OpenFile] = {}
        self._finished: list[FinishedFile] = []

    def __iter__(self) -> Iterator[OpenFile]:
        return iter(self._open.values())

    def add(
        self, kind: Kind, partition_path: str, batch: pa.RecordBatch, offsets: Int64s, times: Int64s | None
    ) -> None:
        """Append rows to the file of a partition path; a new schema closes the file and opens the next."""
        file = self._open.get((kind, partition_path))
        if file is not None and not file.schema.equals(batch.schema):
            self._finish(file)
            file = None
        if file is None:
            file = self._open[kind, partition_path] = OpenFile(kind, partition_path, batch.schema)
        file.add(batch, offsets, times)
        if file.waiting + file.aside >= self._row_group and (file.writer is not None or self._may_write()):
            self._write(file)

    @property
    def paths(self) -> set[str]:
        """Return the partition paths that hold rows."""
        return {path for kind, path in self._open if kind == "data"}

    @property
    def held(self) -> int:
        """Return the bytes of memory that the waiting rows hold."""
        return sum(file.waiting for file in self._open.values())

    @property
    def writers(self) -> int:
        """Return how many Parquet files are being written."""
        return sum(file.writer is not None for file in self._open.values())

    @property
    def encoded(self) -> int:
        """Return the bytes of Parquet so far; what is not encoded yet is counted at a quarter of its size in memory."""
        closed = sum(file.encoded.bytes for file in self._finished)
        return closed + sum(
            (file.waiting + file.aside) // 4 + (0 if file.writer is None else file.writer.bytes)
            for file in self._open.values()
        )

    def set_aside(self, file: OpenFile) -> None:
        """Give back the memory of one file's waiting rows."""
        batch = pa.Table.from_batches(file.batches, file.schema).combine_chunks().to_batches()
        for part in batch:
            file.extents.append(self._spill.append(part))
        file.aside += file.waiting
        file.batches, file.waiting = [], 0

    def finish(self) -> list[FinishedFile]:
        """Close everything and hand it over; the next range begins with nothing open."""
        for file in list(self._open.values()):
            self._finish(file)
        self._spill.clear()
        finished, self._finished = self._finished, []
        return finished

    def abandon(self) -> None:
        """Drop everything: the rows will be read again."""
        for file in self._open.values():
            if file.writer is not None:
                file.writer.abandon()
        for closed in self._finished:
            Path(closed.encoded.path).unlink()
        self._open.clear()
        self._finished.clear()
        self._spill.clear()

    def _write(self, file: OpenFile) -> None:
        """Move what was set aside and what waits into the Parquet file, a row group at a time."""
        if file.writer is None:
            file.writer = self._start(file.kind, file.schema)
        group: list[pa.RecordBatch] = []
        size = 0
        for batch in self._rows(file):
            group.append(batch)
            size += batch.nbytes
            if size >= self._row_group:
                file.writer.write(pa.Table.from_batches(group, file.schema))
                group, size = [], 0
        if group:
            file.writer.write(pa.Table.from_batches(group, file.schema))
        file.batches, file.waiting, file.extents, file.aside = [], 0, [], 0

    def _rows(self, file: OpenFile) -> Iterator[pa.RecordBatch]:
        for extent in file.extents:
            yield self._spill.read(extent, file.schema)
        yield from file.batches

    def _finish(self, file: OpenFile) -> None:
        if file.batches or file.extents:
            self._write(file)
        del self._open[file.kind, file.partition_path]
        if file.writer is not None:
            encoded = file.writer.close(
                first_offset=file.first_offset,
                last_offset=file.last_offset,
                min_time=file.min_time,
                max_time=file.max_time,
            )
            self._finished.append(FinishedFile(file.kind, file.partition_path, encoded))
