"""Files to Kafka with kafka-python's own send(), one line at a time, with ingest's header."""

from __future__ import annotations

import struct
import sys

from kafka import KafkaProducer

from benchmarks.peers.ship_librdkafka import blocks


def main() -> None:
    bootstrap, topic, *files = sys.argv[1:]
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        compression_type="lz4",
        linger_ms=20,
        batch_size=1 << 20,
        max_request_size=8 << 20,
        metrics_enabled=False,
    )
    futures = []
    for partition, position, lines in blocks(files):
        for line in lines:
            end = position + len(line) + 1
            header = [("ingest-pos", struct.pack(">QQQ", partition, position, end))]
            futures.append(producer.send(topic, value=line, headers=header, partition=partition))
            position = end
    producer.flush(120)
    for future in futures:
        future.get(0)
    producer.close()


if __name__ == "__main__":
    main()
