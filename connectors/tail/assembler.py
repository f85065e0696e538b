"""Lines from bytes that come in pieces and can't be read again (standard input, sockets)."""

from __future__ import annotations

from ingest.api import LineBlock, Stream

from .lines import Framing, Lines, long_line, split


class Assembler:
    """Holds back the unterminated rest of what came; of an over-long line its beginning and its length alone.

    `position` counts the bytes of all lines handed out.
    """

    def __init__(self, framing: Framing) -> None:
        self.position = 0
        self._framing = framing
        self._sent = 0
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
        lines = split(data, 0, self.position, self._sent, self._framing, closing)
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
