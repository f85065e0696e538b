"""Parquet files whose row groups are encoded on other threads, while the next rows are read and parsed.

Encoding is a third of the sink's work, and all of it runs in Arrow without the interpreter's lock: so it costs the
thread that reads next to nothing.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pyarrow as pa

from ingest.sink.encode import EncodedFile, ParquetFile
from ingest.sink.threads import Pool


class Encoder:
    """Threads that encode, and a bound on how many row groups wait for them: each holds its memory until it is done."""

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._room = threading.BoundedSemaphore(most)

    def write(self, file: ParquetFile, table: pa.Table) -> Future[None]:
        """Begin to append a row group; waits while too many are under way."""
        self._room.acquire()

        def work() -> None:
            try:
                file.write(table)
            finally:
                self._room.release()

        return self._pool.submit(work)


class BackgroundFile:
    """A ParquetFile with one row group at most on its way. An error comes out of the next call.

    Args:
        file: from now on this object's alone.
        encoder: writes its row groups.
    """

    def __init__(self, file: ParquetFile, encoder: Encoder) -> None:
        self._file = file
        self._encoder = encoder
        self._writing: Future[None] | None = None

    @property
    def bytes(self) -> int:
        """Return the bytes written so far."""
        return self._file.bytes

    def write(self, table: pa.Table) -> None:
        """Append a row group; see `ParquetFile.write`."""
        self._settle()
        self._writing = self._encoder.write(self._file, table)

    def close(
        self, first_offset: int, last_offset: int, min_time: int | None = None, max_time: int | None = None
    ) -> EncodedFile:
        """Finish the file; see `ParquetFile.close`."""
        self._settle()
        return self._file.close(first_offset, last_offset, min_time, max_time)

    def abandon(self) -> None:
        """Remove the file; see `ParquetFile.abandon`."""
        if self._writing is not None:
            self._writing.exception()  # it matters no more, but the file must be at rest
        self._file.abandon()

    def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
