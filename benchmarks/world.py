"""What all stages share: the options of the run, real servers, lines on disk, topics that hold them."""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import product
from benchmarks.broker import Broker, Content
from benchmarks.check import same
from benchmarks.data import Lines, Spec, make
from benchmarks.processes import Usage, run
from tests.servers.hdfs import HdfsServer
from tests.servers.kafka import KafkaServer

ROOT = Path(__file__).resolve().parents[1]
PARTITIONS = 4
CACHE = ROOT / ".cache" / "bench"
RECORDS = 2_000_000
TINY = 8
"""Lines of a partition in the runs that tell what starting and ending costs."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person wants."""

    records: int = RECORDS
    pairs: int = 3
    quick: bool = False
    cache: Path = CACHE

    @property
    def fixed_runs(self) -> int:
        """Return how often the cost of starting is taken."""
        return 1 if self.quick else 2


class World:
    """A context manager; servers start when they are first asked for and end with it."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self._stack = ExitStack()
        self._numbers = itertools.count()
        self.fixed: dict[tuple[str, str, int], float] = {}
        """What starting costs, found so far: stage, contender, partitions → CPU seconds."""
        self._filled: dict[tuple[Spec, int], list[str]] = {}

    def __enter__(self) -> Self:
        self.choices.cache.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=self.choices.cache, prefix="run-", ignore_cleanup_errors=True)
        self._work = Path(self._stack.enter_context(work))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    # ── servers ──────────────────────────────────────────────────────────────

    @cached_property
    def kafka(self) -> KafkaServer:
        """Return the server, with the JVM's own settings, which is fast after a while.

        Indices are small: Linux fills each of the usual 10 MiB with zeros when it is first touched, which a topic in
        use does once and a benchmark that makes 64 partitions for each run does all the time (0.5 s for an append).
        """
        say("starting Kafka …")
        index = {"log.index.size.max.bytes": str(1 << 20)}
        server = KafkaServer(self._work / "kafka", heap="1g", jvm=(), properties=index)
        return self._stack.enter_context(server)

    @cached_property
    def broker(self) -> Broker:
        """Return how the harness looks into the server."""
        broker = Broker(self.kafka.bootstrap)
        self._stack.callback(broker.close)
        return broker

    @cached_property
    def hdfs(self) -> HdfsServer:
        """Return a NameNode with a DataNode; blocks have the usual size."""
        say("starting HDFS …")
        server = HdfsServer(self._work / "hdfs", jvm=(), properties={"dfs.blocksize": str(128 << 20)})
        return self._stack.enter_context(server)

    # ── what is worked on ────────────────────────────────────────────────────

    def directory(self) -> Path:
        """Return a fresh directory."""
        path = self._work / f"d{next(self._numbers)}"
        path.mkdir()
        return path

    def lines(self, kind: str, records: int | None = None, parts: int = PARTITIONS, hours: int = 1) -> Lines:
        """Return lines, made now or in an earlier run."""
        count = self.choices.records if records is None else records
        return make(Spec(kind, count - count % parts, parts=parts, hours=hours), self.choices.cache / "data")

    def tiny(self, lines: Lines) -> Lines:
        """Return a few lines of the same kind and shape."""
        spec = lines.spec
        return self.lines(spec.kind, TINY * spec.parts, spec.parts, spec.hours)

    def ship(self, globs: dict[str, str]) -> Usage:
        """Ship files with the product, topic → glob; returns what that took."""
        directory = self.directory()
        config = product.configuration(directory, self.broker.bootstrap, globs)
        usage = run([product.INGEST, "ship", "-c", config, "--once"])
        shutil.rmtree(directory)
        return usage

    def check_topic(self, topic: str, lines: Lines) -> Content:
        """Return what a topic holds; raises WrongResult unless it is exactly these lines."""
        found = self.broker.content(topic, lines.spec.parts)
        same(f"content of {topic}", found, Content(lines.lines, lines.bytes, lines.crc))
        return found

    def filled(self, lines: Lines, topics: int = 1) -> list[str]:
        """Return topics that hold the lines: one with a partition for each file, or one for each file.

        They are shipped by the product, checked, and kept for the rest of the run.
        """
        key = lines.spec, topics
        if key not in self._filled:
            say(f"filling a topic with {lines.spec.name} …")
            if topics == 1:
                names = [self.broker.new_topic(lines.spec.parts, lines.spec.kind)]
                self.ship({names[0]: lines.glob})
                self.check_topic(names[0], lines)
            else:
                same("files for topics", len(lines.files), topics)
                names = [self.broker.new_topic(1, lines.spec.kind) for _ in lines.files]
                self.ship({name: str(file) for name, file in zip(names, lines.files, strict=True)})
                crc = sum(self.broker.content(name, 1).crc for name in names)
                same(f"content of {topics} topics", crc, lines.crc)
            self._filled[key] = names
        return self._filled[key]


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every stage takes."""
    parser.add_argument("--records", type=int, help="lines of a run (2,000,000; quick: 300,000)")
    parser.add_argument("--pairs", type=int, help="rounds in which all contenders have a turn (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="two minutes, to see that everything works")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where lines are kept and servers work")


def choices(options: argparse.Namespace) -> Choices:
    """Return what was chosen."""
    return Choices(
        records=options.records or (300_000 if options.quick else RECORDS),
        pairs=options.pairs or (1 if options.quick else 3),
        quick=options.quick,
        cache=options.cache.resolve(),
    )


def alone(stage: Callable[[World], object], about: str | None) -> None:
    """Run one stage as a program."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(parser)
    with World(choices(parser.parse_args())) as world:
        stage(world)
