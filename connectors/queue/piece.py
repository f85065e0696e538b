"""Lines on their way into a queue, before they have positions there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ingest.api import Flag, Framing, Int64s, LineBlock, long_line


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one stream, in order; positions count from 0, the place where the piece will be appended.

    Attributes:
        data: the bytes that hold the values.
        starts: int64[n], as in LineBlock.
        ends: int64[n], as in LineBlock.
        after: int64[n], where each line's interval ends; it begins where the one before ended.
        span: by how much the stream grows, >= after[-1]; more where trailing bytes were skipped.
        flags: row → Flag.
        dropped: reason → lines, as in LineBlock.
    """

    data: bytes
    starts: Int64s
    ends: Int64s
    after: Int64s
    span: int
    flags: dict[int, Flag] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_block(cls, block: LineBlock, begin: int) -> Piece:
        """Return the lines of a block that began at position `begin` of wherever it was made."""
        return cls(
            block.data,
            block.starts,
            block.ends,
            block.positions[1:] - begin,
            block.end - begin,
            dict(block.flags),
            dict(block.dropped),
        )

    @classmethod
    def of_values(cls, values: Sequence[bytes]) -> Piece:
        """Return lines with these values; each is followed by a newline that nobody sent."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        after = np.cumsum(lengths + 1)
        return cls(b"\n".join(values), after - lengths - 1, after - 1, after, int(after[-1]) if len(after) else 0)

    @classmethod
    def of_long_line(cls, head: bytes, length: int, partial: bool, framing: Framing) -> Piece:
        """Return a line that was too long to be kept.

        Args:
            head: its first bytes, more than its value may have.
            length: its whole length, without what ends it.
            partial: it ended without an end of line.
            framing: where to cut it.
        """
        span = length if partial else length + framing.width
        lines = long_line(head, length, partial, span, 0, framing)
        return cls(lines.data, lines.starts, lines.ends, lines.positions[1:], span, lines.flags, lines.dropped)


def nothing() -> Piece:
    """Return a piece without a line."""
    none = np.empty(0, np.int64)
    return Piece(b"", none, none, none, 0)


def merged(pieces: Sequence[Piece]) -> Piece:
    """Return one piece that holds the lines of all, in order."""
    if len(pieces) == 1:
        return pieces[0]
    flags: dict[int, Flag] = {}
    dropped: Counter[str] = Counter()
    starts, ends, after = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    place = rows = span = 0
    for piece in pieces:
        starts.append(piece.starts + place)
        ends.append(piece.ends + place)
        after.append(piece.after + span)
        flags |= {rows + row: flag for row, flag in piece.flags.items()}
        dropped.update(piece.dropped)
        place, rows, span = place + len(piece.data), rows + len(piece.starts), span + piece.span
    data = b"".join(piece.data for piece in pieces)
    return Piece(data, np.concatenate(starts), np.concatenate(ends), np.concatenate(after), span, flags, dict(dropped))
