"""Compares log files with a warehouse, byte for byte, using DuckDB and plain HTTP: nothing of ours reads the result."""

from __future__ import annotations

import gzip
import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; `missing` and `extra` count lines with their multiplicity."""

    lines: int
    rows: int
    missing: int
    extra: int
    examples: tuple[bytes, ...]
    rows_by_file: tuple[tuple[str, int], ...]

    @property
    def exact(self) -> bool:
        return self.lines > 0 and not self.missing and not self.extra


def lines_of(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        if content:
            yield from content.removesuffix(b"\n").split(b"\n")


def compare(files: Iterable[Path], topic_dir: Path) -> Comparison:
    """Compare the lines of `files` with the rows of raw Parquet files below `topic_dir`."""
    expected = Counter(lines_of(files))
    parquet = sorted(str(path) for path in topic_dir.rglob("*.parquet"))
    found: Counter[bytes] = Counter()
    by_file: Counter[str] = Counter()
    if parquet:
        with duckdb.connect() as connection:
            query = (
                "select coalesce(value_bytes, encode(value)) as line, filename from "
                "read_parquet($files, filename = true, union_by_name = true, hive_partitioning = false)"
            )
            cursor = connection.execute(query, {"files": parquet})
            while rows := cursor.fetchmany(50_000):
                found.update(line for line, _ in rows)
                by_file.update(name for _, name in rows)
    missing, extra = expected - found, found - expected
    examples = tuple(list(missing)[:3] + list(extra)[:3])
    return Comparison(expected.total(), found.total(), missing.total(), extra.total(), examples, tuple(by_file.items()))


def download(namenode: str, directory: str, target: Path) -> Path:
    """Copy the visible files below `directory` of an HDFS to `target`, by plain WebHDFS GET requests."""
    for path in visible_files(namenode, directory):
        copy = target / path.removeprefix(f"{directory}/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(_url(namenode, path, "OPEN"), timeout=60) as response:
            copy.write_bytes(response.read())
    return target


def visible_files(namenode: str, directory: str) -> list[str]:
    """Return the absolute paths of the files below `directory` that readers of a table see."""
    found = []
    for entry in _list(namenode, directory):
        name = entry["pathSuffix"]
        path = f"{directory}/{name}"
        if name.startswith(("_", ".")):
            continue
        found += visible_files(namenode, path) if entry["type"] == "DIRECTORY" else [path]
    return found


def _list(namenode: str, directory: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(_url(namenode, directory, "LISTSTATUS"), timeout=60) as response:
        return json.load(response)["FileStatuses"]["FileStatus"]


def _url(namenode: str, path: str, operation: str) -> str:
    return f"{namenode}/webhdfs/v1{urllib.parse.quote(path)}?op={operation}&user.name=ingest"
