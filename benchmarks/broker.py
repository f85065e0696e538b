"""What the harness asks of Kafka itself; with librdkafka, so that nothing of ours looks after our own results."""

from __future__ import annotations

import itertools
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

_ANSWER = 20.0
_SILENCE = 20.0


@dataclass(frozen=True, slots=True)
class Content:
    """What a topic holds. `crc` is the sum of the CRC-32 of all values.

    `first` and `last` are the timestamps, unix time. `seconds` is how long it took to come in, from the one to the
    other, stretched by the records of the first millisecond.
    """

    records: int
    bytes: int
    crc: int
    first: float = field(default=0.0, compare=False)
    last: float = field(default=0.0, compare=False)
    seconds: float = field(default=0.0, compare=False)


class Broker:
    """Topics of one cluster, made and looked into."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._reader = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-harness",
                "log_level": 0,
                "enable.auto.commit": False,
                "queued.min.messages": 1_000_000,
                "queued.max.messages.kbytes": 64 << 10,
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 20,
            }
        )
        self._numbers = itertools.count()

    def new_topic(self, partitions: int, prefix: str = "bench", *, dated: bool = False) -> str:
        """Make a topic of a name that none has, and return it once its partitions have leaders.

        Args:
            partitions: how many.
            prefix: of the name.
            dated: records get the time at which the broker appended them.
        """
        topic = f"{prefix}-{next(self._numbers)}"
        config = {"message.timestamp.type": "LogAppendTime"} if dated else {}
        self._admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(_ANSWER)
        deadline = time.monotonic() + _ANSWER
        while not self._is_known(topic):
            if time.monotonic() > deadline:
                raise TimeoutError(f"topic {topic} has no leaders after {_ANSWER:g} s")
            time.sleep(0.02)
        return topic

    def delete(self, topic: str) -> None:
        """Delete a topic, so that the disk does not fill up."""
        self._admin.delete_topics([topic])[topic].result(_ANSWER)

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the end offset of each partition."""
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
        deadline = time.monotonic() + _ANSWER
        while True:
            asked = self._admin.list_offsets(wanted, request_timeout=_ANSWER)
            try:
                return [asked[target].result(_ANSWER).offset for target in sorted(asked)]
            except KafkaException:
                # Of a new topic, or just after another was deleted, a client may hear that the leader is elsewhere.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def content(self, topic: str, partitions: int) -> Content:
        """Read a topic to its end."""
        records = size = crc = 0
        times: Counter[int] = Counter()
        for messages in self._messages(topic, partitions):
            values = [message.value() for message in messages]
            records += len(values)
            size += sum(map(len, values))
            crc += sum(map(zlib.crc32, values))
            times.update(message.timestamp()[1] for message in messages)
        first, last = min(times, default=0), max(times, default=0)
        seconds = (last - first) / 1000 * records / max(1, records - times[first])
        return Content(records, size, crc, first / 1000, last / 1000, seconds)

    def _messages(self, topic: str, partitions: int) -> Iterator[list[Message]]:
        left = sum(self.ends(topic, partitions))
        self._reader.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        heard = time.monotonic()
        while left > 0:
            messages = self._reader.consume(2000, 0.1)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE:
                raise TimeoutError(f"{topic}: nothing came for {_SILENCE:g} s, and {left} records are missing")
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            left -= len(messages)
            yield messages
        self._reader.unassign()

    def _is_known(self, topic: str) -> bool:
        found = self._reader.list_topics(topic, _ANSWER).topics[topic]
        return found.error is None and all(part.leader >= 0 for part in found.partitions.values())

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()
