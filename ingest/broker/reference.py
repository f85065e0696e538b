"""The slow, obviously right path: the same records through kafka-python's public interface, one object a record.

Runs where the columnar path can't (see `seams`), and tests hold both to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from kafka import KafkaProducer
from kafka import errors as kafka

from ingest.blocks import Identity, LineBlock, RecordBlock
from ingest.broker.batches import Segments
from ingest.broker.wire import HEADER_FLAGS, HEADER_POS, HEADER_SRC
from ingest.broker.wire.headers import POSITION_LIMIT, POSITION_SIZE, flag_value, position_value

_WORD = 8


def send_lines(
    producer: KafkaProducer,
    topic: str,
    partition: int,
    segments: Segments,
    timestamp_ms: int,
    told: Callable[[Exception | None], None],
) -> None:
    """Send each line as a record of its own.

    `told` is called exactly once a record: on the Sender's thread, or here with the error for a record that
    kafka-python does not take, and for all after it.
    """
    failure: kafka.KafkaError | None = None
    for block, source in segments:
        for row in range(block.rows):
            if failure is not None:
                told(failure)
                continue
            value = block.data[block.starts[row] : block.ends[row]]
            headers = line_headers(block, row, source if row == 0 else None)
            try:
                future = producer.send(topic, value, headers=headers, partition=partition, timestamp_ms=timestamp_ms)
            except kafka.KafkaError as error:
                failure = error
                told(error)
                continue
            future.add_callback(lambda _: told(None))
            future.add_errback(told)


def line_headers(block: LineBlock, row: int, source: bytes | None) -> list[tuple[str, bytes]]:
    """Return the headers of one line's record, in the order in which they stand there."""
    start, end = int(block.positions[row]), int(block.positions[row + 1])
    headers = [(HEADER_POS, position_value(block.stream.generation, start, end))]
    if source is not None:
        headers.append((HEADER_SRC, source))
    if row in block.flags:
        headers.append((HEADER_FLAGS, flag_value(block.flags[row])))
    return headers


def block_of(topic: str, partition: int, records: Sequence[Any], begin: int, next_offset: int) -> RecordBlock:
    """Return ConsumerRecords of one partition, all that there are in [begin, next_offset), as a block."""
    rows = len(records)
    identity = Identity.none(rows)
    sources: dict[int, bytes] = {}
    flags: dict[int, bytes] = {}
    for row, record in enumerate(records):
        for name, value in record.headers:
            if name == HEADER_POS:
                _note_position(identity, row, value)
            elif name == HEADER_SRC and value is not None:
                sources[row] = value
            elif name == HEADER_FLAGS and value is not None:
                flags[row] = value
    keys = [record.key for record in records]
    return RecordBlock(
        topic,
        partition,
        np.fromiter((record.offset for record in records), np.int64, rows),
        np.fromiter((record.timestamp for record in records), np.int64, rows),
        pa.array([record.value for record in records], pa.binary()),
        None if all(key is None for key in keys) else pa.array(keys, pa.binary()),
        identity,
        sources,
        flags,
        next_offset,
        records[-1].leader_epoch if records else -1,
        sum(max(0, record.serialized_value_size) for record in records),
        begin,
    )


def _note_position(identity: Identity, row: int, value: bytes | None) -> None:
    if value is None or len(value) != POSITION_SIZE:
        return
    generation, start, end = (int.from_bytes(value[at : at + _WORD], "big") for at in range(0, POSITION_SIZE, _WORD))
    if start < end < POSITION_LIMIT:
        identity.present[row] = True
        identity.generation[row] = generation
        identity.start[row] = start
        identity.end[row] = end
