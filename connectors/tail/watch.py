"""What happens to names in directories, as the kernel tells it (inotify): a hint, never the truth.

Where there is no inotify, where its limits are reached, and on file systems of other machines nothing is told; scans
find every file that stays.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

from .strays import Notice

_CREATE: Final = 0x100
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_DELETE: Final = 0x200
_ONLY_DIRECTORIES: Final = 0x01000000
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_IS_DIRECTORY: Final = 0x40000000
_MODIFY: Final = 0x2
Kinds: TypeAlias = Mapping[int, Literal["made", "left", "came", "deleted", "grew"]]
NAMES: Final[Kinds] = {_CREATE: "made", _MOVED_FROM: "left", _MOVED_TO: "came", _DELETE: "deleted"}
GROWTH: Final[Kinds] = {_MODIFY: "grew"}
"""Comes in floods: watched apart, so that no name is lost in one."""
_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 64 << 10
_ALL: Final = 1 << 30


class Watch:
    """The directories that are watched; a directory made anew under its path is watched anew. `kinds`: what is told."""

    def __init__(self, kinds: Kinds = NAMES) -> None:
        self._kinds = kinds
        self._overflowed = False
        self._paths: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        begin = getattr(self._libc, "inotify_init1", None)
        self._fd: int = -1 if begin is None else begin(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def works(self) -> bool:
        """Return whether anything is watched."""
        return bool(self._watches)

    def told(self) -> bool:
        """Whether the kernel has something to tell."""
        poll = select.poll()
        if self._fd >= 0:
            poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def notices(self, reads: int = _ALL) -> list[Notice]:
        """Return what happened since the last call, in order; `reads`: of the kernel, each of some thousand at most."""
        found: list[Notice] = []
        for _ in range(reads if self._fd >= 0 else 0):
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                break
            place = 0
            while place < len(data):
                watch, mask, cookie, length = _HEAD.unpack_from(data, place)
                name = data[place + _HEAD.size : place + _HEAD.size + length].rstrip(b"\0")
                place += _HEAD.size + length
                found += self._notice(watch, mask, cookie, name)
        return found

    def take_overflow(self) -> bool:
        """Whether more happened than the kernel kept, since the last call."""
        overflowed, self._overflowed = self._overflowed, False
        return overflowed

    def set(self, directories: Iterable[str]) -> None:
        """Watch these directories and no others; one that can't be watched is left out."""
        wanted = set(directories) if self._fd >= 0 else set()
        for path in self._watches.keys() - wanted:
            self._drop(self._watches.pop(path))
        mask = sum(self._kinds) | _ONLY_DIRECTORIES
        for path in wanted:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
            old = self._watches.pop(path, watch)
            if old != watch:
                self._drop(old)
            if watch >= 0:
                self._watches[path] = watch
                self._paths[watch] = path

    def close(self) -> None:
        """Let go of everything."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _drop(self, watch: int) -> None:
        # The directory may be gone, and its watch with it: that is all that can fail.
        self._paths.pop(watch, None)
        self._libc.inotify_rm_watch(self._fd, watch)

    def _notice(self, watch: int, mask: int, cookie: int, name: bytes) -> list[Notice]:
        self._overflowed = self._overflowed or bool(mask & _OVERFLOW)
        if mask & _IGNORED:
            self._paths.pop(watch, None)
        directory = self._paths.get(watch)
        if directory is None or not name or mask & _IS_DIRECTORY:
            return []
        path = os.path.join(directory, os.fsdecode(name))
        return [Notice(kind, path, cookie) for bit, kind in self._kinds.items() if mask & bit]
