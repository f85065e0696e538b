"""Tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.rounds import Outcome, Series, Table
from benchmarks.world import World

LIBRARIES = ["kafka-python", "pyarrow", "numpy", "lz4", "zstandard", "confluent-kafka", "duckdb", "polars", "pyspark"]
HEAD = ("", "records/s", "MB/s", "µs CPU/rec", "RSS MB", "files", "MB out", "rest s", "faster", "cheaper")


def show(world: World, tables: list[Table]) -> list[Table]:
    """Print tables and write them to `results` in the cache; returns them."""
    results = world.choices.cache / "results"
    results.mkdir(exist_ok=True)
    for table in tables:
        print("\n" + text(table), flush=True)
        path = results / f"{table.key.replace(' ', '-')}.json"
        path.write_text(json.dumps({**machine(), **_plain(table), "quick": world.choices.quick}, indent=1) + "\n")
    return tables


def text(table: Table) -> str:
    """Return a table as text. The last columns say how many times as fast and cheap as the others the first one is."""
    lines = table.lines
    rounds = len(next(iter(table.series.values())).outcomes)
    title = (
        f"{table.title} · {lines.lines:,} lines of {lines.bytes / lines.lines:.0f} B · median of {rounds} "
        f"round{'s' if rounds > 1 else ''} · others had {table.foreign:.0%} of the cores"
    )
    first = next(iter(table.series))
    rows = [HEAD, *(_row(table, first, series) for series in table.series.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    text = [title]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    text += [f"{name}: skipped, {reason}" for name, reason in table.skipped.items()]
    return "\n".join(text)


def _row(table: Table, first: str, series: Series) -> tuple[str, ...]:
    last = series.outcomes[-1]
    return (
        series.name,
        f"{series.rate:,.0f}",
        f"{series.megabytes:.0f}",
        f"{series.cost:.2f}",
        f"{series.rss / 1e6:.0f}",
        "" if last.files is None else str(last.files),
        "" if last.bytes_out is None else f"{last.bytes_out / 1e6:.1f}",
        f"{series.idle:.2f}" if series.idle else "",
        "" if series.name == first else f"{table.faster(first, series.name):.2f}×",
        "" if series.name == first else f"{table.cheaper(first, series.name):.2f}×",
    )


def _plain(table: Table) -> dict[str, Any]:
    def plain(series: Series) -> dict[str, Any]:
        return {
            "lines": series.lines.lines,
            "bytes": series.lines.bytes,
            "records_per_second": series.rate,
            "megabytes_per_second": series.megabytes,
            "cpu_us_per_record": series.cost,
            "peak_rss_bytes": series.rss,
            "fixed_cpu_seconds": series.fixed,
            "runs": [_run(outcome) for outcome in series.outcomes],
            "others_had": series.foreign,
        }

    first = next(iter(table.series))
    return {
        "key": table.key,
        "title": table.title,
        "data": dataclasses.asdict(table.lines.spec),
        "contenders": {name: plain(series) for name, series in table.series.items()},
        "faster_than": {name: table.faster(first, name) for name in table.series if name != first},
        "cheaper_than": {name: table.cheaper(first, name) for name in table.series if name != first},
        "skipped": table.skipped,
    }


def _run(outcome: Outcome) -> dict[str, Any]:
    found = dataclasses.asdict(outcome)
    del found["usage"]["output"]
    return found


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()
