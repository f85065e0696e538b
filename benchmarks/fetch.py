"""Kafka to memory: the product's consumer with all columns, beside librdkafka's consume and kafka-python's poll."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable

from benchmarks import check, report
from benchmarks.data import Lines
from benchmarks.processes import run
from benchmarks.rounds import OURS, Contender, Outcome, Table, measure
from benchmarks.world import World, alone

SLOW = 10
"""kafka-python gets that part of the records only."""


def stage(world: World) -> list[Table]:
    """Measure on JSON and on Apache lines."""
    tables = []
    for kind in ("j230", "clf"):
        lines = world.lines(kind)
        few = world.lines(kind, lines.lines // SLOW)
        contenders = [
            Contender(OURS, _fetching(world, "ingest"), lines, whole=False),
            Contender("librdkafka", _fetching(world, "librdkafka"), lines, whole=False),
        ]
        if kind == "j230":
            contenders.append(Contender("kafka-python", _fetching(world, "kafka-python"), few, whole=False))
        for each in contenders:
            _fetch(world, each.name, world.lines(kind, lines.lines // SLOW), crc=True)
        tables.append(measure(world, f"fetch {kind}", f"fetch, {kind}", contenders))
    return report.show(world, tables)


def _fetching(world: World, way: str) -> Callable[[Lines], Outcome]:
    return lambda lines: _fetch(world, way, lines, crc=False)


def _fetch(world: World, way: str, lines: Lines, *, crc: bool) -> Outcome:
    """Fetch all; with `crc` the values themselves are compared, which is too slow to be timed."""
    topic = world.filled(lines)[0]
    ends = world.broker.ends(topic, lines.spec.parts)
    command = [sys.executable, "-m", "benchmarks.peers.fetching", way, world.broker.bootstrap, topic]
    usage = run([*command, ",".join(map(str, ends)), *(["--check"] if crc else [])])
    found = json.loads(usage.output)
    expected = (lines.lines, lines.bytes, check.offsets_of(ends), lines.crc if crc else 0)
    check.same(f"{way}, {topic}", tuple(found[key] for key in ("records", "bytes", "offsets", "crc")), expected)
    return Outcome(dataclasses.replace(usage, cpu=found["cpu"], work=found["seconds"]))


if __name__ == "__main__":
    alone(stage, __doc__)
