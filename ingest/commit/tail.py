"""The end of a chain: what a worker needs to go on."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.commit import chain, names
from ingest.commit.chain import Commit, Previous, Start, StreamRecord, Window
from ingest.commit.names import ChainKey


@dataclass(frozen=True, slots=True)
class ArchiveMark:
    """The last archive of an era: its file name, and the first offset after it."""

    name: str
    end: int


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a chain ends, and everything needed to go on there.

    Attributes:
        key: the chain.
        era: the newest one.
        next_offset: first offset not yet committed.
        topic_id: as of the newest record that knew it.
        leader_epoch: of the last batch consumed, -1 = unknown.
        streams: what was written of each generation, as of the newest record.
        window: the quarantine window, as of the newest record.
        previous: names the newest record, for the next one.
        start: where the era began.
        newest: the newest commit, None right after a start.
        archive: the last archive, None if nothing was folded.
        unfolded: commits in the directory `commits`, the newest included.
        unfolded_bytes: their size.
    """

    key: ChainKey
    era: int
    next_offset: int
    topic_id: str | None
    leader_epoch: int
    streams: dict[str, StreamRecord]
    window: Window
    previous: Previous
    start: Start
    newest: Commit | None = None
    archive: ArchiveMark | None = None
    unfolded: int = 0
    unfolded_bytes: int = 0

    @property
    def archive_end(self) -> int | None:
        """Return the first offset that is in no archive, None if there is no archive."""
        return self.archive.end if self.archive else None


def tail_of_start(key: ChainKey, start: Start, content: bytes) -> Tail:
    """Return the tail of an era without commits, whose start record's bytes are `content`."""
    previous = Previous(name=names.START, crc32c=chain.crc32c(content))
    return Tail(
        key=key,
        era=start.era,
        next_offset=start.next_offset,
        topic_id=start.topic_id,
        leader_epoch=start.leader_epoch,
        streams=start.streams,
        window=start.window,
        previous=previous,
        start=start,
    )


def tail_of_commit(
    key: ChainKey,
    start: Start,
    commit: Commit,
    content: bytes,
    mark: ArchiveMark | None,
    unfolded: int,
    unfolded_bytes: int,
) -> Tail:
    """Return the tail after `commit`, whose record's bytes are `content`."""
    return Tail(
        key=key,
        era=commit.era,
        next_offset=commit.next_offset,
        topic_id=commit.topic_id or start.topic_id,
        leader_epoch=commit.leader_epoch,
        streams=commit.streams,
        window=commit.window,
        previous=Previous(name=names.commit_name(commit.first_offset), crc32c=chain.crc32c(content)),
        start=start,
        newest=commit,
        archive=mark,
        unfolded=unfolded,
        unfolded_bytes=unfolded_bytes,
    )
