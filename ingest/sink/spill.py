"""Columns set aside on the local disk, so that many small open files cost no memory.

One file for each topic partition, appended to, read back once when the range is closed. Nothing here needs to survive a
crash: what is open is read again from Kafka.
"""

from __future__ import annotations

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
    """An append-only file of record batches."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._end = 0

    def append(self, batch: pa.RecordBatch) -> Extent:
        """Set a batch aside. Raises OSError when the disk does not take it."""
        if self._file is None:
            self._file = self._path.open("w+b", buffering=0)
        encoded = memoryview(batch.serialize())
        extent = Extent(self._end, len(encoded))
        while encoded:
            encoded = encoded[self._file.write(encoded) :]
        self._end += extent.length
        return extent

    def read(self, extent: Extent, schema: pa.Schema) -> pa.RecordBatch:
        """Return a batch that was set aside with this schema."""
        if self._file is None:
            raise ValueError("nothing was set aside")
        self._file.seek(extent.start)
        return pa.ipc.read_record_batch(pa.py_buffer(self._file.read(extent.length)), schema)

    def clear(self) -> None:
        """Forget everything and give the disk space back."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._end = 0
            self._path.unlink()
