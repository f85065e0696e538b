"""A fetched partition → blocks of records, by read_committed's rules; what is wrong with it is a value beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.blocks import Identity, RecordBlock
from ingest.broker.wire import (
    BatchHeader,
    ControlType,
    CorruptBatch,
    OldFormat,
    batch_spans,
    control_type,
    decode_batches,
)
from ingest.errors import IngestError


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch brought of one partition.

    Attributes:
        blocks: in order of offset; the last one accounts for everything up to `next_offset`. None at all where nothing
            came; one without rows where only control or aborted records came.
        next_offset: where to fetch next.
        leader_epoch: of the last batch, -1 = unknown.
        error: why nothing at `next_offset` can be read, or None.
    """

    blocks: list[RecordBlock]
    next_offset: int
    leader_epoch: int
    error: IngestError | None = None


def read_fetched(
    buffer: bytes | memoryview, topic: str, partition: int, fetch_offset: int, aborted: Sequence[tuple[int, int]]
) -> Fetched:
    """Decode a fetch response's records of one partition.

    Args:
        buffer: whole batches, the last one perhaps cut short.
        topic: whose.
        partition: whose.
        fetch_offset: records below it are left out.
        aborted: (first offset, producer id) of each aborted transaction in this range, ascending.
    """
    blocks: list[RecordBlock] = []
    try:
        headers = batch_spans(buffer, topic, partition)
        wanted = committed(buffer, headers, aborted)
    except (CorruptBatch, OldFormat) as error:
        return Fetched([], fetch_offset, -1, error)
    begin = fetch_offset
    try:
        for block in decode_batches(buffer, wanted, topic, partition, fetch_offset):
            blocks.append(replace(block, begin=begin))
            begin = block.next_offset
    except CorruptBatch as error:
        if not blocks:
            return Fetched([], fetch_offset, -1, error)
        return Fetched(blocks, blocks[-1].next_offset, blocks[-1].leader_epoch, error)
    if not headers:
        return Fetched([], fetch_offset, -1)
    next_offset = max(fetch_offset, headers[-1].next_offset)
    epoch = headers[-1].leader_epoch
    last = blocks.pop() if blocks else empty_block(topic, partition, fetch_offset, next_offset)
    blocks.append(replace(last, next_offset=next_offset, leader_epoch=epoch))
    return Fetched(blocks, next_offset, epoch)


def committed(
    buffer: bytes | memoryview, headers: Sequence[BatchHeader], aborted: Sequence[tuple[int, int]]
) -> list[BatchHeader]:
    """Return the batches that a reader of committed records sees: no markers, nothing of an aborted transaction.

    Raises:
        CorruptBatch: a marker can't be read.
    """
    waiting = list(aborted)
    open_aborted: set[int] = set()
    seen = []
    for header in headers:
        while waiting and waiting[0][0] <= header.last_offset:
            open_aborted.add(waiting.pop(0)[1])
        if header.control:
            if control_type(buffer, header) is ControlType.ABORT:
                open_aborted.discard(header.producer_id)
        elif not (header.transactional and header.producer_id in open_aborted):
            seen.append(header)
    return seen


def empty_block(topic: str, partition: int, begin: int, next_offset: int) -> RecordBlock:
    """Return a block without rows, which says only that there is nothing to read from `begin` to `next_offset`."""
    none = np.empty(0, np.int64)
    values = pa.array([], pa.binary())
    return RecordBlock(topic, partition, none, none, values, None, Identity.none(0), {}, {}, next_offset, begin=begin)


def partition_records() -> type:
    """Return the subclass of Fetcher.PartitionRecords that hands out one `Fetched` for each fetched partition.

    It never raises while it is read: kafka-python would not come back from the poll after that.
    """
    from kafka.consumer.fetcher import Fetcher

    class ColumnarPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
        def _unpack_records(self, target: Any, records: Any, *_deserializers: Any) -> Iterator[Fetched]:
            aborted = [(txn.first_offset, txn.producer_id) for txn in self.aborted_transactions]
            buffer = records._buffer
            fetched = read_fetched(buffer, target.topic, target.partition, self.fetch_offset, aborted)
            self.next_fetch_offset = fetched.next_offset
            self.leader_epoch = fetched.leader_epoch
            self.bytes_read = len(buffer)
            if fetched.blocks or fetched.error:
                yield fetched
            self.drain()

        def _maybe_skip_record(self, record: Fetched) -> bool:
            return False

    return ColumnarPartitionRecords
