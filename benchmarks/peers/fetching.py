"""A topic's records, all of them, as fast as they come: `fetching.py ingest|librdkafka|kafka-python …`.

Prints one JSON object: records, bytes of values, sum of offsets, seconds and CPU seconds from the first look at the
partitions; with --check also the sum of the CRC-32 of all values, which costs time.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator

import numpy as np

from benchmarks.peers.sink_librdkafka import consumer_of

Part = tuple[int, int, int, int]
"""Records, bytes of values, sum of offsets, sum of CRCs."""


def ingest(bootstrap: str, topic: str, ends: list[int], check: bool) -> Iterator[Part | None]:
    """Read blocks with all columns: values, keys, offsets, timestamps, identity."""
    from ingest.blocks import RecordBlock
    from ingest.broker.consumer import KafkaBlockConsumer
    from ingest.broker.membership import GroupOptions
    from ingest.broker.security import Connection
    from ingest.service.tuning import tune

    tune()

    def part(block: RecordBlock) -> Part:
        lengths = np.frombuffer(block.values.buffers()[1], np.int32)[block.values.offset :][: block.rows + 1]
        crc = sum(map(zlib.crc32, block.values.to_pylist())) if check else 0
        return block.rows, int(lengths[-1] - lengths[0]), int(block.offsets.sum()), crc

    consumer = KafkaBlockConsumer(Connection((bootstrap,)), GroupOptions(f"fetch-{time.time_ns()}"))
    assigned: list[tuple[str, int]] = []
    consumer.subscribe([topic], [], assigned.extend, lambda pairs: None, lambda pairs: None)
    while not assigned:
        consumer.poll(0.05)
    yield None
    for name, partition in assigned:
        consumer.seek(name, partition, 0)
    while True:
        blocks, problems = consumer.poll(0.2)
        if problems:
            raise RuntimeError(str(problems))
        yield from map(part, blocks)


def librdkafka(bootstrap: str, topic: str, ends: list[int], check: bool) -> Iterator[Part | None]:
    """Read messages, and take value and offset of each."""
    from confluent_kafka import TopicPartition

    consumer = consumer_of(bootstrap, "fetch")
    yield None
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(len(ends))])
    while True:
        messages = consumer.consume(2000, 0.05)
        values = [message.value() for message in messages]
        offsets = [message.offset() for message in messages]
        yield len(values), sum(map(len, values)), sum(offsets), sum(map(zlib.crc32, values)) if check else 0


def kafka_python(bootstrap: str, topic: str, ends: list[int], check: bool) -> Iterator[Part | None]:
    """Read records with kafka-python's own decoding."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, metrics_enabled=False, max_partition_fetch_bytes=2 << 20
    )
    targets = [TopicPartition(topic, partition) for partition in range(len(ends))]
    yield None
    consumer.assign(targets)
    consumer.seek_to_beginning(*targets)
    while True:
        for records in consumer.poll(200, max_records=5000).values():
            values = [record.value for record in records]
            crc = sum(map(zlib.crc32, values)) if check else 0
            yield len(values), sum(map(len, values)), sum(record.offset for record in records), crc


WAYS = {"ingest": ingest, "librdkafka": librdkafka, "kafka-python": kafka_python}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("ends", type=lambda text: [int(end) for end in text.split(",")], help="of each partition")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    parts = WAYS[options.way](options.bootstrap, options.topic, options.ends, options.check)
    next(parts)
    began, cpu = time.perf_counter(), time.process_time()
    total = np.zeros(4, object)
    while total[0] < sum(options.ends):
        total += np.array(next(parts), object)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    records, size, offsets, crc = map(int, total)
    found = {"records": records, "bytes": size, "offsets": offsets, "crc": crc, "seconds": seconds, "cpu": cpu}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
