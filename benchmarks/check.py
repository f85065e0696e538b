"""Whether a result is right, before anybody says how fast it came: rows, offsets and a checksum over all columns.

The checksum is the sum of a hash of each row, so that neither order nor files matter. What it must be comes from DuckDB
reading the bare lines.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmarks.data import Lines
from benchmarks.peers.bare import DUCKDB
from benchmarks.shapes import schema


class WrongResult(RuntimeError):
    """What was written is not what was read: no figure may be taken of it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What lies in a warehouse."""

    rows: int
    checksum: int
    offsets: int | None
    """Sum of the Kafka offsets; None where there are none."""
    files: int
    bytes: int


def same(what: str, found: object, expected: object) -> None:
    """Raise WrongResult unless both are equal."""
    if found != expected:
        raise WrongResult(f"{what}: found {found}, expected {expected}")


def expected(lines: Lines) -> int:
    """Return the checksum that JSON lines must have as rows; remembered beside them."""
    memory = lines.directory / f"checksum-duckdb-{duckdb.__version__}.json"
    if not memory.exists():
        kinds = {name: DUCKDB.get(kind, kind.upper()) for name, kind in schema(lines.spec.kind).items()}
        files = [str(file) for file in lines.good]
        with duckdb.connect() as connection:
            rows = connection.sql(f"select * from read_json({files}, columns={kinds}, format='newline_delimited')")
            count, checksum = _checksum(rows, schema(lines.spec.kind))
        same("rows of the bare file", count, lines.lines - lines.bad)
        memory.write_text(json.dumps(checksum))
    return int(json.loads(memory.read_text()))


def parquet(directory: Path, columns: Mapping[str, str]) -> Written:
    """Read the visible Parquet files below a directory; without `columns` the column `value` is the line."""
    files = visible(directory)
    with duckdb.connect() as connection:
        names = [str(file) for file in files]
        rows = connection.sql(f"select * from read_parquet({names}, hive_partitioning=false, union_by_name=true)")
        offsets = None
        if "kafka_offset" in rows.columns:
            offsets = int(rows.aggregate("sum(kafka_offset)").fetchall()[0][0] or 0)
        if columns:
            count, checksum = _checksum(rows, columns)
        else:
            count, checksum = _lines(files)
    return Written(count, checksum, offsets, len(files), sum(file.stat().st_size for file in files))


def table(rows: pa.Table, columns: Mapping[str, str]) -> tuple[int, int]:
    """Return number and checksum of the rows of an Arrow table."""
    with duckdb.connect() as connection:
        return _checksum(connection.from_arrow(rows), columns)


def offsets_of(ends: Sequence[int]) -> int:
    """Return the sum of all offsets of partitions with these ends."""
    return sum(end * (end - 1) // 2 for end in ends)


def visible(directory: Path) -> list[Path]:
    """Return the Parquet files that readers see: nothing below a directory whose name begins with _."""
    found = directory.rglob("*.parquet")
    return sorted(file for file in found if not any(p.startswith("_") for p in file.relative_to(directory).parts))


def rejected(directory: Path) -> int:
    """Return the rows of all quarantine files of a warehouse."""
    files = [str(file) for file in (directory / "_quarantine").rglob("*.parquet")]
    return int(ds.dataset(files, format="parquet").count_rows()) if files else 0


def _checksum(rows: Any, columns: Mapping[str, str]) -> tuple[int, int]:
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    cells = ", ".join(_canonical(name, kinds[name]) for name in columns)
    count, checksum = rows.aggregate(f"count(*), sum(hash({cells})::hugeint)").fetchall()[0]
    return int(count), int(checksum or 0)


def _canonical(name: str, kind: str) -> str:
    """Return a cell as all contenders would write it: times as milliseconds, whole numbers as BIGINT."""
    if kind.startswith("TIMESTAMP"):
        return f'epoch_ms("{name}")'
    if kind.endswith("INT") or kind == "INTEGER":
        return f'"{name}"::BIGINT'
    return f'"{name}"'


def _lines(files: Sequence[Path]) -> tuple[int, int]:
    count = crc = 0
    for file in files:
        for batch in ds.dataset(file, format="parquet").to_batches():
            values = batch.column("value").cast(pa.binary())
            if "value_bytes" in batch.schema.names:
                values = pc.coalesce(batch.column("value_bytes"), values)
            lines = values.to_pylist()
            count += len(lines)
            crc += sum(map(zlib.crc32, lines))
    return count, crc
