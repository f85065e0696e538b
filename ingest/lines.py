r"""Bytes → columns of lines: where each starts and ends, which are cut, which are dropped.

`split_lines` and `long_line` are pure, and functions of the bytes and their position alone: reading the same bytes
again gives the same lines with the same positions, however they were divided into chunks. `Assembler` keeps what they
need between the chunks, for bytes that come once and in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.blocks import Flag, Int64s, LineBlock, Stream

NEWLINE: Final = 0x0A
EMPTY: Final = "empty_line"
TRUNCATED: Final = "truncated"
PARTIAL: Final = "partial"
_CHARACTER: Final = 4  # bytes of the longest character in UTF-8


@dataclass(frozen=True, slots=True)
class Framing:
    """What lines are made of besides the bytes; fixed for the life of a generation, so that a repeat is identical.

    Attributes:
        max_line: a value longer than so many bytes is cut.
        drop_empty: lines without a byte become no record; the next record's interval covers them.
    """

    max_line: int
    drop_empty: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """The columns of a LineBlock for one chunk of n lines; `starts` and `ends` are places in the chunk.

    Attributes:
        starts: int64[n].
        ends: int64[n], exclusive.
        positions: int64[n + 1], as in LineBlock.
        end: position after the last line taken, dropped ones included; what lies beyond is held back.
        flags: row → Flag.
        dropped: reason → number of lines.
    """

    starts: Int64s
    ends: Int64s
    positions: Int64s
    end: int
    flags: dict[int, Flag]
    dropped: dict[str, int]

    @property
    def partial(self) -> bool:
        """Whether the last line has no newline."""
        last = self.flags.get(len(self.starts) - 1)
        return last is not None and PARTIAL in last.names


def split_lines(chunk: bytes, begin: int, position: int, sent: int, framing: Framing, closing: bool) -> Lines:
    """Find the lines in `chunk[begin:]`.

    Args:
        chunk: bytes; those before `begin` are not looked at.
        begin: place of the first byte of a line.
        position: position of that byte.
        sent: end of the last record before, <= position.
        framing: how to cut and drop.
        closing: an unterminated rest is a line too, flagged "partial"; else it is held back.
    """
    breaks = np.flatnonzero(np.frombuffer(chunk, np.uint8, offset=begin) == NEWLINE) + begin
    ends = breaks.astype(np.int64, copy=False)
    after = ends + 1
    consumed = int(after[-1]) if len(after) else begin
    partial = closing and consumed < len(chunk)
    if partial:
        ends, after = np.append(ends, len(chunk)), np.append(after, len(chunk))
        consumed = len(chunk)
    starts = np.empty_like(ends)
    starts[:1] = begin
    starts[1:] = after[:-1]
    dropped: dict[str, int] = {}
    if framing.drop_empty and len(starts):
        kept = starts != ends
        empty = len(starts) - int(np.count_nonzero(kept))
        if empty:
            dropped[EMPTY] = empty
            starts, ends, after = starts[kept], ends[kept], after[kept]
    flags = _cut(chunk, starts, ends, framing.max_line)
    if flags:
        dropped[TRUNCATED] = len(flags)
    if partial:
        last = len(starts) - 1
        flag = flags.get(last, Flag(()))
        flags[last] = Flag((*flag.names, PARTIAL), flag.length)
    positions = np.concatenate((np.array([sent], np.int64), after - begin + position))
    return Lines(starts, ends, positions, consumed - begin + position, flags, dropped)


def _cut(chunk: bytes, starts: Int64s, ends: Int64s, max_line: int) -> dict[int, Flag]:
    """Shorten over-long rows of `ends` in place; return their flags."""
    flags = {}
    for row in np.flatnonzero(ends - starts > max_line).tolist():
        start = int(starts[row])
        flags[row] = Flag((TRUNCATED,), int(ends[row]) - start)
        ends[row] = start + cut(chunk, start, max_line)
    return flags


def long_line(head: bytes, length: int, partial: bool, end: int, sent: int, max_line: int) -> Lines:
    """Return the one line that was too long for a chunk.

    Args:
        head: its first bytes, at least `max_line + 1`.
        length: its whole length, without the newline.
        partial: it ended without a newline.
        end: position after it, newline included.
        sent: end of the last record before.
        max_line: where to cut it.
    """
    names = (TRUNCATED, PARTIAL) if partial else (TRUNCATED,)
    return Lines(
        starts=np.array([0], np.int64),
        ends=np.array([cut(head, 0, max_line)], np.int64),
        positions=np.array([sent, end], np.int64),
        end=end,
        flags={0: Flag(names, length)},
        dropped={TRUNCATED: 1},
    )


def cut(chunk: bytes, start: int, length: int) -> int:
    """Return the greatest length <= `length` at which `chunk[start:]` may be cut without dividing a character.

    Bytes that are not UTF-8 are cut at `length`. `chunk[start + length]` must exist.
    """
    for back in range(min(_CHARACTER, length)):
        if chunk[start + length - back] & 0xC0 != 0x80:  # not a continuation byte: a character begins here
            return length - back
    return length


class Assembler:
    """Lines from bytes that come in pieces and can't be read again (standard input, what is decompressed).

    Holds back the unterminated rest of what came; of an over-long line its beginning and its length alone.

    `position` is the end of all lines handed out; at first it is that of the first byte which comes.
    """

    def __init__(self, framing: Framing, position: int = 0) -> None:
        self.position = position
        self._framing = framing
        self._sent = position
        self._rest = b""
        self._beyond = 0
        """Bytes of an over-long line that came after `_rest` and were let go."""

    def feed(self, stream: Stream, data: bytes, closing: bool = False) -> list[LineBlock]:
        """Take the next piece, return the lines that it completes.

        Args:
            stream: whose bytes these are.
            data: the piece; may be empty.
            closing: no more will come: the rest is a line, flagged "partial".
        """
        if len(self._rest) <= self._framing.max_line:
            return self._take(stream, self._rest + data, closing)
        found = data.find(b"\n")
        if found < 0 and not closing:
            self._beyond += len(data)
            return []
        partial = found < 0
        used = len(data) if partial else found + 1
        whole = len(self._rest) + self._beyond + used
        lines = long_line(
            self._rest,
            whole if partial else whole - 1,
            partial,
            self.position + whole,
            self._sent,
            self._framing.max_line,
        )
        block = self._block(stream, self._rest, lines)
        self._rest, self._beyond = b"", 0
        return [block, *self.feed(stream, data[used:], closing)]

    def _take(self, stream: Stream, data: bytes, closing: bool) -> list[LineBlock]:
        lines = split_lines(data, 0, self.position, self._sent, self._framing, closing)
        used = lines.end - self.position
        # One byte more than a line may have is enough to know that it is too long, and where to cut it.
        limit = self._framing.max_line + 1
        self._rest, self._beyond = data[used : used + limit], max(0, len(data) - used - limit)
        return [self._block(stream, data, lines)] if used else []

    def _block(self, stream: Stream, data: bytes, lines: Lines) -> LineBlock:
        self.position, self._sent = lines.end, int(lines.positions[-1])
        return LineBlock(
            stream,
            data,
            lines.starts,
            lines.ends,
            lines.positions,
            lines.end,
            lines.flags,
            dropped=lines.dropped,
        )
