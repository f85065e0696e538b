"""The content of a gzip file that was surveyed, for reading: decompressed again, front to back.

Kept are the bytes from where reading stands on, and of an over-long line its beginning and the latest bytes. Whoever
goes back further has it all decompressed anew, as after a restart: that costs time, never correctness.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from ingest.connectors.marks.mark import TAIL, Mark

from .gunzip import Gunzip
from .survey import Surveyed

_PIECE: Final = 256 << 10


class Unpacked:
    """An `identity.Content`; `reach` comes before every look at it.

    Args:
        seen: what the survey has seen of it; bytes beyond what is proven are not there.
        found: the file's stat as of the survey.
        longest: of a line, bytes that may be asked for when its end is found.
    """

    def __init__(self, seen: Surveyed, found: os.stat_result, longest: int) -> None:
        self.seen = seen
        self._found = (found.st_size, found.st_mtime_ns)
        self._longest = TAIL + longest
        self._fd = -1
        self.rest()

    def fresh(self, found: os.stat_result) -> bool:
        """Whether the file is as it was at the survey."""
        return self._found == (found.st_size, found.st_mtime_ns)

    def rest(self) -> None:
        """Let go of all memory."""
        self._reading = Gunzip()
        self._begin = 0
        """Position of the first byte of `_data`."""
        self._data = bytearray()
        self._front_begin = 0
        self._front = b""
        """Bytes from before `_data`: the beginning of an over-long line."""

    def reach(self, fd: int, start: int, quantum: int) -> bool:
        """Decompress about `quantum` bytes more on the way to position `start`; whether it is reached.

        Args:
            fd: the open file; used until the next call.
            start: no byte before it will be asked for until the next call.
            quantum: of bytes, at most.

        Raises:
            OSError: the disk says so, or the file is not what was surveyed.
        """
        self._fd = fd
        if self._front and start == self._front_begin:
            return True
        self._front = b""
        if start < self._begin:
            self.rest()
        goal = min(start, self._begin + len(self._data) + quantum)
        self._skip(goal)
        return goal == start

    def size(self) -> int:
        """Return how many bytes are proven."""
        return self.seen.length

    def pread(self, length: int, start: int) -> bytes:
        """Return the bytes [start, start + length), fewer at the end."""
        end = min(start + length, self.seen.length)
        if self._front_begin <= start and end <= self._front_begin + len(self._front):
            return self._front[start - self._front_begin : end - self._front_begin]
        if start < self._begin:
            self.rest()
        if start > self._begin + len(self._data):
            self._skip(max(self._begin, start - TAIL))
        elif start - TAIL > self._begin:
            if not self._front:
                self._front_begin, self._front = self._begin, bytes(self._data[: self._longest])
            self._skip(start - TAIL)
        self._fill(end)
        return bytes(self._data[start - self._begin : max(0, end - self._begin)])

    def mark(self, start: int, end: int) -> Mark | None:
        """Mark the bytes [start, end); None where there are fewer."""
        if end > self.seen.length:
            return None
        if self.seen.covers([(start, end)]):
            return self.seen.mark(start, end)
        return Mark.of(self.pread(end - start, start), end)

    def _skip(self, position: int) -> None:
        """Go on to `position` and drop all before it."""
        while self._begin < position:
            step = min(position - self._begin, _PIECE)
            self._fill(self._begin + step)
            del self._data[:step]
            self._begin += step

    def _fill(self, end: int) -> None:
        while (missing := end - self._begin - len(self._data)) > 0:
            if self._reading.ending is not None:
                self.rest()
                raise OSError(errno.EIO, "its gzip data is not what it was a moment ago")
            self._data += self._reading.step(self._fd, min(missing, _PIECE))
