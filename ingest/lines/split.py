r"""`split_lines` and `long_line`: pure, and functions of the bytes and their position alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.blocks import Bools, Flag, Int64s
from ingest.lines.encoding import UTF_8, lines_as_text, mark_length, newline_width, newlines, text_of
from ingest.lines.events import first_lines, wanted_lines
from ingest.lines.framing import Framing

EMPTY: Final = "empty_line"
EXCLUDED: Final = "excluded"
HOLE: Final = "hole"
TRUNCATED: Final = "truncated"
PARTIAL: Final = "partial"
_CHARACTER: Final = 4  # bytes of the longest character in UTF-8
_HOLE: Final = 16  # NULs at the beginning of a line that no program wrote: a file was truncated under its writer


@dataclass(frozen=True, slots=True)
class Lines:
    """The columns of a LineBlock for one chunk of n lines; `starts` and `ends` are places in `data`.

    Attributes:
        data: what holds the values: the chunk, or its text as UTF-8.
        starts: int64[n].
        ends: int64[n], exclusive.
        positions: int64[n + 1], as in LineBlock.
        end: position after the last line taken, dropped ones included; what lies beyond is held back.
        flags: row → Flag.
        dropped: reason → number of lines.
        boundary: where the last line ends is not decided by the bytes alone.
    """

    data: bytes
    starts: Int64s
    ends: Int64s
    positions: Int64s
    end: int
    flags: dict[int, Flag]
    dropped: dict[str, int]
    boundary: bool = False


@dataclass(slots=True)
class _Rows:
    """Lines on their way; n rows.

    Attributes:
        data: holds the values.
        starts, ends: places in `data`; int64[n].
        lengths: bytes in the stream, the last newline excluded.
        after: places in the chunk, behind that newline.
        hole: it begins with one, which is left out.
    """

    data: bytes
    starts: Int64s
    ends: Int64s
    lengths: Int64s
    after: Int64s
    hole: Bools

    def take(self, rows: Int64s | Bools, lasts: Int64s | None = None) -> _Rows:
        """Return the given rows; with `lasts` each joined with those up to and including its last one."""
        if lasts is None:
            return _Rows(
                self.data, self.starts[rows], self.ends[rows], self.lengths[rows], self.after[rows], self.hole[rows]
            )
        begins = self.after - self.lengths
        lengths = self.after[lasts] - begins[rows]
        return _Rows(self.data, self.starts[rows], self.ends[lasts], lengths, self.after[lasts], self.hole[rows])


def split_lines(
    chunk: bytes, begin: int, position: int, sent: int, framing: Framing, closing: bool, settled: bool = False
) -> Lines:
    """Find the lines in `chunk[begin:]`.

    Args:
        chunk: bytes; of those before `begin` only the last two are looked at.
        begin: place of the first byte of a line.
        position: position of that byte.
        sent: end of the last record before, <= position.
        framing: how to find, join, drop and cut.
        closing: an unterminated rest is a line too, flagged "partial"; else it is held back.
        settled: the last event will not go on, though no line after it says so; else it is held back. `closing` says so
            too.
    """
    dropped: dict[str, int] = {}
    first = begin + (mark_length(chunk, begin, framing.encoding) if position == 0 else 0)
    rows, consumed, partial = _found(chunk, first, framing.encoding, closing, dropped)
    boundary = partial
    if framing.multiline and len(rows.starts):
        rows, held, boundary = _events(rows, len(chunk), framing, closing or settled)
        consumed = consumed if held is None else held
    long = rows.ends - rows.starts > framing.max_line
    for row in np.flatnonzero(long).tolist():
        rows.ends[row] = int(rows.starts[row]) + cut(rows.data, int(rows.starts[row]), framing.max_line)
    kept = _kept(rows, framing, dropped)
    flags = _flags(rows, kept, long, partial)
    rows = rows if kept.all() else rows.take(kept)
    dropped[TRUNCATED] = sum(TRUNCATED in flag.names for flag in flags.values())
    positions = np.concatenate((np.array([sent], np.int64), rows.after - begin + position))
    end = consumed - begin + position
    dropped = {reason: lines for reason, lines in dropped.items() if lines}
    return Lines(rows.data, rows.starts, rows.ends, positions, end, flags, dropped, boundary)


def _found(chunk: bytes, begin: int, encoding: str, closing: bool, dropped: dict[str, int]) -> tuple[_Rows, int, bool]:
    """Return the lines, the place after all of them, and whether the last one is unterminated."""
    width = newline_width(encoding)
    ends = newlines(chunk, begin, encoding)
    after = ends + width
    starts = np.empty_like(ends)
    starts[:1] = begin
    starts[1:] = after[:-1]
    consumed = int(after[-1]) if len(after) else begin
    skipped = _hole_at(chunk, begin, consumed, width, dropped)
    consumed += skipped
    partial = closing and consumed < len(chunk)
    if partial:
        starts, ends, after = np.append(starts, consumed), np.append(ends, len(chunk)), np.append(after, len(chunk))
        consumed = len(chunk)
    text, text_starts, text_ends = chunk, starts, ends
    if encoding != UTF_8:
        text, text_starts, text_ends = lines_as_text(chunk, starts, ends, encoding)
    rows = _Rows(text, text_starts, text_ends, ends - starts, after, np.zeros(len(starts), np.bool_))
    rows.hole[len(starts) - 1 :] = partial and skipped > 0
    _skip_holes(rows, _in_hole(chunk, begin, width), width, dropped)
    return rows, consumed, partial


def _in_hole(chunk: bytes, begin: int, width: int) -> bool:
    """Whether what was taken before ended within a hole."""
    return begin >= width and not any(chunk[begin - width : begin])


def _hole_at(chunk: bytes, begin: int, at: int, width: int, dropped: dict[str, int]) -> int:
    """Return how many bytes of a hole stand at `at`, behind the last newline."""
    if at + width > len(chunk) or any(chunk[at : at + width]):
        return 0
    rest = chunk[at:]
    length = (len(rest) - len(rest.lstrip(b"\0"))) // width * width
    if at == begin and _in_hole(chunk, begin, width):
        return length
    if length < _HOLE * width:
        return 0
    dropped[HOLE] = dropped.get(HOLE, 0) + 1
    return length


def _skip_holes(rows: _Rows, inside: bool, width: int, dropped: dict[str, int]) -> None:
    """Let lines begin behind the holes that they begin with; `inside`: the first one begins within one."""
    if not len(rows.starts) or not rows.data:
        return
    first = np.frombuffer(rows.data, np.uint8)[np.minimum(rows.starts, len(rows.data) - 1)]
    for row in np.flatnonzero((first == 0) & (rows.starts < rows.ends)).tolist():
        line = rows.data[rows.starts[row] : rows.ends[row]]
        length = len(line) - len(line.lstrip(b"\0"))
        goes_on = inside and row == 0
        counted = bool(rows.hole[row])  # the one before an unterminated line, which its text still has
        if length >= _HOLE or goes_on or counted:
            rows.starts[row] += length
            rows.lengths[row] -= 0 if counted else length * width
            rows.hole[row] = True
            if not goes_on and not counted:
                dropped[HOLE] = dropped.get(HOLE, 0) + 1


def _events(rows: _Rows, size: int, framing: Framing, settled: bool) -> tuple[_Rows, int | None, bool]:
    """Join lines to events.

    Returns:
        the events; the place of the last one's first byte where it is held back, as it may go on (None = it is not);
        whether it was taken although it might have.
    """
    firsts = first_lines(rows.data, rows.starts, rows.ends, rows.hole, framing)
    lasts = np.append(firsts[1:], len(rows.starts)) - 1
    last = int(firsts[-1])
    begin = int(rows.after[last] - framing.width - rows.lengths[last])
    # Once it is longer than a value may be, the next line does not fit, whatever it is.
    goes_on = size - begin <= framing.span
    if goes_on and not settled:
        return rows.take(firsts[:-1], lasts[:-1]), begin, False
    return rows.take(firsts, lasts), None, goes_on


def _kept(rows: _Rows, framing: Framing, dropped: dict[str, int]) -> Bools:
    """Return which rows are wanted, judged by what would be sent; the next record's interval covers the others."""
    kept = wanted_lines(rows.data, rows.starts, rows.ends, framing)
    dropped[EXCLUDED] = len(kept) - int(np.count_nonzero(kept))
    if framing.drop_empty:
        empty = kept & (rows.starts == rows.ends)
        dropped[EMPTY] = int(np.count_nonzero(empty))
        kept &= ~empty
    return kept


def _flags(rows: _Rows, kept: Bools, long: Bools, partial: bool) -> dict[int, Flag]:
    """Return what is unusual about the rows that are kept, numbered as they are then."""
    unusual = long.copy()
    unusual[len(unusual) - 1 :] |= partial
    numbers = np.cumsum(kept) - 1
    flags = {}
    for row in np.flatnonzero(unusual & kept).tolist():
        last = partial and row == len(kept) - 1
        names = (*((TRUNCATED,) if long[row] else ()), *((PARTIAL,) if last else ()))
        flags[int(numbers[row])] = Flag(names, int(rows.lengths[row]) if long[row] else None)
    return flags


def long_line(head: bytes, length: int, partial: bool, end: int, sent: int, framing: Framing) -> Lines:
    """Return the one line that was too long for a chunk, or none where it is not wanted.

    Args:
        head: its first bytes, at least `framing.span + 1`.
        length: its whole length, without the newline.
        partial: it ended without a newline.
        end: position after it, newline included.
        sent: end of the last record before.
        framing: where to cut it.
    """
    data = head if framing.encoding == UTF_8 else text_of(head[: framing.span // 2 * 2], framing.encoding)
    begin, stop, lengths, after = (np.array([number], np.int64) for number in (0, len(data), length, end))
    rows = _Rows(data, begin, stop, lengths, after, np.zeros(1, np.bool_))
    rows.ends[0] = cut(data, 0, framing.max_line)
    dropped: dict[str, int] = {}
    kept = _kept(rows, framing, dropped)
    flags = _flags(rows, kept, np.ones(1, np.bool_), partial)
    rows = rows.take(kept)
    dropped = {reason: lines for reason, lines in (dropped | {TRUNCATED: len(flags)}).items() if lines}
    positions = np.concatenate((np.array([sent], np.int64), rows.after))
    return Lines(data, rows.starts, rows.ends, positions, end, flags, dropped, boundary=partial)


def cut(chunk: bytes, start: int, length: int) -> int:
    """Return the greatest length <= `length` at which `chunk[start:]` may be cut without dividing a character.

    Bytes that are not UTF-8 are cut at `length`. Less is there: all of it.
    """
    if start + length >= len(chunk):
        return len(chunk) - start
    for back in range(min(_CHARACTER, length)):
        if chunk[start + length - back] & 0xC0 != 0x80:  # not a continuation byte: a character begins here
            return length - back
    return length
