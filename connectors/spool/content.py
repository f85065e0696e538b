"""The content of one file, front to back: its bytes, or what they decompress to."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable
from typing import Any, Final

from .mark import Key, Stamp

_RAW: Final = 64 << 10  # compressed bytes read at once: zlib copies what is left of them at every member's end
_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO put there meanwhile must not block


class OtherFile(OSError):
    """The path leads to another file than the one that was seen there."""


class Damaged(Exception):
    """What should be gzip data is none, is damaged or ends in the middle; the text says which."""


class Content:
    """One file, open for reading.

    A file is gzip where its name ends in ".gz" or its bytes begin as gzip does; it has one member or several.

    Attributes:
        position: in the content; `read` goes on there.
        compressed: it is gzip.

    Raises:
        OtherFile: `path` is another file by now.
        OSError: as os.open says.
    """

    def __init__(self, path: str, key: Key) -> None:
        self.position = 0
        self._fd = os.open(path, _FLAGS)
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode) or (found.st_dev, found.st_ino) != key:
            os.close(self._fd)
            raise OtherFile(f"{path} is another file by now")
        self.compressed = path.endswith(".gz") or os.pread(self._fd, len(_MAGIC), 0) == _MAGIC
        self._begin()

    def stamp(self) -> Stamp:
        """Return the size and mtime that the file has now, under whatever name."""
        found = os.fstat(self._fd)
        return found.st_size, found.st_mtime_ns

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, fewer only at the end of the content.

        Raises:
            Damaged: only gzip can be.
            OSError: as the disk says.
        """
        pieces = []
        left = size
        while left and (piece := self._gunzip.read(left) if self.compressed else self._raw(left)):
            pieces.append(piece)
            left -= len(piece)
            self.position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def go_to(self, position: int, budget: int) -> bool:
        """Move there, decompressing at most about `budget` bytes; return whether it is reached, or the end was.

        Raises as `read` does.
        """
        if not self.compressed:
            self.position = self._at = position
            return True
        if position < self.position:
            self._begin()
        step = min(budget, position - self.position)
        return len(self.read(step)) < step or self.position == position

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _begin(self) -> None:
        self.position = self._at = 0
        self._gunzip = Gunzip(lambda: self._raw(_RAW))

    def _raw(self, size: int) -> bytes:
        data = os.pread(self._fd, size, self._at)
        self._at += len(data)
        return data


class Gunzip:
    """Gzip data of one member or several, with bounded memory whatever they expand to; zeros behind one are padding.

    Args:
        more: returns the next compressed bytes, b"" at their end.
    """

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._rest = b""
        self._member: Any = zlib.decompressobj(_GZIP)

    def read(self, size: int) -> bytes:
        """Return at least one byte and at most `size` of the content, b"" at its end; raises Damaged."""
        while self._member is not None or self._next_member():
            try:
                piece: bytes = self._member.decompress(self._rest, size)
            except zlib.error as error:
                raise Damaged(f"the gzip data is damaged: {error}") from error
            drained = not piece and not self._member.unconsumed_tail
            self._rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            elif drained:
                self._rest = self._more()
                if not self._rest:
                    raise Damaged("the gzip data ends in the middle")
            if piece:
                return piece
        return b""

    def _next_member(self) -> bool:
        """Whether there is another one."""
        while not (rest := self._rest.lstrip(b"\0")):
            self._rest = self._more()
            if not self._rest:
                return False
        self._rest, self._member = rest, zlib.decompressobj(_GZIP)
        return True
