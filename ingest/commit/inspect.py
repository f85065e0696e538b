"""One listed file against what its commit says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.api import Filesystem
from ingest.blocks import Int64s
from ingest.commit import chain
from ingest.commit.chain import Commit, CommitFile
from ingest.commit.reader import open_remote
from ingest.errors import FileMissing

CHUNK = 4 << 20
"""Bytes read at once: a bound on memory, whatever a file's size."""

OFFSET_COLUMN = "ingest.offset_column"
"""Metadata that names the column of offsets, where it is not called `kafka_offset` (a backfill: `source_position`)."""

TIME_COLUMN = "ingest.time_column"
"""Metadata that names the column of event times, timestamp[us, UTC]; without it times are not looked at."""


def bytes_differ(filesystem: Filesystem[Any], file: CommitFile) -> str | None:
    """Return how the file's bytes differ from the commit's length and digest, None if they don't.

    Raises:
        FileMissing: there is no such file.
    """
    size, digest = 0, 0
    while chunk := filesystem.read(file.path, size, CHUNK):
        digest = chain.crc32c_more(chunk, digest)
        size += len(chunk)
    if size != file.bytes:
        return f"{size} bytes, the commit says {file.bytes}"
    if digest != file.crc32c:
        return f"crc32c {digest}, the commit says {file.crc32c}"
    return None


def metadata_differs(metadata: pq.FileMetaData, commit: Commit, file: CommitFile) -> Iterator[str]:
    """Yield how a Parquet footer contradicts the commit."""
    if metadata.num_rows != file.rows:
        yield f"{metadata.num_rows} rows, the commit says {file.rows}"
    expected = {
        "ingest.topic": commit.topic,
        "ingest.partition": str(commit.partition),
        "ingest.first_offset": str(file.first_offset),
        "ingest.last_offset": str(file.last_offset),
        "ingest.rows": str(file.rows),
    }
    found = metadata.metadata or {}
    for name, value in expected.items():
        text = found.get(name.encode(), b"").decode("utf-8", "replace")
        if text != value:
            yield f'metadata {name} is "{text}", the commit says "{value}"'


def footer_of(filesystem: Filesystem[Any], file: CommitFile) -> pq.FileMetaData:
    """Return a listed file's footer.

    Raises:
        ArrowException, OSError: it is no Parquet file.
    """
    with open_remote(filesystem, file.path, file.bytes) as remote, pq.ParquetFile(remote) as parquet:
        return parquet.metadata


def offsets_of(filesystem: Filesystem[Any], commit: Commit, file: CommitFile) -> tuple[Int64s | None, list[str]]:
    """Read a file's rows; return their offsets (None where the file has no such column) and what is wrong with them.

    Raises:
        ArrowException, OSError: it can't be read.
    """
    with open_remote(filesystem, file.path, file.bytes) as remote, pq.ParquetFile(remote) as parquet:
        metadata = {key.decode(): value.decode() for key, value in (parquet.metadata.metadata or {}).items()}
        default = "source_position" if commit.key.is_backfill else "kafka_offset"
        column, time = metadata.get(OFFSET_COLUMN, default), metadata.get(TIME_COLUMN)
        table = parquet.read(columns=[name for name in (column, time) if name in parquet.schema_arrow.names])
    problems = list(_times_differ(table.column(time), file)) if time in table.column_names else []
    if column not in table.column_names:
        return None, [*problems, f'there is no column "{column}"']
    values = table.column(column)
    if values.null_count:
        return None, [*problems, f'the column "{column}" has {values.null_count} nulls']
    offsets: Int64s = values.to_numpy().astype(np.int64)
    ends = (int(offsets.min()), int(offsets.max())) if len(offsets) else None
    if ends != (file.first_offset, file.last_offset):
        problems.append(f"offsets {ends}, the commit says {(file.first_offset, file.last_offset)}")
    return offsets, problems


def _times_differ(column: pa.ChunkedArray, file: CommitFile) -> Iterator[str]:
    bounds = pc.min_max(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())).as_py()
    found, said = (bounds["min"], bounds["max"]), (file.min_time, file.max_time)
    if found != said:
        yield f"event times {found}, the commit says {said}"


def place_of(filesystem: Filesystem[Any], file: CommitFile) -> str:
    """Return "final", "staged" or "missing". A move that happens meanwhile is seen as one of the two, never as none."""
    for path, place in ((file.path, "final"), (file.stage, "staged"), (file.path, "final")):
        try:
            filesystem.read(path, 0, 1)
        except FileMissing:
            continue
        return place
    return "missing"
