"""The only writer of Parquet files for the warehouse."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.sink.encodings import Encodings


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A finished local file. Offsets and times are inclusive; times in microseconds since 1970 UTC."""

    path: Path
    rows: int
    bytes: int
    crc32c: int
    first_offset: int
    last_offset: int
    min_time: int | None
    max_time: int | None


class ParquetFile:
    """A Parquet file being written to the local disk.

    Until `close` has returned there is no file that a reader could take for a whole one: its footer comes last, and
    after any failure the file is removed. As a context manager it abandons the file unless it was closed.

    Args:
        path: must not exist.
        schema: of every table written.
        encodings: how columns are written.
        topic: for the metadata.
        partition: for the metadata, as its chain names it; None = no chain has it.
        offset_column: for the metadata, where the column of offsets is not called what readers expect.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        encodings: Encodings,
        *,
        topic: str = "",
        partition: int | str | None = None,
        offset_column: str | None = None,
    ) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0
        self._topic = topic
        self._partition = partition
        self._offset_column = offset_column
        self._encodings = encodings
        self._writer: pq.ParquetWriter | None = None
        self._sink = _CheckedFile(path)

    @property
    def bytes(self) -> int:
        """Return the bytes written so far."""
        return self._sink.size

    def write(self, table: pa.Table) -> None:
        """Append a row group, or several where it has more rows than one may. On any error the file is gone.

        Raises:
            OSError: the disk did not take it.
            ValueError: the table has other columns than the file.
        """
        if not table.num_rows:
            return
        with self._whole_or_gone():
            if not table.schema.equals(self.schema):
                raise ValueError(f"{self.path}: the file has the columns {self.schema.names}, not {table.schema.names}")
            self._opened(table).write_table(table, row_group_size=self._encodings.row_group)
            self.rows += table.num_rows

    def close(
        self, first_offset: int, last_offset: int, min_time: int | None = None, max_time: int | None = None
    ) -> EncodedFile:
        """Write the footer, make the file durable, and say what it is. On any error the file is gone.

        The directory is not synced: the name is durable only once its directory is.

        Args:
            first_offset: of its first row.
            last_offset: of its last row, inclusive.
            min_time: smallest event time, microseconds since 1970 UTC.
            max_time: largest event time.

        Raises:
            OSError: the disk did not take it, or does not hold what was written.
        """
        with self._whole_or_gone():
            writer = self._opened(self.schema.empty_table())
            writer.add_key_value_metadata(self._metadata(first_offset, last_offset))
            writer.close()
            self._sink.finish()
        return EncodedFile(
            self.path, self.rows, self._sink.size, self._sink.crc, first_offset, last_offset, min_time, max_time
        )

    def abandon(self) -> None:
        """Remove the file; harmless after `close` failed or was done twice, not to be called on a file that is needed.

        Raises:
            OSError: it could not be removed.
        """
        self._sink.discard()
        if self._writer is not None and self._writer.is_open:
            # Frees what it holds. Its last bytes go nowhere, and after a failure it may complain once more.
            with contextlib.suppress(pa.ArrowException, OSError):
                self._writer.close()
            self._writer.is_open = False
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._sink.closed:
            self.abandon()

    @contextlib.contextmanager
    def _whole_or_gone(self) -> Any:
        try:
            yield
        except BaseException:
            self.abandon()
            raise

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, self.schema, **self._encodings.of(first))
        return self._writer

    def _metadata(self, first_offset: int, last_offset: int) -> Mapping[str, str]:
        found = {
            "ingest.topic": self._topic,
            "ingest.first_offset": str(first_offset),
            "ingest.last_offset": str(last_offset),
            "ingest.rows": str(self.rows),
        }
        if self._partition is not None:
            found["ingest.partition"] = str(self._partition)
        if self._offset_column is not None:
            found["ingest.offset_column"] = self._offset_column
        return found


class _CheckedFile(io.RawIOBase):
    """A new local file that knows the crc32c of what was written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = path.open("xb", buffering=0)
        self._discarded = False
        self.size = 0
        self.crc = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any) -> int:
        """Write all of it."""
        rest = memoryview(data).cast("B")
        length = len(rest)
        if self._discarded:
            return length
        self.crc = crc32c.crc32c(rest, self.crc)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += length
        return length

    def finish(self) -> None:
        """Make it durable and close it; raises OSError when the file holds less than was written."""
        os.fsync(self._file.fileno())
        held = os.fstat(self._file.fileno()).st_size
        self._file.close()
        if held != self.size:
            raise OSError(f"{self._path}: {self.size} bytes were written, the file holds {held}")
        super().close()

    def discard(self) -> None:
        """Take no more, and close it without a promise."""
        self._discarded = True
        self._file.close()

    def close(self) -> None:
        """Nothing: Parquet's writer must not decide when the file is whole."""
