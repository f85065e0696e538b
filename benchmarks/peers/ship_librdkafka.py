"""Files to Kafka with librdkafka: produce_batch, a key for each line, every file to its partition.

The key says where the line came from, as ingest's header does: produce_batch takes no headers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from confluent_kafka import Producer

BLOCK = 4 << 20
WAITING = 500_000


def main() -> None:
    bootstrap, topic, *files = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 2 * WAITING,
            "queue.buffering.max.kbytes": 512 << 10,
        }
    )
    for partition, name in enumerate(files):
        position = 0
        rest = b""
        with Path(name).open("rb") as file:
            while block := file.read(BLOCK):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                messages = []
                for line in lines:
                    messages.append({"value": line, "key": position.to_bytes(8, "big")})
                    position += len(line) + 1
                while len(producer) > WAITING:
                    producer.poll(0.01)
                if producer.produce_batch(topic, messages, partition=partition) != len(messages):
                    sys.exit("librdkafka did not take all lines")
    if producer.flush(120):
        sys.exit("not everything was acknowledged")


if __name__ == "__main__":
    main()
