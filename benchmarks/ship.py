"""Files to Kafka: `ingest ship --once` beside rsyslog, librdkafka and kafka-python, with lz4 and acks from all.

The rate is the broker's: it dates each batch when it appends it.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.check import same
from benchmarks.data import Lines
from benchmarks.peers import rsyslog
from benchmarks.processes import Usage, run, run_until
from benchmarks.rounds import OURS, Contender, Outcome, Table, measure
from benchmarks.world import World, alone

SLOW = 20
"""kafka-python's send() gets that part of the lines only."""


def stage(world: World) -> list[Table]:
    """Measure on Apache lines against everybody, on JSON against librdkafka."""
    lines, json_lines = world.lines("clf"), world.lines("j230")
    few = world.lines("clf", max(lines.lines // SLOW, 1000))
    contenders = [
        Contender(OURS, into_topic(world, lambda topic, l: world.ship({topic: l.glob})), lines),
        Contender("librdkafka", into_topic(world, script(world, "ship_librdkafka")), lines),
        Contender("kafka-python", into_topic(world, script(world, "ship_kafka_python")), few),
    ]
    skipped = {}
    if (reason := rsyslog.missing()) is None:
        contenders.insert(1, Contender("rsyslog", into_topic(world, lambda t, l: _rsyslog(world, t, l)), lines))
    else:
        skipped["rsyslog"] = reason
    tables = [measure(world, "ship clf", "ship, Apache lines", contenders, skipped)]
    contenders = [
        Contender(OURS, into_topic(world, lambda topic, l: world.ship({topic: l.glob})), json_lines),
        Contender("librdkafka", into_topic(world, script(world, "ship_librdkafka")), json_lines),
    ]
    tables.append(measure(world, "ship j230", "ship, JSON", contenders))
    return report.show(world, tables)


def into_topic(world: World, work: Callable[[str, Lines], Usage]) -> Callable[[Lines], Outcome]:
    """Return a run that ships into a new topic, looks whether all is there, and deletes it."""

    def contend(lines: Lines) -> Outcome:
        topic = world.broker.new_topic(lines.spec.parts, "ship", dated=True)
        usage = work(topic, lines)
        found = world.check_topic(topic, lines)
        world.broker.delete(topic)
        return Outcome(dataclasses.replace(usage, work=found.seconds))

    return contend


def into_topics(world: World, lines: Lines) -> Outcome:
    """Ship each file into a new topic of its own."""
    topics = {world.broker.new_topic(1, "ship", dated=True): str(file) for file in lines.files}
    usage = world.ship(topics)
    found = [world.broker.content(topic, 1) for topic in topics]
    same("content of the topics", sum(each.crc for each in found), lines.crc)
    for topic in topics:
        world.broker.delete(topic)
    seconds = max(each.last for each in found) - min(each.first for each in found)
    return Outcome(dataclasses.replace(usage, work=seconds))


def script(world: World, name: str) -> Callable[[str, Lines], Usage]:
    """Return how a peer's script is run."""

    def work(topic: str, lines: Lines) -> Usage:
        return run([sys.executable, "-m", f"benchmarks.peers.{name}", world.broker.bootstrap, topic, *lines.files])

    return work


def _rsyslog(world: World, topic: str, lines: Lines) -> Usage:
    directory: Path = world.directory()
    command = rsyslog.command(directory, world.broker.bootstrap, topic, lines.glob)
    parts = lines.spec.parts
    usage = run_until(command, lambda: sum(world.broker.ends(topic, parts)) >= lines.lines)
    shutil.rmtree(directory)
    return usage


if __name__ == "__main__":
    alone(stage, __doc__)
