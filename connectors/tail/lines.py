r"""Bytes → columns of lines: where each starts and ends, which are cut, which are dropped.

Pure, and a function of the bytes and their position alone: reading the same bytes again gives the same lines with the
same positions, however they were divided into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.api import Flag, Int64s

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


def split(chunk: bytes, begin: int, position: int, sent: int, framing: Framing, closing: bool) -> Lines:
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
