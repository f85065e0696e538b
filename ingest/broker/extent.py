"""How far partitions reach, by looking at their last record."""

from __future__ import annotations

from collections.abc import Iterable

from kafka import KafkaConsumer, TopicPartition

from ingest.broker.failures import translated
from ingest.broker.rebalance import Pair
from ingest.broker.security import Connection
from ingest.errors import Unavailable

_LOOKS = 50


def last_offsets(connection: Connection, partitions: Iterable[Pair]) -> dict[Pair, int]:
    """Return the offset of each partition's last record, -1 where there is none.

    Reads the last batch instead of believing what the broker says of the end: the demo's embedded broker names the last
    batch's first record there.

    Raises:
        Unavailable: no broker answers.
    """
    found: dict[Pair, int] = {}
    with translated(f"reading the last records at {connection}"):
        consumer = KafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=1 << 31,  # a batch comes whole
            metrics_enabled=False,
            **connection.arguments(),
        )
        try:
            targets = [TopicPartition(*pair) for pair in partitions]
            ends = consumer.end_offsets(targets)
            found = {(target.topic, target.partition): -1 for target in targets}
            pending = [target for target in targets if ends[target]]
            consumer.assign(pending)
            for target in pending:
                consumer.seek(target, ends[target] - 1)
            for _ in range(_LOOKS):
                for target, records in consumer.poll(200).items():
                    found[target.topic, target.partition] = records[-1].offset
                if all(found[target.topic, target.partition] >= ends[target] - 1 for target in pending):
                    return found
        finally:
            consumer.close()
    raise Unavailable(f"the last records at {connection} did not come")
