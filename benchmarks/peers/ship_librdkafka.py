"""Files to Kafka with librdkafka: produce_batch, a key for each line, every file to its partition.

The key says where the line came from, as ingest's header does: produce_batch takes no headers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import Producer

BLOCK = 4 << 20
WAITING = 500_000


def blocks(names: list[str]) -> Iterator[tuple[int, int, list[bytes]]]:
    """Yield the number of a file, a position and the lines from there, of all files in turn."""
    with ExitStack() as stack:
        files = dict(enumerate(stack.enter_context(Path(name).open("rb")) for name in names))
        positions = dict.fromkeys(files, 0)
        while files:
            for number, file in list(files.items()):
                block = file.read(BLOCK) + file.readline()
                if not block:
                    del files[number]
                    continue
                yield number, positions[number], block.removesuffix(b"\n").split(b"\n")
                positions[number] += len(block)


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
    for partition, position, lines in blocks(files):
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
