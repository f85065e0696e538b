"""A fetched partition → blocks of records, by read_committed's rules; what is wrong with it is a value beside them.

In two steps, so that the next fetch can be under way while this one is decoded: `look` tells where it begins, `read`
does the work.
"""

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
        error: why nothing at `next_offset` can be read, or None.
    """

    blocks: list[RecordBlock]
    next_offset: int
    error: IngestError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a broker answered for one partition, before anything but the frames of its batches was looked at.

    Attributes:
        topic: whose.
        partition: whose.
        fetch_offset: records below it are left out.
        buffer: whole batches, the last one perhaps cut short.
        aborted: (first offset, producer id) of each aborted transaction in this range, ascending.
        headers: of the whole batches.
        error: why they could not be told apart, or None.
    """

    topic: str
    partition: int
    fetch_offset: int
    buffer: bytes | memoryview
    aborted: Sequence[tuple[int, int]]
    headers: Sequence[BatchHeader] = ()
    error: IngestError | None = None

    @property
    def next_offset(self) -> int:
        """Return where to fetch next, if the batches turn out to be what their headers say."""
        return max(self.fetch_offset, self.headers[-1].next_offset) if self.headers else self.fetch_offset

    @property
    def leader_epoch(self) -> int:
        """Return that of the last batch, -1 = unknown."""
        return self.headers[-1].leader_epoch if self.headers else -1


def look(answer: Answer) -> Answer:
    """Return the answer with its batches told apart: little work, which is enough to know what to fetch next."""
    try:
        return replace(answer, headers=batch_spans(answer.buffer, answer.topic, answer.partition))
    except (CorruptBatch, OldFormat) as error:
        return replace(answer, error=error)


def read(answer: Answer) -> Fetched:
    """Decode an answer that was looked at."""
    topic, partition, fetch_offset = answer.topic, answer.partition, answer.fetch_offset
    if answer.error is not None:
        return Fetched([], fetch_offset, answer.error)
    blocks: list[RecordBlock] = []
    begin = fetch_offset
    try:
        wanted = committed(answer.buffer, answer.headers, answer.aborted)
        for block in decode_batches(answer.buffer, wanted, topic, partition, fetch_offset):
            blocks.append(replace(block, begin=begin))
            begin = block.next_offset
    except CorruptBatch as error:
        return Fetched(blocks, begin, error)
    if not answer.headers:
        return Fetched([], fetch_offset)
    last = blocks.pop() if blocks else empty_block(topic, partition, fetch_offset, answer.next_offset)
    blocks.append(replace(last, next_offset=answer.next_offset, leader_epoch=answer.leader_epoch))
    return Fetched(blocks, answer.next_offset)


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
    """Return the subclass of Fetcher.PartitionRecords that hands out one `Answer` for each fetched partition.

    It never raises while it is read: kafka-python would not come back from the poll after that.
    """
    from kafka.consumer.fetcher import Fetcher

    class ColumnarPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
        def _unpack_records(self, target: Any, records: Any, *_deserializers: Any) -> Iterator[Answer]:
            aborted = [(txn.first_offset, txn.producer_id) for txn in self.aborted_transactions]
            answer = look(Answer(target.topic, target.partition, self.fetch_offset, records._buffer, aborted))
            self.next_fetch_offset = answer.next_offset
            self.leader_epoch = answer.leader_epoch
            self.bytes_read = len(answer.buffer)
            if answer.headers or answer.error:
                yield answer
            self.drain()

        def _maybe_skip_record(self, record: Answer) -> bool:
            return False

    return ColumnarPartitionRecords
