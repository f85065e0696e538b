"""What was written of stream generations that the newest commit no longer holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.api import Filesystem
from ingest.blocks import UInt64s
from ingest.commit import archive, chain, look, names, rules
from ingest.commit.chain import Commit, Start, StreamRecord
from ingest.commit.names import ChainKey
from ingest.commit.perform import run
from ingest.commit.reader import open_remote
from ingest.errors import FileMissing, Unavailable

TRIES = 4


@dataclass(frozen=True, slots=True)
class Holder:
    """A record or an archive, and the generations (ascending) whose newest state is in it.

    `streams` holds that state for records. They are not read again: a record's name may be taken by a void one once a
    fold made it free. Archives never change; of them `streams` is None.
    """

    path: str
    size: int
    generations: UInt64s
    streams: Mapping[str, StreamRecord] | None

    def knows(self, generation: int) -> bool:
        """Return whether the newest state of `generation` is here."""
        row = int(np.searchsorted(self.generations, np.uint64(generation)))
        return row < len(self.generations) and int(self.generations[row]) == generation


class History:
    """An index over one chain: 8 bytes for each generation that is archived. Reads only; changes nothing."""

    def __init__(self, filesystem: Filesystem[Any], key: ChainKey) -> None:
        """Start empty; `load` makes a full one."""
        self._filesystem = filesystem
        self._key = key
        self._recent: dict[str, StreamRecord] = {}
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

    def add(self, record: Commit) -> None:
        """Take note of a commit that was just made."""
        self._recent.update(record.streams)

    def find(self, generation: int) -> StreamRecord | None:
        """Return the newest state of a generation, None if the chain has never seen it."""
        recent = self._recent.get(f"{generation:016x}")
        if recent is not None:
            return recent
        for holder in self._holders:
            if holder.knows(generation):
                return self._streams(holder, generation).get(f"{generation:016x}")
        return None

    def _streams(self, holder: Holder, generation: int) -> Mapping[str, StreamRecord]:
        if holder.streams is not None:
            return holder.streams
        with open_remote(self._filesystem, holder.path, holder.size) as file:
            archived = archive.record_of(file, holder.path, generation)
        return chain.decode(archived, Commit, holder.path).streams if archived is not None else {}

    def _eras(self) -> Iterator[int]:
        found = self._filesystem.list(names.chain_dir(self._key))
        numbers = (names.parse_number(entry.name) for entry in found if entry.directory)
        return iter(sorted((number for number in numbers if number is not None), reverse=True))

    def _load_era(self, era: int) -> None:
        """Note the era's records, archives and start; the archives, which make records void, are looked at last."""
        listed = look.offsets(self._filesystem.list(names.commits_dir(self._key, era)))
        live = {first: self._filesystem.read(names.commit_path(self._key, era, first)) for first in listed}
        mark = run(self._filesystem, look.archive_mark(self._key, era, None))
        for first, content in sorted(live.items(), reverse=True):
            if not rules.is_folded(first, mark.end if mark else None):
                path = names.commit_path(self._key, era, first)
                self._note_streams(path, chain.decode(content, Commit, path).streams)
        archives = look.offsets(self._filesystem.list(names.archive_dir(self._key, era)))
        for first, size in sorted(archives.items(), reverse=True):
            path = names.archive_path(self._key, era, first)
            with open_remote(self._filesystem, path, size) as file:
                self._note(path, size, archive.generations(file, path), None)
        path = names.start_path(self._key, era)
        if self._filesystem.list(path):
            self._note_streams(path, chain.decode(self._filesystem.read(path), Start, path).streams)

    def _note_streams(self, path: str, streams: Mapping[str, StreamRecord]) -> None:
        self._note(path, 0, _generations(streams), streams)

    def _note(self, path: str, size: int, generations: UInt64s, streams: Mapping[str, StreamRecord] | None) -> None:
        fresh = np.setdiff1d(generations, self._seen, assume_unique=True)
        if len(fresh):
            kept = None if streams is None else {name: streams[name] for name in map("{:016x}".format, fresh.tolist())}
            self._holders.append(Holder(path, size, np.sort(fresh), kept))
            self._seen = np.union1d(self._seen, fresh)


def _generations(streams: Mapping[str, StreamRecord]) -> UInt64s:
    return np.array(sorted(int(generation, 16) for generation in streams), dtype=np.uint64)
