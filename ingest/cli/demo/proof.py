"""Compares the log files with the warehouse, line by line: no counter of the program's own is believed."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

_FIELDS = ("ts", "level", "service", "host", "path", "status", "latency_ms", "msg", "trace")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is in the files and in the warehouse; equal lines count as often as they stand there."""

    lines: int
    rows: int
    missing: int
    duplicates: int
    bytes_in: int
    bytes_out: int
    files: int


def compare_raw(logs: Iterable[Path], table: Path) -> Comparison:
    """Compare lines with the rows of the parser `raw`, byte for byte."""

    def rows(batch: pa.RecordBatch) -> Iterator[bytes]:
        for text, raw in zip(batch["value"].to_pylist(), batch["value_bytes"].to_pylist(), strict=True):
            yield raw if raw is not None else text.encode()

    return _compare(logs, table, lambda line: line, ["value", "value_bytes"], rows)


def compare_json(logs: Iterable[Path], table: Path) -> Comparison:
    """Compare lines with typed rows: every field of every line, as a value."""

    def line(text: bytes) -> tuple[Any, ...]:
        fields = json.loads(text)
        return tuple(fields[name] for name in _FIELDS)

    def rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
        columns = [batch[name].to_pylist() for name in _FIELDS]
        columns[0] = [round(moment / datetime.timedelta(milliseconds=1)) for moment in _since_1970(columns[0])]
        yield from zip(*columns, strict=True)

    return _compare(logs, table, line, list(_FIELDS), rows)


def _since_1970(moments: list[datetime.datetime]) -> Iterator[datetime.timedelta]:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch for moment in moments)


def _compare(
    logs: Iterable[Path],
    table: Path,
    of_line: Callable[[bytes], Any],
    columns: list[str],
    of_rows: Callable[[pa.RecordBatch], Iterator[Any]],
) -> Comparison:
    contents = [log.read_bytes() for log in logs]
    expected = Counter(of_line(line) for content in contents for line in content.splitlines())
    found: Counter[Any] = Counter()
    files = sorted(table.rglob("*.parquet"))
    if files:
        for batch in ds.dataset(files, format="parquet").to_batches(columns=columns):
            found.update(of_rows(batch))
    return Comparison(
        lines=expected.total(),
        rows=found.total(),
        missing=(expected - found).total(),
        duplicates=(found - expected).total(),
        bytes_in=sum(map(len, contents)),
        bytes_out=sum(file.stat().st_size for file in files),
        files=len(files),
    )
