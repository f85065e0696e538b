"""Where messages begin and end in a stream of bytes (RFC 6587), told anew from the first byte of each message.

    a digit    its length in digits, a space, so many bytes: octet counting; digits that no space follows are text
    "<"        up to a newline or a NUL: what begins a message of syslog
    others     up to a newline

`Messages` is for one connection. A message has the same positions as if a newline followed it, whatever did.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from ingest.api import Flag, Framing, Int64s, cut, wanted_lines
from ingest.connectors.queue.piece import Piece, merged

_COUNT: Final = re.compile(rb"([1-9][0-9]{0,9}) ")
_DIGITS: Final = re.compile(rb"[1-9][0-9]{0,9}\Z")
_TERMINATORS: Final = re.compile(rb"[\n\0]")
_PRIORITY: Final = ord("<")
_EMPTY: Final = "empty_line"
_EXCLUDED: Final = "excluded"
_TRUNCATED: Final = "truncated"
_PARTIAL: Final = "partial"


def pieces_of_datagrams(values: Sequence[bytes], framing: Framing) -> Piece:
    """Return one message for each datagram, without the newline or NUL at its end."""
    values = [value[:-1] if value[-1:] in (b"\n", b"\0") else value for value in values]
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)) + 1) - 1
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    return piece_of(b"\n".join(values), starts, ends, framing)


def piece_of(data: bytes, starts: Int64s, ends: Int64s, framing: Framing, partial: bool = False) -> Piece:
    """Return messages as a piece: cut where they are too long, without the empty ones where these are not wanted.

    Args:
        data: holds them.
        starts: int64[n].
        ends: int64[n].
        framing: how to cut and drop.
        partial: the end of the last one never came.
    """
    lengths = ends - starts
    after = np.cumsum(lengths + 1)
    if partial:
        after[-1] -= 1
    span = int(after[-1]) if len(after) else 0
    long = lengths > framing.max_line
    ends = ends.copy()
    for row in np.flatnonzero(long).tolist():
        ends[row] = int(starts[row]) + cut(data, int(starts[row]), framing.max_line)
    wanted = wanted_lines(data, starts, ends, framing)
    empty = wanted & (lengths == 0) if framing.drop_empty else np.zeros(len(wanted), np.bool_)
    kept = wanted & ~empty
    numbers = np.cumsum(kept) - 1
    flags: dict[int, Flag] = {}
    for row in np.flatnonzero(long & kept).tolist():
        flags[int(numbers[row])] = Flag((_TRUNCATED,), int(lengths[row]))
    dropped = {_EXCLUDED: int((~wanted).sum()), _EMPTY: int(empty.sum()), _TRUNCATED: len(flags)}
    if partial and kept[-1]:
        flag = flags.get(int(numbers[-1]), Flag(()))
        flags[int(numbers[-1])] = Flag((*flag.names, _PARTIAL), flag.length)
    dropped = {reason: lines for reason, lines in dropped.items() if lines}
    return Piece(data, starts[kept], ends[kept], after[kept], span, flags, dropped)


class Messages:
    """The messages of one connection. Holds back an unfinished one; of an over-long one its beginning alone."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._rest = b""
        self._length = 0
        """Bytes of an over-long message that came, those in `_rest` included; 0 = there is none."""
        self._left: int | None = None
        """Bytes of an over-long message that are to come; None = up to its terminator."""
        self._spare = False
        """A newline that comes next is none of a message: some senders add one after a counted message."""

    def feed(self, data: bytes, closing: bool = False) -> Piece | None:
        """Take the next bytes, return the messages that they complete.

        Args:
            data: may be empty.
            closing: no more will come: the rest is a message, flagged "partial".
        """
        pieces = []
        if self._length:
            piece, data = self._skip(data, closing)
            if piece is None:
                return None
            pieces.append(piece)
        data, self._rest = self._rest + data, b""
        starts, ends, used = self._split(data)
        begin = counted.end() if (counted := _COUNT.match(data, used)) else used
        partial = closing and begin < len(data)
        if partial:
            starts, ends = np.append(starts, begin), np.append(ends, len(data))
        if len(starts):
            pieces.append(piece_of(data, starts, ends, self._framing, partial))
        if not closing:
            self._hold(data, used, begin, counted)
        return merged(pieces) if pieces else None

    def _split(self, data: bytes) -> tuple[Int64s, Int64s, int]:
        """Return where whole messages start and end, and how many bytes they take."""
        if not self._spare and b"\0" not in data:
            ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 0x0A).astype(np.int64, copy=False)
            starts = np.concatenate((np.zeros(1, np.int64), ends + 1))
            firsts = np.frombuffer(data, np.uint8)[starts[starts < len(data)]]
            if not np.any((firsts > ord("0")) & (firsts <= ord("9"))):
                return starts[:-1], ends, int(starts[-1])
        return self._split_one_by_one(data)

    def _split_one_by_one(self, data: bytes) -> tuple[Int64s, Int64s, int]:
        starts, ends, place = [], [], 0
        while place < len(data):
            if self._spare:
                self._spare = False
                if data[place] == 0x0A:
                    place += 1
                    continue
            counted = _COUNT.match(data, place)
            if counted:
                start, end = counted.end(), counted.end() + int(counted[1])
                after = end
            elif _DIGITS.match(data, place):
                break
            else:
                start, end = place, _terminator(data, place)
                after = end + 1
            if end < 0 or after > len(data):
                break
            starts.append(start)
            ends.append(end)
            self._spare = counted is not None
            place = after
        return np.array(starts, np.int64), np.array(ends, np.int64), place

    def _hold(self, data: bytes, used: int, begin: int, counted: re.Match[bytes] | None) -> None:
        """Keep the unfinished rest: all of it, or where it is too long already its beginning."""
        if len(data) - begin <= self._framing.max_line:
            self._rest = data[used:]
            return
        self._length = len(data) - begin
        self._left = int(counted[1]) - self._length if counted else None
        self._rest = data[begin : begin + self._framing.max_line + 1]

    def _skip(self, data: bytes, closing: bool) -> tuple[Piece | None, bytes]:
        """Look for the end of an over-long message; return it once it came, and the bytes behind it."""
        end = self._left if self._left is not None else _terminator(data, 0, self._rest[0])
        whole = 0 <= end <= len(data)
        taken = end if whole else len(data)
        self._length += taken
        if not whole and not closing:
            self._left = None if self._left is None else self._left - taken
            return None, b""
        piece = Piece.of_long_line(self._rest, self._length, not whole, self._framing)
        self._spare = self._left is not None
        behind = data[taken + (0 if self._left is not None else 1) :]
        self._rest, self._length, self._left = b"", 0, None
        return piece, behind


def _terminator(data: bytes, place: int, first: int | None = None) -> int:
    """Return where a message that begins at `place`, or began with the byte `first`, ends; -1 = not yet."""
    if (data[place] if first is None else first) != _PRIORITY:
        return data.find(b"\n", place)
    found = _TERMINATORS.search(data, place)
    return found.start() if found else -1
