"""Whose turn it is: everybody in a circle, rotated files ahead of the file that took their place."""

from __future__ import annotations

import heapq
from collections import defaultdict

from .tailed import TailedFile


class Turns:
    """The files that have something to read; a turn costs the same however many there are.

    A file waits while an older one of its path, rotated meanwhile, still has something to read.
    """

    def __init__(self) -> None:
        self._ready: set[TailedFile] = set()
        self._queue: list[tuple[int, bool, int, TailedFile]] = []
        self._queued: set[TailedFile] = set()
        self._waiting: defaultdict[str, list[TailedFile]] = defaultdict(list)
        self._rotated: defaultdict[str, set[int]] = defaultdict(set)
        """Name → serials of its rotated files that have something to read."""

    def __bool__(self) -> bool:
        return bool(self._ready)

    def add(self, file: TailedFile) -> None:
        """The file has something to read, or was rotated since it was said to."""
        self._ready.add(file)
        if file.rotated:
            self._rotated[file.name].add(file.serial)
        self._enqueue(file)

    def discard(self, file: TailedFile) -> None:
        """The file has nothing to read, for now."""
        self._ready.discard(file)
        serials = self._rotated.get(file.name)
        if serials is None or file.serial not in serials:
            return
        serials.remove(file.serial)
        if not serials:
            del self._rotated[file.name]
        for other in self._waiting.pop(file.name, ()):
            self._enqueue(other)

    def next(self) -> TailedFile | None:
        """Return who waited longest; it must be given back by `again`. None = nobody may read."""
        while self._queue:
            file = heapq.heappop(self._queue)[-1]
            self._queued.discard(file)
            if file not in self._ready:
                continue
            older = self._rotated.get(file.name)
            if older and min(older) < file.serial:
                self._waiting[file.name].append(file)
                continue
            return file
        return None

    def again(self, file: TailedFile) -> None:
        """Give a file back that had its turn: it may have another one after the others."""
        if file in self._ready:
            self._enqueue(file)

    def _enqueue(self, file: TailedFile) -> None:
        if file not in self._queued and file not in self._waiting.get(file.name, ()):
            self._queued.add(file)
            heapq.heappush(self._queue, (file.served, not file.rotated, file.serial, file))
