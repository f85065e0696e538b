"""A gzip file decompressed front to back, in steps of bounded work and memory."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Any, Final

_RAW: Final = 64 << 10  # compressed bytes read at once: zlib copies what is left of them at every member's end
_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Ending:
    """How a reading ended.

    Attributes:
        whole: every member was found to be whole, and nothing but padding follows.
        foreign: it does not even begin as gzip does.
        reason: what is wrong, in words; empty where nothing is.
    """

    whole: bool
    foreign: bool
    reason: str


class Gunzip:
    """One reading of a gzip file; all its members are one content, zeros between and after them are padding.

    gzip keeps the CRC of a member at its end: only then are the bytes of that member proven.

    Attributes:
        position: bytes of content so far.
        proven: the end of the last member that was found to be whole, <= position.
        consumed: bytes of the file read so far.
        ending: None = there may be more.
    """

    def __init__(self) -> None:
        self.position = 0
        self.proven = 0
        self.consumed = 0
        self.ending: Ending | None = None
        self._member: Any = None
        self._members = 0
        self._rest = b""
        """Compressed bytes that were read and are not decompressed yet."""
        self._more = False
        """The member may have content ready without further input."""

    def step(self, fd: int, limit: int) -> bytes:
        """Do a bounded piece of work; return at most `limit` (> 0) bytes of content, often none.

        Raises:
            OSError: the disk says so; nothing was changed.
        """
        if self.ending is not None:
            return b""
        if not self._rest and not self._more:
            self._rest = os.pread(fd, _RAW, self.consumed)
            self.consumed += len(self._rest)
            if not self._rest:
                self._end(fd, "")
                return b""
        if self._member is None:
            self._rest = self._rest.lstrip(b"\0") if self._members else self._rest
            if not self._rest:
                return b""
            self._member = zlib.decompressobj(_GZIP)
        return self._inflate(fd, limit)

    def _inflate(self, fd: int, limit: int) -> bytes:
        try:
            piece: bytes = self._member.decompress(self._rest, limit)
        except zlib.error as error:
            self._end(fd, str(error))
            return b""
        self.position += len(piece)
        self._rest, self._more = self._member.unconsumed_tail, len(piece) == limit
        if self._member.eof:
            self._rest, self._more = self._member.unused_data, False
            self._member = None
            self._members += 1
            self.proven = self.position
        return piece

    def _end(self, fd: int, error: str) -> None:
        begin = os.pread(fd, len(_MAGIC), 0)
        foreign = not _MAGIC.startswith(begin)
        if foreign:
            reason = "its name says gzip and its content doesn't"
        elif error:
            reason = f"its gzip data is damaged after {self.position} bytes of content ({error})"
        elif self._member is not None or not self._members:
            reason = f"its gzip data ends in the middle, after {self.position} bytes of content"
        else:
            reason = ""
        self.ending = Ending(not reason, foreign, reason)
