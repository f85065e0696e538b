"""Generations whose file is not at hand: read before a restart, ended, or gone.

A file that turns up may be one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .handles import Key
from .identity import HEAD, Kinship, Mark
from .rotation import is_rotated_form
from .tailed import TailedFile

_ByDigest: TypeAlias = defaultdict[str, dict[int, TailedFile]]
_ORDER: dict[Kinship, int] = {"inode": 0, "device": 1, "copy": 2, "content": 3}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A generation that a file might belong to, and why."""

    file: TailedFile
    kinship: Kinship


class Dormant:
    """The dormant generations, found by inode and by the mark of their head."""

    def __init__(self) -> None:
        self._all: dict[int, TailedFile] = {}
        self._by_inode: defaultdict[int, dict[int, TailedFile]] = defaultdict(dict)
        self._by_head: defaultdict[int, _ByDigest] = defaultdict(lambda: defaultdict(dict))

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[TailedFile]:
        return iter(list(self._all.values()))

    def has(self, key: Key) -> bool:
        """Whether a generation was last seen under that device and inode."""
        return any(file.key == key for file in self._by_inode.get(key[1], {}).values())

    def add(self, file: TailedFile) -> None:
        """Remember a generation."""
        self._all[file.generation] = file
        self._by_inode[file.key[1]][file.generation] = file
        self._by_head[file.head.length][file.head.digest][file.generation] = file

    def remove(self, file: TailedFile) -> None:
        """Forget a generation: it is live again, or of no use any more."""
        del self._all[file.generation]
        del self._by_inode[file.key[1]][file.generation]
        if not self._by_inode[file.key[1]]:
            del self._by_inode[file.key[1]]
        digests = self._by_head[file.head.length]
        del digests[file.head.digest][file.generation]
        if not digests[file.head.digest]:
            del digests[file.head.digest]
        if not digests:
            del self._by_head[file.head.length]

    def candidates(self, path: str, key: Key, head: bytes, first: bool) -> list[Candidate]:
        """Return what a file might be, the likeliest first; of several that knew its inode only the latest.

        Args:
            path: where the file is, as `shown`.
            key: its device and inode.
            head: its first bytes, up to HEAD.
            first: this is the first scan after a start.
        """
        found = {
            other.generation: Candidate(other, "inode" if other.key == key else "device")
            for other in self._by_inode.get(key[1], {}).values()
        }
        for length, digests in self._by_head.items():
            if 0 < length <= len(head):
                digest = Mark.of(head[:length], length).digest
                for other in digests.get(digest, {}).values():
                    kinship: Kinship | None = _related(other, path, first)
                    if kinship is not None:
                        found.setdefault(other.generation, Candidate(other, kinship))
        ranked = sorted(found.values(), key=lambda one: (_ORDER[one.kinship], -one.file.serial))
        inodes = [one for one in ranked if one.kinship == "inode"]
        return inodes[:1] + ranked[len(inodes) :]


def _related(known: TailedFile, path: str, first: bool) -> Kinship | None:
    if is_rotated_form(path, known.name):
        return "copy"
    return "content" if first and known.head.length == HEAD else None
