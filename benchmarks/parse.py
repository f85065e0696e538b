"""Values in memory into typed columns, one thread: the product's parsers beside pyarrow's, polars' and DuckDB's.

DuckDB reads its file (from the page cache) and finds the lines itself; polars and pyarrow get blocks of 1 MiB.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from functools import partial

from benchmarks import check, report
from benchmarks.data import Lines
from benchmarks.processes import run
from benchmarks.rounds import OURS, Contender, Outcome, Table, measure
from benchmarks.world import World, alone

MOST = 300_000
"""Lines: they and their columns are in memory."""

JSON_PEERS = ["pyarrow", "polars", "duckdb"]
PARSERS: dict[str, tuple[str, str, list[str]]] = {
    "json j360": ("j360", "json", JSON_PEERS),
    "json j230": ("j230", "json", JSON_PEERS),
    "json mixed": ("j230-mixed", "json", []),
    "raw": ("j230", "raw", []),
    "clf": ("clf", "clf", ["arrow csv", "arrow regex"]),
    "regex": ("clf", "regex", ["arrow regex"]),
    "logfmt": ("logfmt", "logfmt", []),
    "syslog": ("syslog", "syslog", []),
    "csv": ("csv", "csv", []),
}
"""Name of a measurement → kind of lines, the product's parser, peers."""


def stage(world: World) -> list[Table]:
    """Measure every parser that is installed."""
    from ingest.config.registry import Registry

    installed = Registry().names("parser")
    tables = []
    for key, (kind, parser, peers) in PARSERS.items():
        if parser not in installed:
            print(f"\nparse {key}: skipped, no parser {parser} is installed", flush=True)
            continue
        lines = world.lines(kind, min(world.choices.records, MOST), parts=1)
        contenders = [Contender(OURS, partial(_parse, f"ingest:{parser}"), lines, whole=False)]
        contenders += [Contender(peer, partial(_parse, peer), lines, whole=False) for peer in peers]
        tables.append(measure(world, f"parse {key}", f"parse, {key}, one thread", contenders))
    return report.show(world, tables)


def _parse(way: str, lines: Lines) -> Outcome:
    usage = run([sys.executable, "-m", "benchmarks.peers.parsing", way, lines.spec.kind, *lines.files])
    found = json.loads(usage.output)
    typed = lines.spec.kind.startswith("j") and way != "ingest:raw"
    bad = lines.bad if typed else 0
    expected = {"rows": lines.lines - bad, "rejects": bad, "checksum": check.expected(lines) if typed else 0}
    check.same(f"{way}, {lines.spec.name}", {key: found[key] for key in expected}, expected)
    return Outcome(dataclasses.replace(usage, cpu=found["cpu"], work=found["seconds"]))


if __name__ == "__main__":
    alone(stage, __doc__)
