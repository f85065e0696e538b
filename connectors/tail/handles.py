"""Open files, bounded: the least recently used that can be opened again makes room."""

from __future__ import annotations

import os
import resource
import stat
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

Key: TypeAlias = tuple[int, int]
"""Device and inode."""

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO put there meanwhile must not block
_SPARE: Final = 32  # descriptors left for Kafka, the state directory and the web server


class OtherFile(OSError):
    """The path leads to another file than the one that was seen there."""


def bounded(wanted: int) -> int:
    """Return how many files may be open at once, given the process's limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = soft - _SPARE if soft >= 2 * _SPARE else soft // 2
    return max(1, min(wanted, room))


class Handles:
    """File descriptors by (device, inode), at most `limit` besides those that may not be closed.

    `reopenable(key)` says whether a file can be opened again later: it has a path. `follow`: symbolic links too.
    """

    def __init__(self, limit: int, reopenable: Callable[[Key], bool], follow: bool = False) -> None:
        self._follow = follow
        self._limit = limit
        self._reopenable = reopenable
        self._open: OrderedDict[Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, key: Key) -> int | None:
        """Return the descriptor where the file is open."""
        return self._open.get(key)

    def stat(self, key: Key) -> os.stat_result | None:
        """Return what the file is now where it is open, under whatever name, or none."""
        fd = self._open.get(key)
        return None if fd is None else os.fstat(fd)

    def open(self, key: Key, path: str) -> int:
        """Return the descriptor, opening `path` if need be.

        Raises:
            OtherFile: `path` is no longer the file with that key.
            OSError: as os.open says.
        """
        fd = self._open.get(key)
        if fd is None:
            self._make_room()
            fd = open_regular(path, key, self._follow)
            self._open[key] = fd
        self._open.move_to_end(key)
        return fd

    def close(self, key: Key) -> None:
        """Close the file if it is open."""
        fd = self._open.pop(key, None)
        if fd is not None:
            os.close(fd)

    def close_all(self) -> None:
        """Close everything."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _make_room(self) -> None:
        while len(self._open) >= self._limit:
            oldest = next(filter(self._reopenable, self._open), None)
            if oldest is None:
                return
            self.close(oldest)


def open_regular(path: str, key: Key, follow: bool) -> int:
    """Open a file for reading, never anything but the regular file with that key; through a link only with `follow`.

    Raises:
        OtherFile: `path` is another file by now.
        OSError: as os.open says.
    """
    fd = os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or (found.st_dev, found.st_ino) != key:
        os.close(fd)
        raise OtherFile(f"{path} is another file by now")
    return fd
