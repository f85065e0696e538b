"""Lines from bytes that come in pieces and can't be read again (standard input, what is decompressed)."""

from __future__ import annotations

from ingest.blocks import LineBlock, Stream
from ingest.lines.framing import Framing
from ingest.lines.split import Lines, long_line, split_lines


class Assembler:
    """Lines from bytes that come in pieces.

    Holds back the unterminated rest of what came, and an event that may go on; of an over-long line its beginning and
    its length alone.

    `position` is the end of all lines handed out; at first it is that of the first byte which comes.

    Args:
        framing: how bytes become lines; where `position` is not the beginning, as `resolved` gave it.
        position: of the first byte that comes: the first of a line.
        sent: end of the last record before, <= position; None = position.
        before: the last bytes before `position`, at least `framing.width` of them if there are so many.
    """

    def __init__(self, framing: Framing, position: int = 0, sent: int | None = None, before: bytes = b"") -> None:
        self.position = position
        self._framing = framing
        self._resolved = False
        self._sent = position if sent is None else sent
        self._rest = b""
        self._beyond = 0
        """Bytes of an over-long line that came after `_rest` and were let go."""
        self._half = b""
        """The first byte of a character of two."""
        before = before[len(before) - framing.width :]
        self._hole = b"" if any(before) else before
        """The bytes before `_rest`, where they are of a hole."""

    @property
    def framing(self) -> Framing:
        """Return how bytes become lines, the encoding resolved as soon as bytes came."""
        return self._framing

    @property
    def holds(self) -> bool:
        """Whether something is held back."""
        return bool(self._rest or self._half)

    def feed(self, stream: Stream, data: bytes, closing: bool = False, settled: bool = False) -> list[LineBlock]:
        """Take the next piece, return the lines that it completes.

        Args:
            stream: whose bytes these are.
            data: the piece; may be empty.
            closing: no more will come: the rest is a line, flagged "partial".
            settled: an event that is held back will not go on.
        """
        if not self._known(data, closing):
            self._half += data
            return []
        data = self._whole(data, closing)
        if len(self._rest) <= self._framing.span:
            return self._take(stream, self._rest + data, closing, settled)
        width = self._framing.width
        found = self._framing.find_newline(data)
        if found < 0 and not closing:
            self._beyond += len(data)
            return []
        partial = found < 0
        used = len(data) if partial else found + width
        whole = len(self._rest) + self._beyond + used
        length = whole if partial else whole - width
        lines = long_line(self._rest, length, partial, self.position + whole, self._sent, self._framing)
        self._rest, self._beyond, self._hole = b"", 0, b""
        return [self._block(stream, lines), *self._take(stream, data[used:], closing, settled)]

    def _known(self, data: bytes, closing: bool) -> bool:
        """Whether the encoding is known, be it from the first bytes."""
        if not self._resolved:
            head = self._half + data
            resolved = self._framing.resolved(head.ljust(2, b"\0") if closing else head)
            if resolved is None:
                return False
            self._framing, self._resolved = resolved, True
        return True

    def _whole(self, data: bytes, closing: bool) -> bytes:
        """Return what is to be looked at: whole characters, unless it is the end."""
        data = self._half + data
        odd = 0 if closing else len(data) % self._framing.width
        self._half = data[len(data) - odd :]
        return data[: len(data) - odd]

    def _take(self, stream: Stream, data: bytes, closing: bool, settled: bool) -> list[LineBlock]:
        begin = len(self._hole)
        lines = split_lines(self._hole + data, begin, self.position, self._sent, self._framing, closing, settled)
        used = lines.end - self.position
        # One byte more than a line may have is enough to know that it is too long, and where to cut it.
        limit = self._framing.span + self._framing.width
        self._rest, self._beyond = data[used : used + limit], max(0, len(data) - used - limit)
        if not used:
            return []
        before = data[used - self._framing.width : used]
        self._hole = b"" if any(before) else before
        return [self._block(stream, lines)]

    def _block(self, stream: Stream, lines: Lines) -> LineBlock:
        self.position, self._sent = lines.end, int(lines.positions[-1])
        return LineBlock(
            stream,
            lines.data,
            lines.starts,
            lines.ends,
            lines.positions,
            lines.end,
            lines.flags,
            dropped=lines.dropped,
        )
