"""Of which generations a file may be a copy, and what must be known of its content to tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ingest.connectors.marks.mark import TAIL, Content, Mark

from .admission import alike
from .dormant import Dormant
from .handles import Handles, Key
from .names import Names
from .plain import Plain
from .survey import Span
from .tailed import TailedFile, shown

Relative = tuple[TailedFile, Content | None]
"""A live generation, with the content of its file where that is at hand."""


class Relatives:
    """Looks for them among the `live` and the `dormant` generations."""

    def __init__(self, live: Mapping[Key, TailedFile], dormant: Dormant, handles: Handles) -> None:
        self._live = live
        self._dormant = dormant
        self._handles = handles

    def names(self) -> Names:
        """Return the names of the live generations as of now."""
        return Names(self._live.values())

    def of_plain(self, path: str, names: Names) -> list[Relative]:
        """Return the live generations of which a plain file may be a copy: something of them was handed out."""
        known = [file for file in names.originals(shown(path)) if file.known]
        fds = [None if file.compressed else self._handles.get(file.key) for file in known]
        return [(file, None if fd is None else Plain(fd)) for file, fd in zip(known, fds, strict=True)]

    def of_gzip(self, path: str, head: bytes, names: Names) -> list[Relative]:
        """Return the live generations of which a gzip file with that head may have been made."""
        found = [file for file in names.originals(shown(path)) if alike(file, head)]
        return [(file, None if file.compressed else _Closed(file, self._handles)) for file in found]

    def needed(self, path: str, key: Key, head: bytes, names: Names) -> set[Span]:
        """Return of which spans of a gzip file marks are needed to decide on it now.

        None because of a live plain file: its bytes can be compared. None because of a file that is being read: the
        decision waits for that.
        """
        steady = [file for file in names.originals(shown(path)) if file.compressed and not file.due]
        return _spans((*self._asleep(path, key, head), *steady), head)

    def wanted(self, path: str, key: Key, head: bytes) -> set[Span]:
        """Return of which spans marks may be needed once a survey that begins now is over."""
        return _spans((*self._asleep(path, key, head), *self.names().originals(shown(path))), head)

    def _asleep(self, path: str, key: Key, head: bytes) -> list[TailedFile]:
        return [candidate.file for candidate in self._dormant.candidates(shown(path), key, head, False)]


class _Closed:
    """The content of a plain file that is opened for each look: there may be room for one open file only."""

    def __init__(self, file: TailedFile, handles: Handles) -> None:
        self._file = file
        self._handles = handles

    def size(self) -> int:
        return self._open().size()

    def pread(self, length: int, start: int) -> bytes:
        return self._open().pread(length, start)

    def mark(self, start: int, end: int) -> Mark | None:
        return self._open().mark(start, end)

    def _open(self) -> Plain:
        return Plain(self._handles.open(self._file.key, self._file.path))


def _spans(files: Iterable[TailedFile], head: bytes) -> set[Span]:
    found: set[Span] = set()
    for file in files:
        if alike(file, head):
            marks = (file.evidence, file.tail, *file.trail)
            found |= {(mark.end - mark.length, mark.end) for mark in marks}
            found.add((max(0, file.position - TAIL), file.position))
    return {(start, end) for start, end in found if start < end}
