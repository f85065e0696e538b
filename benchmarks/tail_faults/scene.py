"""One case for one shipper: its files, its topic, and the shipper itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.tail_faults.logs import Lines, Live, Log, on_disk
from benchmarks.tail_faults.settings import Settings
from benchmarks.tail_faults.shippers import Shipper
from benchmarks.tail_faults.tally import Tally, Written, key_of
from benchmarks.tail_faults.topic import Watch
from tests.servers.kafka import KafkaServer

PARTITIONS = 2


@dataclass
class Scene:
    """Everything that a case plays with. `lives`: how often the shipper is killed where a case kills it."""

    settings: Settings
    directory: Path
    shipper: Shipper
    watch: Watch
    kafka: KafkaServer
    lives: int
    written: Written = field(default_factory=Written)
    note: str = ""

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self.lines = Lines(self.written, varied=self.settings.varied)
        self.log = self.file("app.log")
        self.random = random.Random(7)

    def file(self, name: str) -> Log:
        """Return a log of another name; lines are numbered through all of them."""
        return Log(self.directory / name, self.lines)

    def live(self, per_second: int, rotate_every: int | None = None) -> Live:
        """Return a writer that goes on beside what happens."""
        return Live(self.log, per_second, rotate_every)

    def start(self) -> None:
        self.shipper.start()

    def stop(self) -> None:
        self.shipper.stop()

    def caught_up(self) -> bool:
        """Wait until everything written so far is in Kafka, or nothing comes any more; return whether it is."""
        return self.watch.wait(self.written, lambda: self.shipper.alive)

    def begin(self, count: int = 1000) -> None:
        """Write some lines and have them shipped: the shipper follows the file then."""
        self.log.write(count)
        self.start()
        self.caught_up()

    def settle(self) -> Tally:
        """Wait until nothing comes any more; return what is wrong then."""
        return self.watch.settle(self.written, self.settings.patience)

    def unreadable(self) -> int:
        """Return how many of the missing lines are in no file any more."""
        there = {key_of(line) for line in on_disk(self.directory.parent)}
        return sum(key not in there for key in self.written.missing(self.watch.found))
