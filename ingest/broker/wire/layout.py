"""The frame of a record batch, format v2 (magic 2): its header, byte by byte, and where batches lie in a response.

    byte  field                 type     remarks
       0  base offset           int64    the broker's; a producer sends 0
       8  length                int32    bytes after this field
      12  leader epoch          int32    the broker's; not covered by the crc
      16  magic                 int8     2
      17  crc                   uint32   CRC-32C of everything from byte 21 on
      21  attributes            int16    bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
      23  last offset delta     int32    stays when compaction drops records: the batch still accounts for these offsets
      27  first timestamp       int64    milliseconds since 1970; -1 = none
      35  max timestamp         int64    with log append time: the timestamp of every record
      43  producer id           int64    -1 = not idempotent
      51  producer epoch        int16
      53  base sequence         int32
      57  count                 int32    records; 0 is legal after compaction
      61  records               …        compressed as a whole; see `encode` and `decode` for one record

All numbers are big endian. `length`, `magic` and `crc` sit at the same bytes in the formats before it.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TypeAlias

from ingest.errors import Fatal

Readable: TypeAlias = bytes | bytearray | memoryview

HEADER = struct.Struct(">qiibIhiqqqhii")
LENGTH_END = 12
MAGIC_AT = 16
CRC_AT = 17
ATTRIBUTES_AT = 21
PRODUCER_AT = 43
MAGIC = 2

_CODEC_BITS = 0x07
_APPEND_TIME_BIT = 0x08
_TRANSACTIONAL_BIT = 0x10
_CONTROL_BIT = 0x20
_LENGTH_AND_MAGIC = struct.Struct(">iib")


class CorruptBatch(Fatal):
    """A record batch whose bytes contradict themselves: nothing of it can be trusted.

    Attributes `topic`, `partition` and `base_offset` say which one.
    """

    def __init__(self, topic: str, partition: int, base_offset: int, problem: str) -> None:
        super().__init__(
            f"topic {topic} partition {partition}: the record batch at offset {base_offset} is corrupt: {problem}. "
            "Look at it with kafka-dump-log; where another replica holds it whole, make that one the leader."
        )
        self.topic = topic
        self.partition = partition
        self.base_offset = base_offset
        self.problem = problem


class OldFormat(Fatal):
    """Records in a format from before Kafka 0.11 (magic 0 or 1), or one newer than 2."""

    def __init__(self, magic: int) -> None:
        super().__init__(
            f"records in message format {magic}, and only format 2 (Kafka 0.11 and later) can be read here. "
            "Old segments keep their format until they are written again: let retention drop them, or copy the topic."
        )
        self.magic = magic


class Malformed(ValueError):
    """Inside `wire` only: bytes that contradict themselves, before anybody knows which batch they are from.

    `row` is the record's number in the columns at hand, or None where the fault is the whole batch's.
    """

    def __init__(self, problem: str, row: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.row = row


class TimestampType(enum.IntEnum):
    """Whose clock a batch's timestamps come from."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """One record batch in a buffer: the fields of its header as they stand there, none of them checked.

    Attributes:
        start: its first byte in the buffer.
        end: its end (exclusive) in the buffer.
        magic: always 2.
        crc: as found; `decode_batch` checks it.
        attributes: as found; the properties take it apart.
        last_offset_delta: last offset that the batch accounts for, less base_offset.
        first_timestamp: milliseconds; what record timestamps are relative to.
        max_timestamp: milliseconds.
        count: records in it.
    """

    start: int
    end: int
    base_offset: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int

    @property
    def codec(self) -> int:
        """Return the codec's number; 5 to 7 are not defined."""
        return self.attributes & _CODEC_BITS

    @property
    def timestamp_type(self) -> TimestampType:
        """Return whose clock the timestamps come from."""
        return TimestampType(bool(self.attributes & _APPEND_TIME_BIT))

    @property
    def transactional(self) -> bool:
        """Return whether a transaction decides about these records (also true of its markers)."""
        return bool(self.attributes & _TRANSACTIONAL_BIT)

    @property
    def control(self) -> bool:
        """Return whether the batch holds a marker instead of records."""
        return bool(self.attributes & _CONTROL_BIT)

    @property
    def last_offset(self) -> int:
        """Return the last offset that the batch accounts for, inclusive."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """Return the first offset after the batch."""
        return self.base_offset + self.last_offset_delta + 1


def attributes(codec: int, timestamp_type: int, transactional: bool, control: bool) -> int:
    """Return the header's attributes field."""
    return (
        codec
        | (_APPEND_TIME_BIT if timestamp_type else 0)
        | (_TRANSACTIONAL_BIT if transactional else 0)
        | (_CONTROL_BIT if control else 0)
    )


def with_transactional(field: int, transactional: bool) -> int:
    """Return the attributes field with that bit set or cleared."""
    return field | _TRANSACTIONAL_BIT if transactional else field & ~_TRANSACTIONAL_BIT


def batch_spans(buffer: Readable, topic: str = "?", partition: int = -1) -> list[BatchHeader]:
    """Find the batches of a fetch response.

    A last batch that is cut short is left out: brokers fill a response up to its limit and cut anywhere.

    Args:
        buffer: the records of one partition, whole batches one after the other.
        topic: only for the error's text.
        partition: only for the error's text.

    Raises:
        OldFormat: the magic byte is not 2.
        CorruptBatch: a length too small for a batch; where the next one begins can't be known.
    """
    spans: list[BatchHeader] = []
    start = 0
    size = len(buffer)
    while start + HEADER.size <= size:
        length, _epoch, magic = _LENGTH_AND_MAGIC.unpack_from(buffer, start + 8)
        if magic != MAGIC:
            raise OldFormat(magic)
        end = start + LENGTH_END + length
        if end < start + HEADER.size:
            base_offset = int.from_bytes(buffer[start : start + 8], "big", signed=True)
            raise CorruptBatch(topic, partition, base_offset, f"a length of {length} bytes is shorter than its header")
        if end > size:
            break
        spans.append(_header_at(buffer, start, end))
        start = end
    return spans


def _header_at(buffer: Readable, start: int, end: int) -> BatchHeader:
    base, _length, epoch, magic, crc, bits, delta, first, latest, producer, producer_epoch, sequence, count = (
        HEADER.unpack_from(buffer, start)
    )
    return BatchHeader(
        start, end, base, epoch, magic, crc, bits, delta, first, latest, producer, producer_epoch, sequence, count
    )
