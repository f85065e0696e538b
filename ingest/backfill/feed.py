"""The content of one file → blocks of records, with the running digest of what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingest.backfill.content import digest_text
from ingest.blocks import Flag, Identity, Int64s, LineBlock, RecordBlock, Stream
from ingest.lines import Assembler, Framing
from ingest.sink.begin import BACKFILL

MOST_ROWS: Final = 1 << 17
"""Lines that are taken in at once, about: their columns cost memory however short they are."""

NEWLINE: Final = b"\n"


@dataclass(frozen=True, slots=True)
class Lines:
    """What all records of one file have in common.

    Attributes:
        topic: the source's.
        stream: the file, under the generation of its chain.
        framing: how the source cuts and drops lines.
        milliseconds: the file's mtime, which takes the place of Kafka's timestamp.
    """

    topic: str
    stream: Stream
    framing: Framing
    milliseconds: int


class Feed:
    """Takes pieces of content, returns the lines in them as records whose offsets are positions.

    Records are contiguous: what lies between two lines that are kept belongs to one of them, so that a commit behind
    any block covers all bytes below its next_offset, and `digest` is the digest of exactly those.

    Args:
        lines: what all records have in common.
        at: position of the first byte that will come.
        digest: running digest of the content below `at`; taken over.
        partial: the byte before `at` is no newline, since a last line without one was taken in. A newline that comes
            first then ends that line, and begins no other.
    """

    def __init__(self, lines: Lines, at: int, digest: Any, *, partial: bool = False) -> None:
        self.dropped = 0
        """Lines that were left out since they were empty."""
        self._lines = lines
        self._assembler = Assembler(lines.framing, at)
        self._read = self._sent = at
        self._digest = digest
        self._mark = digest.copy()
        self._partial = partial
        self._header = _source_header(lines)

    @property
    def digest(self) -> str:
        """Return the digest of the content below the `next_offset` of the last block."""
        return digest_text(self._mark)

    def take(self, piece: bytes) -> list[RecordBlock]:
        """Return the lines that a piece completes."""
        if self._partial and piece:
            self._partial = False
            if piece.startswith(NEWLINE):
                self._digest.update(NEWLINE)
                self._read += 1
                self._assembler = Assembler(self._lines.framing, self._read)
                piece = piece[1:]
        return self._blocks(piece, closing=False)

    def close(self) -> list[RecordBlock]:
        """Return what was held back: the content ended without a newline."""
        return self._blocks(b"", closing=True)

    def _blocks(self, piece: bytes, *, closing: bool) -> list[RecordBlock]:
        begin, self._read = self._read, self._read + len(piece)
        blocks: list[RecordBlock] = []
        for found in self._assembler.feed(self._lines.stream, piece, closing):
            self.dropped += found.dropped.get("empty_line", 0)
            if found.rows:
                blocks.append(self._block(found))
                self._sent = found.end
        done = max(0, self._sent - begin) if blocks else 0
        self._digest.update(memoryview(piece)[:done])
        if blocks:
            self._mark = self._digest.copy()
        self._digest.update(memoryview(piece)[done:])
        return blocks

    def _block(self, found: LineBlock) -> RecordBlock:
        positions = found.positions.copy()
        # Empty lines that were dropped belong to the line after them, at a block's end to the one before.
        positions[0], positions[-1] = self._sent, found.end
        rows = found.rows
        starts, ends = positions[:-1], positions[1:]
        return RecordBlock(
            topic=self._lines.topic,
            partition=BACKFILL,
            offsets=starts,
            timestamps=np.full(rows, self._lines.milliseconds, np.int64),
            values=gathered(found.data, found.starts, found.ends),
            keys=None,
            identity=Identity(
                np.ones(rows, np.bool_), np.full(rows, self._lines.stream.generation, np.uint64), starts, ends
            ),
            sources={0: self._header},
            flags=_flags(found.flags),
            next_offset=found.end,
            nbytes=found.end - self._sent,
        )


def portions(piece: bytes) -> Iterator[bytes]:
    """Yield a piece in parts of about `MOST_ROWS` lines: nearly always it is one part."""
    lines = piece.count(NEWLINE)
    if lines <= MOST_ROWS:
        yield piece
        return
    step = max(1, len(piece) * MOST_ROWS // lines)
    for begin in range(0, len(piece), step):
        yield piece[begin : begin + step]


def gathered(data: bytes, starts: Int64s, ends: Int64s) -> pa.BinaryArray:
    """Return the values data[starts[i]:ends[i]], which ascend without overlapping; at most 2 GiB of data."""
    rows = len(starts)
    edges = np.empty(2 * rows, np.int32)
    edges[0::2], edges[1::2] = starts, ends
    # Every second value is what lies between two lines.
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(data)]
    both = pa.BinaryArray.from_buffers(pa.binary(), 2 * rows - 1, buffers)
    return both.take(pa.array(np.arange(0, 2 * rows, 2, dtype=np.int32)))


def _source_header(lines: Lines) -> bytes:
    stream = lines.stream
    return json.dumps(
        {
            "generation": f"{stream.generation:016x}",
            "host": stream.host,
            "path": stream.path,
            "source": stream.source,
            "labels": dict(stream.labels),
            "topic": lines.topic,
            "partition": BACKFILL,
        }
    ).encode()


def _flags(flags: Mapping[int, Flag]) -> dict[int, bytes]:
    return {row: json.dumps({"flags": list(flag.names), "length": flag.length}).encode() for row, flag in flags.items()}
