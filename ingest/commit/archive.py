"""Archives: many folded commits in one Parquet file, one row each, with the record's exact bytes.

An archive tells its range in its footer, so that the end of all archives is known from the last bytes of the last one.
The column `generations` names in each row the stream generations that no later row of the same archive has: every
generation of an archive stands in it once, beside the newest record that knows it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.blocks import UInt64s
from ingest.commit.chain import Commit, crc32c
from ingest.errors import StateDamaged

TAIL_BYTES = 1 << 16
"""So many bytes of an archive's end hold its footer."""

_FIRST, _NEXT = b"ingest.first_offset", b"ingest.next_offset"
_FILE = pa.struct(
    [
        ("kind", pa.string()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("crc32c", pa.int64()),
        ("first_offset", pa.int64()),
        ("last_offset", pa.int64()),
        ("min_time", pa.int64()),
        ("max_time", pa.int64()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("first_offset", pa.int64()),
        ("next_offset", pa.int64()),
        ("kind", pa.string()),
        ("created_at", pa.string()),
        ("rows", pa.int64()),
        ("quarantined", pa.int64()),
        ("duplicates", pa.int64()),
        ("files", pa.list_(_FILE)),
        ("generations", pa.list_(pa.uint64())),
        ("crc32c", pa.int64()),
        ("record", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Archived:
    """One folded commit: its range, its record's exact bytes and the digest that was kept beside them."""

    first_offset: int
    next_offset: int
    crc32c: int
    record: bytes


def build(records: Sequence[tuple[Commit, bytes]]) -> bytes:
    """Return an archive of commits that follow each other without a gap, at least one, with their bytes."""
    newest = {generation: row for row, (commit, _) in enumerate(records) for generation in commit.streams}
    rows = [_row(row, commit, content, newest) for row, (commit, content) in enumerate(records)]
    ends = {_FIRST: str(records[0][0].first_offset), _NEXT: str(records[-1][0].next_offset)}
    table = pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata(ends))
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd", use_dictionary=False, write_statistics=["first_offset"])
    return target.getvalue()


def _row(row: int, commit: Commit, content: bytes, newest: dict[str, int]) -> dict[str, Any]:
    return {
        "first_offset": commit.first_offset,
        "next_offset": commit.next_offset,
        "kind": commit.kind,
        "created_at": commit.created_at,
        "rows": commit.rows,
        "quarantined": commit.quarantined,
        "duplicates": commit.duplicates,
        "files": [{name: getattr(file, name) for name in _FILE.names} for file in commit.files],
        "generations": sorted(int(generation, 16) for generation in commit.streams if newest[generation] == row),
        "crc32c": crc32c(content),
        "record": content,
    }


def range_of(end: bytes, path: str) -> tuple[int, int] | None:
    """Return the offsets [first, next) that an archive covers, from its last bytes; None when those are too few.

    Raises:
        StateDamaged: this is not the end of an archive.
    """
    if len(end) < 8 or end[-4:] != b"PAR1":
        raise StateDamaged(f"{path} is not a Parquet file: the archive is damaged. Run `ingest verify`")
    footer = int.from_bytes(end[-8:-4], "little") + 8
    if footer > len(end):
        return None
    try:
        metadata = pq.read_metadata(pa.BufferReader(end[-footer:])).metadata or {}
        return int(metadata[_FIRST]), int(metadata[_NEXT])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise StateDamaged(f"{path} is not an archive of commits: {str(error).strip()}. Run `ingest verify`") from error


def entries(source: Any, path: str) -> list[Archived]:
    """Return all commits of an archive, in order. `source` is a file object or a pyarrow buffer reader.

    Raises:
        StateDamaged: it can't be read.
    """
    columns = ["first_offset", "next_offset", "crc32c", "record"]
    return [Archived(**row) for row in _read(source, path, columns).to_pylist()]


def generations(source: Any, path: str) -> UInt64s:
    """Return the generations that an archive's records know, each once, ascending; reads no other column."""
    column = _read(source, path, ["generations"]).column("generations").combine_chunks()
    found: UInt64s = np.sort(column.flatten().to_numpy(zero_copy_only=False).astype(np.uint64))
    return found


def record_of(source: Any, path: str, generation: int) -> bytes | None:
    """Return the newest archived record that knows a generation, None if none does."""
    table = _read(source, path, ["generations", "record"])
    wanted = pa.scalar(generation, pa.uint64())
    for row, known in enumerate(table.column("generations")):
        if wanted in known.values:
            record: bytes = table.column("record")[row].as_py()
            return record
    return None


def _read(source: Any, path: str, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(source) as file:
            return file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise StateDamaged(f"{path} is not an archive of commits: {str(error).strip()}. Run `ingest verify`") from error
