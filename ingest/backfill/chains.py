"""What the warehouse's chains say of a content's head. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ingest.api import Filesystem
from ingest.backfill.decision import Known, Place
from ingest.backfill.generations import generation_of, rungs
from ingest.commit import archive, chain, look, names
from ingest.commit.chain import Commit
from ingest.commit.committer import ChainKey, Committer, Tail
from ingest.commit.reader import open_remote
from ingest.errors import FileMissing, StateDamaged, Unavailable
from ingest.sink.rotation import Reason

TRIES = 4

FIRST, AGAIN = "backfill", "backfill --again"
"""Why a chain begins."""

MakeCommitter = Callable[[int], Committer]
"""Generation → a hand on the chain that is called so."""


class Chains(Protocol):
    """Where chains are looked up."""

    def find(self, generation: int) -> Known | None:
        """Return what a chain holds, None if there is none."""

    def marks(self, generation: int) -> Mapping[int, str]:
        """Return position → digest of the content below it, as of every commit of the chain."""


@dataclass(frozen=True, slots=True)
class Found:
    """The chains of one head.

    Attributes:
        known: those with the longest rung and the lowest salt first.
        free: the first generation under the longest rung that no chain has; 0 without content.
    """

    known: list[Known]
    free: int


def with_head(chains: Chains, head: bytes) -> Found:
    """Look for every chain under which a content with this head may be known.

    Salts are used one after the other, so that the first one that no chain has ends the search of a rung.
    """
    found: list[Known] = []
    free = 0
    for place, rung in enumerate(rungs(head)):
        salt = 0
        while (known := chains.find(generation_of(rung, salt))) is not None:
            found.append(replace(known, longest_rung=place == 0))
            salt += 1
        free = free or generation_of(rung, salt)
    return Found(found, free)


class NoChains:
    """An empty warehouse; see `Chains`."""

    def find(self, generation: int) -> Known | None:
        """Return None."""
        return None

    def marks(self, generation: int) -> Mapping[int, str]:
        """Return nothing."""
        return {}


class Warehouse:
    """The chains of a topic's backfills, as they stand in the warehouse."""

    def __init__(self, filesystem: Filesystem[Any], topic: str, committer: MakeCommitter) -> None:
        """Look at nothing yet."""
        self._filesystem = filesystem
        self._topic = topic
        self._committer = committer

    def find(self, generation: int) -> Known | None:
        """See `Chains.find`.

        Raises:
            Unavailable: it changes under every look, or the filesystem can't be read now.
            StateDamaged: it does not hang together.
        """
        tail = self._committer(generation).peek()
        return None if tail is None else known_of(generation, tail)

    def marks(self, generation: int) -> Mapping[int, str]:
        """See `Chains.marks`; errors as of `find`."""
        for _ in range(TRIES):
            try:
                return dict(self._marks(ChainKey.backfill(self._topic, generation)))
            except FileMissing:
                continue  # folded while it was read
        raise Unavailable(f"the chain of the backfill {generation:016x} changed under every look")

    def _marks(self, key: ChainKey) -> Iterator[tuple[int, str]]:
        filesystem, era = self._filesystem, 0
        for first in look.offsets(filesystem.list(names.commits_dir(key, era))):
            path = names.commit_path(key, era, first)
            yield from _mark(chain.decode(filesystem.read(path), Commit, path))
        for first, size in look.offsets(filesystem.list(names.archive_dir(key, era))).items():
            path = names.archive_path(key, era, first)
            with open_remote(filesystem, path, size) as file:
                for row in archive.entries(file, path):
                    yield from _mark(chain.decode(row.record, Commit, path))


def known_of(generation: int, tail: Tail) -> Known:
    """Return what the tail of a backfill's chain says.

    Raises:
        StateDamaged: the newest commit does not say what content it ends.
    """
    newest = tail.newest
    content = tail.start.content if newest is None else newest.content
    if content is None:
        raise StateDamaged(f"{tail.key}: its newest record says nothing of a content. Run `ingest verify`")
    stream = tail.streams.get(f"{generation:016x}")
    return Known(
        generation,
        tail.next_offset,
        content.digest if tail.next_offset else None,
        Place("" if stream is None else stream.host, content.path),
        finished=newest is not None and newest.reason == Reason.ONCE,
        again=tail.start.why == AGAIN,
    )


def _mark(commit: Commit) -> Iterator[tuple[int, str]]:
    if commit.content is not None:
        yield commit.next_offset, commit.content.digest
