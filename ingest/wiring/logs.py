"""What Kafka says of the logs of many partitions, asked few times.

A broker answers one request of a connection after the other, and holds a fetch back while it has nothing: a question on
the consumer's connection waits for that. So one question is asked for all partitions of a topic that this worker has.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ingest.broker.failures import TopicMissing
from ingest.errors import Unavailable
from ingest.sink.loss import Bounds

Pair = tuple[str, int]


class Asked(Protocol):
    """What is needed of the consumer; from any thread."""

    def beginning_offsets(self, partitions: Iterable[Pair]) -> Mapping[Pair, int]:
        """Return the first offset that each partition still holds."""

    def end_offsets(self, partitions: Iterable[Pair]) -> Mapping[Pair, int]:
        """Return each partition's end."""

    def topic_id(self, topic: str) -> str:
        """Return a topic's id, which may be a second old."""


@dataclass(frozen=True, slots=True)
class _Answer:
    at: float
    bounds: Mapping[int, Bounds]


class Logs:
    """The logs of all partitions that this worker has; from any thread."""

    def __init__(self, consumer: Asked, monotonic: Callable[[], float]) -> None:
        self._consumer = consumer
        self._monotonic = monotonic
        self._partitions: defaultdict[str, set[int]] = defaultdict(set)
        self._answers: dict[str, _Answer] = {}
        self._registry = threading.Lock()
        self._asking = threading.Lock()

    def of(self, topic: str, partition: int) -> PartitionLog:
        """Return one partition's log; it is among those asked for from now on."""
        with self._registry:
            self._partitions[topic].add(partition)
        return PartitionLog(self, topic, partition)

    def forget(self, topic: str, partition: int) -> None:
        """Ask no more for a partition."""
        with self._registry:
            self._partitions[topic].discard(partition)

    def bounds(self, topic: str, partition: int, max_age: float) -> Bounds:
        """Return a partition's bounds, which may be `max_age` seconds old.

        Raises:
            Unavailable: no broker answers, or there is no such topic any more: then the group takes it away.
        """
        since = self._monotonic() - max_age
        with self._asking:  # whoever waits here finds what the one before it asked for
            known = self._answers.get(topic)
            if known is None or known.at < since or partition not in known.bounds:
                known = self._answers[topic] = self._ask(topic, partition)
        return known.bounds[partition]

    def topic_id(self, topic: str) -> str:
        """Return a topic's id; "" = there is no such topic any more, or brokers have no ids. Raises Unavailable."""
        try:
            return self._consumer.topic_id(topic)
        except TopicMissing:
            return ""

    def _ask(self, topic: str, partition: int) -> _Answer:
        with self._registry:
            pairs = [(topic, each) for each in sorted({partition, *self._partitions[topic]})]
        at = self._monotonic()
        try:
            topic_id = self._consumer.topic_id(topic)
        except TopicMissing as error:
            raise Unavailable(str(error)) from error
        beginnings, ends = self._consumer.beginning_offsets(pairs), self._consumer.end_offsets(pairs)
        return _Answer(at, {pair[1]: Bounds(beginnings[pair], ends[pair], topic_id) for pair in pairs})


class PartitionLog:
    """See `ingest.sink.chain.Log`."""

    def __init__(self, logs: Logs, topic: str, partition: int) -> None:
        self._logs = logs
        self._topic = topic
        self._partition = partition

    def bounds(self, max_age: float) -> Bounds:
        """Return the partition's bounds, which may be `max_age` seconds old."""
        return self._logs.bounds(self._topic, self._partition, max_age)

    def topic_id(self) -> str:
        """Return the topic's id."""
        return self._logs.topic_id(self._topic)
