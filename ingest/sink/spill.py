"""Columns set aside on the local disk, so that many small open files cost no memory.

One file for each topic partition, appended to, read back once when a Parquet file takes the rows. Nothing here needs to
survive a crash: what is open is read again from Kafka.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a set-aside batch lies: [start, start + length) of the file."""

    start: int
    length: int


class Spill:
    """A file of record batches. Appending and reading may alternate: every access names its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._end = 0

    def append(self, batch: pa.RecordBatch) -> Extent:
        """Set a batch aside. After an error nothing of it counts. Raises OSError when the disk does not take it."""
        if self._file is None:
            self._file = self._path.open("x+b", buffering=0)
        rest = memoryview(batch.serialize())
        extent = Extent(self._end, len(rest))
        at = extent.start
        while rest:
            written = os.pwrite(self._file.fileno(), rest, at)
            rest, at = rest[written:], at + written
        self._end = at
        return extent

    def read(self, extent: Extent, schema: pa.Schema) -> pa.RecordBatch:
        """Return a batch that was set aside with this schema. Raises OSError when the disk does not give it back."""
        if self._file is None:
            raise ValueError("nothing was set aside")
        parts: list[bytes] = []
        at, end = extent.start, extent.start + extent.length
        while at < end:
            part = os.pread(self._file.fileno(), end - at, at)
            if not part:
                raise OSError(f"{self._path}: bytes {at} to {end} were set aside there and are gone")
            parts.append(part)
            at += len(part)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        return pa.ipc.read_record_batch(pa.py_buffer(whole), schema)

    def clear(self) -> None:
        """Forget everything and give the disk space back. Raises OSError when the file can't be deleted."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        self._end = 0
        self._path.unlink(missing_ok=True)
