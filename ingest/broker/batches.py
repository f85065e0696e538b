"""Lines on their way to the broker: one record batch and what is needed to cut it when the broker refuses its size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ingest.blocks import LineBlock
from ingest.broker.wire import Codec, encode_lines, seal, slice_block, stamp

Segments: TypeAlias = Sequence[tuple[LineBlock, bytes]]
"""Blocks in the order in which they are sent, each with the value of the header `ingest-src` of its first record."""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that go into one record batch, sealed."""

    segments: Segments
    rows: int
    uncompressed: int
    timestamp_ms: int
    sealed: bytearray

    @property
    def first(self) -> tuple[int, int]:
        """Return generation and position of the first line."""
        block = self.segments[0][0]
        return block.stream.generation, int(block.positions[0])


def seal_parts(segments: Segments, codec: Codec, timestamp_ms: int, limit: int) -> list[Part]:
    """Encode and compress lines into as few batches as the topic's limit allows, in order. Pure; takes any thread.

    Args:
        segments: blocks with at least one line each.
        codec: compresses the batches.
        timestamp_ms: of all records.
        limit: bytes that a batch may have, compressed, header included. A single line is never refused here, however
            large it is: the broker has the last word.
    """
    records = encode_lines(segments, timestamp_ms)
    sealed = seal(records, codec)
    if len(sealed) <= limit or records.rows == 1:
        return [Part(segments, records.rows, len(records.body), timestamp_ms, sealed)]
    pieces = min(records.rows, max(2, -(-len(sealed) * 9 // (limit * 8))))
    return [part for piece in cut(segments, pieces) for part in seal_parts(piece, codec, timestamp_ms, limit)]


def cut(segments: Segments, pieces: int) -> list[list[tuple[LineBlock, bytes]]]:
    """Cut lines into consecutive pieces of about as many lines each; each repeats the `ingest-src` of what it holds.

    Args:
        segments: n lines in all.
        pieces: 1 <= pieces <= n.
    """
    rows = sum(block.rows for block, _ in segments)
    borders = [rows * piece // pieces for piece in range(pieces + 1)]
    return [_between(segments, low, high) for low, high in itertools.pairwise(borders)]


def _between(segments: Segments, low: int, high: int) -> list[tuple[LineBlock, bytes]]:
    found = []
    begin = 0
    for block, source in segments:
        first, last = max(low - begin, 0), min(high - begin, block.rows)
        if first < last:
            found.append((slice_block(block, first, last), source))
        begin += block.rows
    return found


class OutgoingBatch:
    """A sealed batch with the methods that kafka-python's Sender calls on a MemoryRecordsBuilder.

    The Sender gives it the producer's state once, at the first drain, and drains it again unchanged at each retry.
    """

    __slots__ = ("base_sequence", "part", "producer_epoch", "producer_id", "sending")

    def __init__(self, part: Part, sending: Any) -> None:
        self.part = part
        self.sending = sending
        self.producer_id = -1
        self.producer_epoch = -1
        self.base_sequence = -1

    def append(self, *_record: object) -> None:
        """Take no record: who else sends to this partition opens a batch of its own behind this one."""

    def set_producer_state(self, producer_id: int, epoch: int, sequence: int, transactional: bool) -> None:
        """Write the producer's state into the batch."""
        self.producer_id, self.producer_epoch, self.base_sequence = producer_id, epoch, sequence
        stamp(self.part.sealed, producer_id, epoch, sequence, transactional)

    def close(self) -> None:
        """Nothing is open."""

    def size_in_bytes(self) -> int:
        """Return the batch's size on the wire."""
        return len(self.part.sealed)

    def is_full(self) -> bool:
        """Return True: it leaves without lingering."""
        return True

    def next_offset(self) -> int:
        """Return how many records are in it: by so much the sequence number moves on."""
        return self.part.rows

    def compression_rate(self) -> float:
        """Return compressed by uncompressed size."""
        return len(self.part.sealed) / max(1, self.part.uncompressed)

    def buffer(self) -> bytearray:
        """Return the batch's bytes."""
        return self.part.sealed
