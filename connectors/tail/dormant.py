"""Generations whose file is not at hand: read before a restart, ended, or gone.

A file that turns up may be one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ingest.connectors.marks.mark import HEAD, Mark

from .handles import Key
from .identity import Kinship
from .names import Index, Names
from .rotation import is_compressed
from .tailed import TailedFile

_GONE_KEPT = 1000  # so that a storm of rotations can't grow the checkpoint without bound
_ORDER: dict[Kinship, int] = {"inode": 0, "device": 1, "copy": 2, "content": 3}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A generation that a file might belong to, and why."""

    file: TailedFile
    kinship: Kinship


class Dormant:
    """The dormant generations, found by inode, by the name that their rotated copies have, and by a full head."""

    def __init__(self) -> None:
        self._all: dict[int, TailedFile] = {}
        self._by_inode = Index(lambda file: file.key[1])
        self._by_name = Names()
        self._by_head = Index(lambda file: file.head.digest if file.head.length == HEAD else None)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[TailedFile]:
        return iter(list(self._all.values()))

    def outdated(self, limit: float) -> list[TailedFile]:
        """Return those whose file has been gone since before `limit` (unix time), or that are too many."""
        gone = sorted((file for file in self if file.gone is not None), key=lambda file: file.gone or 0.0)
        return [one for place, one in enumerate(gone) if (one.gone or 0.0) < limit or place < len(gone) - _GONE_KEPT]

    def has(self, key: Key) -> bool:
        """Whether a generation was last seen under that device and inode."""
        return any(file.key == key for file in self._by_inode.find(key[1]))

    def at(self, key: Key) -> list[TailedFile]:
        """Return the generations that were last seen under that device and inode."""
        return [file for file in self._by_inode.find(key[1]) if file.key == key]

    def add(self, file: TailedFile) -> None:
        """Remember a generation; what it is found by must not change until it is removed."""
        self._all[file.generation] = file
        for index in (self._by_inode, self._by_name, self._by_head):
            index.add(file)

    def remove(self, file: TailedFile) -> None:
        """Forget a generation: it is live again, or of no use any more."""
        del self._all[file.generation]
        for index in (self._by_inode, self._by_name, self._by_head):
            index.remove(file)

    def candidates(self, path: str, key: Key, head: bytes, first: bool) -> list[Candidate]:
        """Return what a file might be, the likeliest first; of several that knew its inode the latest, or all by name.

        Args:
            path: where the file is, as `shown`.
            key: its device and inode.
            head: its first bytes, up to HEAD.
            first: this is the first scan after a start; a compressed file may turn up under another inode at any time.
        """
        found: dict[int, Candidate] = {}
        by_inode = sorted(self._by_inode.find(key[1]), key=lambda other: -other.serial)
        for other in [other for other in by_inode if other.key == key][:1]:
            found[other.generation] = Candidate(other, "inode")
        for other in [other for other in by_inode if other.key != key]:
            found[other.generation] = Candidate(other, "device")
        for other in self._by_name.originals(path):
            found.setdefault(other.generation, Candidate(other, "copy"))
        if (first or is_compressed(path)) and len(head) == HEAD:
            for other in self._by_head.find(Mark.of(head, HEAD).digest):
                found.setdefault(other.generation, Candidate(other, "content"))
        return sorted(found.values(), key=lambda one: (_ORDER[one.kinship], -one.file.serial))
