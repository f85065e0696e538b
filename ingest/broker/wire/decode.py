"""Fetched batches → columns.

A batch is checked and uncompressed by itself, and its records found (`walk`); then the records of several batches are
laid end to end, and read as one (`columns`). A topic full of tiny batches thus costs little more than one of big ones.

Timestamps are 64-bit sums that wrap around, as in Kafka's own client. Offsets must ascend within what the header
announces: the rest of the house stands on that.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from crc32c import crc32c

from ingest.blocks import Identity, Int64s, RecordBlock
from ingest.broker.wire.codecs import decompress
from ingest.broker.wire.columns import Fields, read_fields, read_identity, read_values
from ingest.broker.wire.layout import (
    ATTRIBUTES_AT,
    HEADER,
    BatchHeader,
    CorruptBatch,
    Malformed,
    Readable,
    TimestampType,
)
from ingest.broker.wire.varint import Bytes
from ingest.broker.wire.walk import Chain, walk

BLOCK_BYTES = 16 << 20
"""`decode_batches` begins a new block when the one at hand has grown to so many bytes of records."""

_LAST_OFFSET = (1 << 63) - 1
_CONTROL_KEY = struct.Struct(">hh")


class ControlType(enum.IntEnum):
    """What a control batch says about the transaction of its producer id."""

    ABORT = 0
    COMMIT = 1


def decode_batch(
    buffer: Readable, header: BatchHeader, topic: str, partition: int, fetch_offset: int, check_crc: bool = True
) -> RecordBlock:
    """Decode one batch.

    Records below `fetch_offset` are left out (a fetch from the middle of a batch begins with a whole batch). A batch
    without records, and one that compaction has thinned out, still account for all their offsets: see `next_offset`.
    Control batches decode like any other; skip them.

    Raises:
        CorruptBatch: checksum, sizes, counts, offsets or the codec's bytes contradict each other, or it expands to more
            than MAX_UNCOMPRESSED bytes.
    """
    (block,) = decode_batches(buffer, [header], topic, partition, fetch_offset, check_crc)
    return block


def decode_batches(
    buffer: Readable,
    headers: Sequence[BatchHeader],
    topic: str,
    partition: int,
    fetch_offset: int,
    check_crc: bool = True,
) -> Iterator[RecordBlock]:
    """Decode consecutive batches into few blocks: much faster than one by one where batches are small.

    Records come out as by `decode_batch`. A batch may be missing between two others (control and aborted ones). Each
    block comes out before the next is begun, with BLOCK_BYTES of records or at least one batch; and everything before a
    corrupt batch comes out before the error.

    Raises:
        CorruptBatch: as `decode_batch`.
    """
    loaded: list[_Loaded] = []
    size = 0
    reached = 0
    for header in headers:
        try:
            batch = _load(buffer, header, reached, check_crc)
        except Malformed as error:
            yield from _blocks(loaded, topic, partition, fetch_offset)
            raise CorruptBatch(topic, partition, header.base_offset, error.problem) from error
        if size + len(batch.data) > BLOCK_BYTES:
            yield from _blocks(loaded, topic, partition, fetch_offset)
            loaded, size = [], 0
        loaded.append(batch)
        size += len(batch.data)
        reached = header.next_offset
    yield from _blocks(loaded, topic, partition, fetch_offset)


def control_type(buffer: Readable, header: BatchHeader, topic: str = "?", partition: int = -1) -> ControlType | None:
    """Return what a control batch says, or None for a kind that is not about transactions.

    Raises:
        CorruptBatch: it does not hold exactly one marker.
    """
    block = decode_batch(buffer, header, topic, partition, header.base_offset)
    key = block.keys[0].as_py() if block.rows == 1 and block.keys is not None else b""
    if len(key) < _CONTROL_KEY.size:
        raise CorruptBatch(topic, partition, header.base_offset, "a control batch without a marker")
    _version, kind = _CONTROL_KEY.unpack_from(key)
    return ControlType(kind) if kind in tuple(ControlType) else None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One batch, uncompressed, and where its records are."""

    header: BatchHeader
    data: Bytes
    chain: Chain


def _load(buffer: Readable, header: BatchHeader, reached: int, check_crc: bool) -> _Loaded:
    """Check a batch's frame, uncompress it and find its records; it must not begin before the offset `reached`."""
    if not 0 <= header.start <= header.end - HEADER.size <= len(buffer) - HEADER.size:
        raise Malformed(f"it is said to be at [{header.start}, {header.end}) of {len(buffer)} bytes")
    batch = memoryview(buffer)[header.start : header.end]
    if check_crc and crc32c(batch[ATTRIBUTES_AT:]) != header.crc:
        raise Malformed("its checksum does not match its bytes")
    if header.base_offset < reached:
        raise Malformed(f"it begins before offset {reached}, where the one before it ended")
    if header.last_offset_delta < 0 or header.next_offset > _LAST_OFFSET:
        raise Malformed(f"its offsets can't be {header.base_offset} + {header.last_offset_delta}")
    packed = batch[HEADER.size :]
    data = np.frombuffer(decompress(header.codec, packed) if len(packed) else b"", np.uint8)
    return _Loaded(header, data, walk(data, header.count))


def _blocks(loaded: Sequence[_Loaded], topic: str, partition: int, fetch_offset: int) -> Iterator[RecordBlock]:
    """Decode the batches into one block; where that fails, into one each up to the corrupt one."""
    if not loaded:
        return
    try:
        block = _decode(loaded, topic, partition, fetch_offset)
    except CorruptBatch:
        for batch in loaded:
            yield _decode([batch], topic, partition, fetch_offset)
        raise
    yield block


def _decode(loaded: Sequence[_Loaded], topic: str, partition: int, fetch_offset: int) -> RecordBlock:
    headers = [batch.header for batch in loaded]
    counts = [header.count for header in headers]
    data, begins, ends = _end_to_end(loaded)
    try:
        fields = read_fields(data, begins, ends)
        offsets = _offsets(headers, counts, fields)
        timestamps = _timestamps(headers, counts, fields)
        identity, sources, flags = read_identity(data, fields)
    except Malformed as error:
        batch = 0 if error.row is None else int(np.searchsorted(np.cumsum(counts), error.row, side="right"))
        raise CorruptBatch(topic, partition, headers[batch].base_offset, error.problem) from error
    first = int(np.searchsorted(offsets, fetch_offset))
    keyless = bool((fields.key_lengths[first:] < 0).all())
    return RecordBlock(
        topic,
        partition,
        offsets[first:],
        timestamps[first:],
        read_values(data, fields.values[first:], fields.value_lengths[first:]),
        None if keyless else read_values(data, fields.keys[first:], fields.key_lengths[first:]),
        Identity(identity.present[first:], identity.generation[first:], identity.start[first:], identity.end[first:]),
        {row - first: source for row, source in sources.items() if row >= first},
        {row - first: names for row, names in flags.items() if row >= first},
        headers[-1].next_offset,
        headers[-1].leader_epoch,
        sum(header.end - header.start for header in headers),
    )


def _end_to_end(loaded: Sequence[_Loaded]) -> tuple[Bytes, Int64s, Int64s]:
    if len(loaded) == 1:
        return loaded[0].data, loaded[0].chain.begins, loaded[0].chain.ends
    data = np.concatenate([batch.data for batch in loaded])
    shifts = np.cumsum([0, *(len(batch.data) for batch in loaded[:-1])])
    shift = np.repeat(shifts, [batch.header.count for batch in loaded])
    begins = np.concatenate([batch.chain.begins for batch in loaded]) + shift
    ends = np.concatenate([batch.chain.ends for batch in loaded]) + shift
    return data, begins, ends


def _offsets(headers: Sequence[BatchHeader], counts: Sequence[int], fields: Fields) -> Int64s:
    """Return the offsets.

    Raises:
        Malformed: one is outside its batch, or they do not ascend.
    """
    deltas = fields.offset_deltas
    last = np.repeat([header.last_offset_delta for header in headers], counts)
    outside = np.flatnonzero((deltas < 0) | (deltas > last))
    if len(outside):
        row = int(outside[0])
        raise Malformed(f"a record has the offset delta {deltas[row]}, the batch's last one is {last[row]}", row)
    offsets: Int64s = deltas + np.repeat([header.base_offset for header in headers], counts)
    back = np.flatnonzero(offsets[1:] <= offsets[:-1])
    if len(back):
        row = int(back[0]) + 1
        raise Malformed(f"offset {offsets[row]} comes after {offsets[row - 1]}", row)
    return offsets


def _timestamps(headers: Sequence[BatchHeader], counts: Sequence[int], fields: Fields) -> Int64s:
    append = [header.timestamp_type is TimestampType.LOG_APPEND_TIME for header in headers]
    latest = [header.max_timestamp for header in headers]
    base = np.repeat(np.where(append, latest, [header.first_timestamp for header in headers]), counts)
    if not any(append):
        return base + fields.timestamp_deltas
    return base + np.where(np.repeat(append, counts), 0, fields.timestamp_deltas)
