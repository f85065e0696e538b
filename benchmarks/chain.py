"""File → Kafka → Parquet, all at once on one machine: `ingest ship --once` with `ingest sink`, and `ingest run` alone.

The clock runs from the first record that Kafka appends to the last commit of the warehouse. The sink commits when it
has half of each partition, and the rest when nothing came for a fifth of a second, which the clock counts.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

from benchmarks import product, report
from benchmarks.data import Lines
from benchmarks.processes import Child, Usage, run_until
from benchmarks.rounds import OURS, Contender, Outcome, Table, measure
from benchmarks.shapes import schema
from benchmarks.sink import check_warehouse, destination
from benchmarks.world import World, alone

APART, TOGETHER = OURS, "ingest run"


def stage(world: World) -> list[Table]:
    """Measure two processes and one."""
    lines = world.lines("j230")
    contenders = [
        Contender(APART, partial(_chain, world, apart=True), lines),
        Contender(TOGETHER, partial(_chain, world, apart=False), lines),
    ]
    return report.show(world, [measure(world, "chain j230", "chain, file → Kafka → Parquet", contenders)])


def _chain(world: World, lines: Lines, *, apart: bool) -> Outcome:
    topic = world.broker.new_topic(lines.spec.parts, "chain", dated=True)
    directory = world.directory()
    root = directory / "warehouse"
    columns = schema(lines.spec.kind)
    rows = lines.lines // lines.spec.parts // 2
    table = destination(world, str(root), remote=False)
    sink = product.Sink([topic], table, directory.name, "json", columns, {"rows": rows, "idle": "200ms"})
    config = product.configuration(directory, world.broker.bootstrap, {topic: lines.glob}, sink)
    progress = Progress(root / "_ingest" / topic, world.broker.ends(topic, lines.spec.parts), lines.lines)
    if apart:
        usage = _two(config, progress)
    else:
        usage = run_until([product.INGEST, "run", "-c", config], progress.done)
    content = world.check_topic(topic, lines)
    written = check_warehouse(world, lines, root, [topic], columns)
    world.broker.delete(topic)
    shutil.rmtree(directory)
    return Outcome(dataclasses.replace(usage, work=progress.last - content.first), written.files, written.bytes)


def _two(config: Path, progress: Progress) -> Usage:
    ship = Child([product.INGEST, "ship", "-c", config, "--once"])
    try:
        sink = run_until([product.INGEST, "sink", "-c", config], progress.done)
        return Usage.together([sink, ship.wait()])
    finally:
        ship.kill()


class Progress:
    """How far the commit chains are, from the names and the content of their newest records."""

    def __init__(self, chains: Path, ends: list[int], records: int) -> None:
        self._chains = chains
        self._missing = records + sum(ends)
        self._next: dict[Path, int] = {}
        self._seen: set[Path] = set()
        self.last = 0.0
        """When the newest commit was published, unix time."""

    def done(self) -> bool:
        """Return whether everything is committed."""
        for path in self._chains.glob("*/*/commits/*.json"):
            if path not in self._seen:
                self._take(path)
        return sum(self._next.values()) >= self._missing

    def _take(self, path: Path) -> None:
        try:
            record = json.loads(path.read_bytes())
            self.last = max(self.last, path.stat().st_mtime)
        except FileNotFoundError:  # folded meanwhile: a later one says more
            return
        self._seen.add(path)
        partition = path.parent.parent
        self._next[partition] = max(self._next.get(partition, 0), record["next_offset"])


if __name__ == "__main__":
    alone(stage, __doc__)
