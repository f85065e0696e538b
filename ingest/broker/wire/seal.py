"""Putting the header on a records section, and the producer's state into the header.

Two threads share this work. Compression is what costs, so whoever encodes seals the batch too; the producer's id, epoch
and sequence number are known only when the batch is about to leave, and `stamp` writes them into the sealed batch in
place, with a new checksum: 61 bytes and one pass of CRC-32C.

    encode thread    batch = seal(encode_lines(segments, now), Codec.LZ4)
    sender thread    stamp(batch, producer_id, producer_epoch, base_sequence)
"""

from __future__ import annotations

import struct

from crc32c import crc32c

from ingest.broker.wire.codecs import Codec, compress
from ingest.broker.wire.encode import EncodedRecords
from ingest.broker.wire.layout import (
    ATTRIBUTES_AT,
    CRC_AT,
    HEADER,
    LENGTH_END,
    MAGIC,
    PRODUCER_AT,
    TimestampType,
    attributes,
    with_transactional,
)

_ATTRIBUTES = struct.Struct(">h")
_CRC = struct.Struct(">I")
_PRODUCER = struct.Struct(">qhi")


def seal(
    records: EncodedRecords,
    codec: Codec,
    *,
    base_offset: int = 0,
    leader_epoch: int = -1,
    timestamp_type: TimestampType = TimestampType.CREATE_TIME,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    transactional: bool = False,
    control: bool = False,
) -> bytearray:
    """Make a whole record batch, checksum included.

    Args:
        records: what goes in.
        codec: compresses them; where that makes them no smaller the batch says "none" and holds them as they are.
        base_offset: the broker's business; a producer leaves it at 0.
        leader_epoch: the broker's business.
        timestamp_type: the broker's business.
        producer_id: -1 = not idempotent, or not known yet: see `stamp`.
        producer_epoch: with producer_id.
        base_sequence: sequence number of the first record, with producer_id.
        transactional: whether a transaction decides about the records.
        control: the broker's business.
    """
    packed = compress(codec, records.body) if codec else records.body
    if codec and len(packed) >= len(records.body):
        codec, packed = Codec.NONE, records.body
    batch = bytearray().join((bytes(HEADER.size), packed))
    HEADER.pack_into(
        batch,
        0,
        base_offset,
        len(batch) - LENGTH_END,
        leader_epoch,
        MAGIC,
        0,
        attributes(codec, timestamp_type, transactional, control),
        records.last_offset_delta,
        records.first_timestamp,
        records.max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        records.rows,
    )
    _write_checksum(batch)
    return batch


def stamp(
    batch: bytearray, producer_id: int, producer_epoch: int, base_sequence: int, transactional: bool = False
) -> None:
    """Write the producer's state into a sealed batch, in place. May be done again; the last one counts.

    A batch that was sent once must keep its state when it is sent again, or the broker can't tell that it is the same.
    """
    _PRODUCER.pack_into(batch, PRODUCER_AT, producer_id, producer_epoch, base_sequence)
    (field,) = _ATTRIBUTES.unpack_from(batch, ATTRIBUTES_AT)
    _ATTRIBUTES.pack_into(batch, ATTRIBUTES_AT, with_transactional(field, transactional))
    _write_checksum(batch)


def _write_checksum(batch: bytearray) -> None:
    _CRC.pack_into(batch, CRC_AT, crc32c(memoryview(batch)[ATTRIBUTES_AT:]))
