"""What was written of stream generations that the newest commit no longer holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.api import Entry, Filesystem
from ingest.blocks import UInt64s
from ingest.commit import archive, chain, names
from ingest.commit.chain import Commit, Start, StreamRecord
from ingest.commit.names import ChainKey
from ingest.commit.reader import open_remote
from ingest.errors import FileMissing, Unavailable

TRIES = 4


@dataclass(frozen=True, slots=True)
class Holder:
    """A record or an archive, and the generations (ascending) whose newest state is in it."""

    path: str
    size: int
    generations: UInt64s

    def knows(self, generation: int) -> bool:
        """Return whether the newest state of `generation` is here."""
        row = int(np.searchsorted(self.generations, np.uint64(generation)))
        return row < len(self.generations) and int(self.generations[row]) == generation


class History:
    """An index over one chain: 8 bytes for each generation it has ever seen. Reads only; changes nothing."""

    def __init__(self, filesystem: Filesystem[Any], key: ChainKey) -> None:
        """Start empty; `load` makes a full one."""
        self._filesystem = filesystem
        self._key = key
        self._holders: list[Holder] = []
        self._seen: UInt64s = np.zeros(0, np.uint64)

    @classmethod
    def load(cls, filesystem: Filesystem[Any], key: ChainKey) -> History:
        """Read the generations of all records, the newest first.

        Raises:
            StateDamaged: a record or an archive can't be read.
            Unavailable: records were folded away under every look.
        """
        for _ in range(TRIES):
            history = cls(filesystem, key)
            try:
                for era in history._eras():
                    history._load_era(era)
            except FileMissing:
                continue  # folded while it was read
            return history
        raise Unavailable(f"{key}: the chain changed under every look")

    def add(self, path: str, record: Commit) -> None:
        """Take note of a commit that was just made."""
        known = _generations(record.streams)
        self._holders.insert(0, Holder(path, 0, known))

    def find(self, generation: int) -> StreamRecord | None:
        """Return the newest state of a generation, None if the chain has never seen it.

        Raises:
            FileMissing: the record was folded since it was indexed: load again.
        """
        name = f"{generation:016x}"
        for holder in self._holders:
            if holder.knows(generation):
                return self._streams(holder, generation).get(name)
        return None

    def _streams(self, holder: Holder, generation: int) -> dict[str, StreamRecord]:
        if not holder.path.endswith(".parquet"):
            content = self._filesystem.read(holder.path)
            if names.base(holder.path) == names.START:
                return chain.decode(content, Start, holder.path).streams
            return chain.decode(content, Commit, holder.path).streams
        with open_remote(self._filesystem, holder.path, holder.size) as file:
            archived = archive.record_of(file, holder.path, generation)
        return chain.decode(archived, Commit, holder.path).streams if archived is not None else {}

    def _eras(self) -> Iterator[int]:
        found = self._filesystem.list(names.chain_dir(self._key))
        numbers = (names.parse_number(entry.name) for entry in found if entry.directory)
        return iter(sorted((number for number in numbers if number is not None), reverse=True))

    def _load_era(self, era: int) -> None:
        for path, _ in self._newest_first(names.commits_dir(self._key, era)):
            self._note(path, 0, _generations(chain.decode(self._filesystem.read(path), Commit, path).streams))
        for path, size in self._newest_first(names.archive_dir(self._key, era)):
            with open_remote(self._filesystem, path, size) as file:
                self._note(path, size, archive.generations(file, path))
        path = names.start_path(self._key, era)
        if self._filesystem.list(path):
            self._note(path, 0, _generations(chain.decode(self._filesystem.read(path), Start, path).streams))

    def _newest_first(self, directory: str) -> list[tuple[str, int]]:
        entries: Iterable[Entry] = self._filesystem.list(directory)
        wanted = [entry for entry in entries if names.parse_offset(entry.name) is not None]
        return [(f"{directory}/{entry.name}", entry.size) for entry in sorted(wanted, key=_name, reverse=True)]

    def _note(self, path: str, size: int, generations: UInt64s) -> None:
        fresh = np.setdiff1d(generations, self._seen, assume_unique=True)
        if len(fresh):
            self._holders.append(Holder(path, size, np.sort(fresh)))
            self._seen = np.union1d(self._seen, fresh)


def _name(entry: Entry) -> str:
    return entry.name


def _generations(streams: dict[str, StreamRecord]) -> UInt64s:
    return np.array(sorted(int(generation, 16) for generation in streams), dtype=np.uint64)
