"""A look at the sink's work from outside: chains, Kafka's logs, the group's offsets. Nothing is changed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest import __version__
from ingest.api import Filesystem
from ingest.broker.admin import Topic
from ingest.broker.look import ClusterLook
from ingest.broker.membership import pattern_of
from ingest.clock import SystemClock
from ingest.commit import names
from ingest.commit.committer import ChainKey, Committer, Tail
from ingest.commit.root import Root, read_root
from ingest.config.load import Config
from ingest.config.registry import Registry
from ingest.errors import Fenced, StateDamaged, UsageError
from ingest.sink.loss import Bounds
from ingest.wiring.surroundings import connection, filesystem


@dataclass(frozen=True, slots=True)
class PartitionLook:
    """One topic partition.

    Attributes:
        topic, partition: Kafka's.
        tail: of its commit chain; None = no worker has begun it.
        bounds: its log; None = there is no such partition (any more).
        group_offset: what the consumer group was told; None = nothing.
        problem: why the chain can't be read; None = it can.
    """

    topic: str
    partition: int
    tail: Tail | None
    bounds: Bounds | None
    group_offset: int | None
    problem: str | None = None


@contextmanager
def warehouse_of(config: Config) -> Iterator[Filesystem[Any]]:
    """Give the destination of [sink]; ConfigError where there is no [sink]."""
    made = filesystem(config, config.require_sink())
    try:
        yield made
    finally:
        made.close()


@contextmanager
def warehouse_at(root: Path) -> Iterator[Filesystem[Any]]:
    """Give the warehouse in a local directory.

    Raises:
        UsageError: there is no such directory.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such directory")
    connector = Registry().filesystem("local")
    made: Filesystem[Any] = connector(connector.Options(type="local", root=str(root.absolute())))
    try:
        yield made
    finally:
        made.close()


def require_warehouse(warehouse: Filesystem[Any], where: object) -> None:
    """Make sure that something was ever written there: an empty mount point must not pass for a warehouse.

    Raises:
        UsageError: nothing was.
    """
    if not warehouse.list(names.META):
        raise UsageError(f"{where}: no warehouse: there is no {names.META} in it. Nothing was written yet, or not here")


class Look:
    """Looks at what the sink of one configuration works on.

    Raises:
        ConfigError: there is no [sink], or no broker in [kafka].
    """

    def __init__(self, config: Config, warehouse: Filesystem[Any]) -> None:
        config.require("sink")
        self._sink = config.require_sink()
        self._warehouse = warehouse
        self.cluster = ClusterLook(connection(config))

    def require_own_root(self) -> None:
        """Make sure that this warehouse was filled from this cluster by this group.

        Raises:
            UsageError: by another, or no sink has written there.
        """
        root = read_root(self._warehouse)
        if root is None:
            raise UsageError(
                f"{self._sink.destination.root}: no sink has written below this root yet, or its disk is not mounted"
            )
        if problem := stranger(root, self.cluster.cluster_id(), self._sink.group):
            raise UsageError(f"{self._sink.destination.root}: {problem}")

    def partitions(self) -> list[PartitionLook]:
        """Return every partition that Kafka or the warehouse knows of the sink's topics, in order.

        Chains are read before logs: a running sink can't get beyond the end of a log that was asked for later.
        """
        topics = self.cluster.topics(self._sink.topics, self._sink.patterns)
        pairs = [(topic.name, number) for topic in topics.values() for number in range(topic.partitions)]
        tails = {pair: self._tail(*pair) for pair in sorted({*pairs, *self._chains(topics)})}
        logs = self.cluster.log_bounds(pairs)
        told = self.cluster.group_offsets(self._sink.group, pairs)
        return [
            PartitionLook(*pair, tail, _bounds(pair, topics, logs), told.get(pair), problem)
            for pair, (tail, problem) in tails.items()
        ]

    def _tail(self, topic: str, partition: int) -> tuple[Tail | None, str | None]:
        try:
            return self.committer(topic, partition, "look").peek(), None
        except (StateDamaged, Fenced) as error:
            return None, str(error)

    def committer(self, topic: str, partition: int, worker: str) -> Committer:
        """Return a hand on the chain of a partition, in the name of `worker`."""
        return Committer(
            self._warehouse,
            ChainKey(topic, partition),
            worker=worker,
            version=__version__,
            now=SystemClock().now,
            new_id=lambda: uuid.uuid4().hex,
        )

    def _chains(self, topics: Mapping[str, Topic]) -> Iterator[tuple[str, int]]:
        """Yield the partitions that have a directory, also of topics that Kafka has no more."""
        for topic in {*topics, *self._sink.topics, *self._written()}:
            for entry in self._warehouse.list(names.topic_dir(topic)):
                number = names.parse_number(entry.name) if entry.directory else None
                if number is not None:
                    yield topic, number

    def _written(self) -> Iterator[str]:
        """Yield the topics in the warehouse that a pattern finds; a shortened name can't be told from here."""
        pattern = re.compile(pattern_of([], self._sink.patterns) or r"(?!)")
        for entry in self._warehouse.list(names.META):
            if entry.directory and "~" not in entry.name and pattern.match(unquote(entry.name)):
                yield unquote(entry.name)


def stranger(root: Root, cluster_id: str, group: str) -> str | None:
    """Return why a sink of this cluster and group must not touch a root; None = it is its own."""
    if (root.cluster_id, root.group) == (cluster_id, group):
        return None
    return (
        f"this warehouse belongs to the Kafka cluster {root.cluster_id} and the group {root.group}; this is the "
        f"cluster {cluster_id} and the group {group}"
    )


def _bounds(
    pair: tuple[str, int], topics: Mapping[str, Topic], logs: Mapping[tuple[str, int], tuple[int, int]]
) -> Bounds | None:
    return Bounds(*logs[pair], topics[pair[0]].id) if pair in logs else None
