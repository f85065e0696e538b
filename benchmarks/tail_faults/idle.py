"""Very many files of which one grows: how late its lines are, and what the others cost.

`python -m benchmarks.tail_faults.idle [--files N] [--seconds N]` measures it for each shipper that is installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.processes import ContenderFailed
from benchmarks.tail_faults.logs import Lines, Log, until
from benchmarks.tail_faults.shippers import SHIPPERS, Shipper
from benchmarks.tail_faults.tally import Written
from benchmarks.world import World, arguments, choices, say

_TICK = os.sysconf("SC_CLK_TCK")
_RHYTHM = 0.25
"""Seconds between two lines of the file that grows."""


def measure(world: World, kind: type[Shipper], files: int, seconds: float) -> str:
    """Return what was found, in words."""
    directory = world.directory()
    logs = directory / "logs"
    logs.mkdir()
    lines = Lines(Written())
    for number in range(files):
        (logs / f"{number:06d}.log").write_bytes(lines.many(2))
    topic = world.broker.new_topic(1, "idle", dated=True)
    shipper = kind(directory, world.kafka.bootstrap, topic, str(logs / "*.log"))
    try:
        began = time.monotonic()
        shipper.start()
        whole = until(lambda: sum(world.broker.ends(topic, 1)) >= 2 * files, 240.0, 0.5)
        if not whole or not shipper.alive:
            return f"{kind.name}: {sum(world.broker.ends(topic, 1)):,} of {2 * files:,} lines after 240 s"
        first = time.monotonic() - began
        time.sleep(12.0)  # so that nothing of the beginning is left to do
        idle = _share(shipper.pid, seconds)
        late = _lateness(world, topic, Log(logs / "000000.log", lines), seconds)
        resident = _resident(shipper.pid)
    finally:
        shipper.kill()
    typical, worst = statistics.median(late), max(late)
    return (
        f"{kind.name}: {files:,} files read after {first:.0f} s; idle it takes {idle:.1%} of a core and "
        f"{resident:.0f} MB; a line of the one that grows is in Kafka after {typical:.2f} s, at most {worst:.2f} s"
    )


def _share(pid: int, seconds: float) -> float:
    """Return which part of a core a process takes."""
    before, began = _cpu(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu(pid) - before) / (time.monotonic() - began)


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:"))


def _lateness(world: World, topic: str, log: Log, seconds: float) -> list[float]:
    """Return for each line how long after it was written the broker appended it."""
    begin = sum(world.broker.ends(topic, 1))
    count = int(seconds / _RHYTHM)
    for _ in range(count):
        log.append(log.lines.one(f"{time.time():.6f}") + b"\n")
        time.sleep(_RHYTHM)
    if not until(lambda: sum(world.broker.ends(topic, 1)) >= begin + count, 60.0):
        raise ContenderFailed(f"{sum(world.broker.ends(topic, 1)) - begin} of {count} lines came within 60 s")
    reader = Consumer({"bootstrap.servers": world.kafka.bootstrap, "group.id": "idle", "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, 0, begin)])
    late: list[float] = []
    while len(late) < count:
        for message in reader.consume(count - len(late), 1.0):
            late.append(message.timestamp()[1] / 1000 - float((message.value() or b"").split()[1]))
    reader.close()
    return late


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50_000, help="how many there are")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each measurement takes")
    arguments(parser)
    options = parser.parse_args()
    with World(choices(options)) as world:
        for kind in SHIPPERS:
            if kind.missing() is None:
                say(f"{kind.name} …")
                print(measure(world, kind, options.files, options.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
