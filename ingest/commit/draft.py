"""What a worker says about its work, and the record that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ingest.commit import names
from ingest.commit.chain import Accepted, Commit, CommitFile, Content, Kind, Start, StreamRecord, Window
from ingest.commit.tail import Tail
from ingest.errors import StateDamaged


@dataclass(frozen=True, slots=True)
class StartDraft:
    """Where a chain that does not exist yet is to begin; see `chain.Start`."""

    next_offset: int
    topic_id: str | None = None
    why: str = ""
    streams: Mapping[str, StreamRecord] = field(default_factory=dict)
    leader_epoch: int = -1
    window: Window = ()
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A local file, closed and synced, that waits for its commit.

    Attributes:
        local: the file; may be consumed. Bytes stand for themselves.
        kind: "data" for rows, "quarantine" for rejects.
        partition_path: directories below the topic's, escaped; "" = none.
        rows: in the file, at least one.
        bytes: its length.
        crc32c: of its bytes, as the writer computed it while writing.
        first_offset, last_offset: of its own rows, both inclusive.
        min_time, max_time: event times, microseconds since 1970 UTC, both inclusive; None = no row has one.
    """

    local: Path | bytes
    kind: Literal["data", "quarantine"]
    partition_path: str
    rows: int
    bytes: int
    crc32c: int
    first_offset: int
    last_offset: int
    min_time: int | None = None
    max_time: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CommitDraft:
    """What a worker wants to commit, from the chain's next_offset on. Compared by identity.

    Attributes:
        next_offset: first offset that is not part of it.
        files: none is legal.
        duplicates: records dropped as repeats.
        streams: the total after this commit, by generation as 16 hex digits.
        leader_epoch: of the last batch consumed.
        reason: of the rotation ("age", "rows", "cron", "revoke" …).
        window: the quarantine window after this commit.
        topic_id: None leaves the chain's.
        kind: "data", or what `accept_loss` and `accept_budget` make.
        accepted: with kind "loss" or "budget".
        content: with a backfill.
        opens: closes the era and opens the next one.
    """

    next_offset: int
    files: Sequence[StagedFile] = ()
    duplicates: int = 0
    streams: Mapping[str, StreamRecord] = field(default_factory=dict)
    leader_epoch: int = -1
    reason: str = ""
    window: Window = ()
    topic_id: str | None = None
    kind: Kind = "data"
    accepted: Accepted | None = None
    content: Content | None = None
    opens: Start | None = None


def record_of(tail: Tail, draft: CommitDraft, ids: Sequence[str], worker: str, created_at: str, version: str) -> Commit:
    """Return the record that a draft becomes at a tail, with one stage id per file.

    Raises:
        ValueError: the draft is impossible: no offset in it, files outside its range or with the same path.
    """
    key = tail.key
    files = tuple(_file(tail, file, stage_id) for file, stage_id in zip(draft.files, ids, strict=True))
    return Commit(
        kind=draft.kind,
        topic=key.topic,
        topic_id=draft.topic_id or tail.topic_id,
        partition=key.partition,
        era=tail.era,
        first_offset=tail.next_offset,
        next_offset=draft.next_offset,
        files=files,
        rows=sum(file.rows for file in files if file.kind == "data"),
        quarantined=sum(file.rows for file in files if file.kind == "quarantine"),
        duplicates=draft.duplicates,
        streams=dict(draft.streams),
        leader_epoch=draft.leader_epoch,
        window=tuple(draft.window),
        reason=draft.reason,
        worker=worker,
        created_at=created_at,
        version=version,
        previous=tail.previous,
        accepted=draft.accepted,
        opens=draft.opens,
        content=draft.content,
    )


def _file(tail: Tail, file: StagedFile, stage_id: str) -> CommitFile:
    place = names.final_path if file.kind == "data" else names.quarantine_path
    key = tail.key
    return CommitFile(
        kind=file.kind,
        path=place(key.topic, file.partition_path, key.partition, tail.era, file.first_offset, file.last_offset),
        stage=names.stage_path(key, tail.era, tail.next_offset, stage_id),
        rows=file.rows,
        bytes=file.bytes,
        crc32c=file.crc32c,
        first_offset=file.first_offset,
        last_offset=file.last_offset,
        min_time=file.min_time,
        max_time=file.max_time,
    )


def check_local(file: StagedFile) -> None:
    """Refuse a local file that is not what its writer closed; one that is gone may have been uploaded before."""
    if isinstance(file.local, Path) and not file.local.exists():
        return
    size = file.local.stat().st_size if isinstance(file.local, Path) else len(file.local)
    if size != file.bytes:
        raise StateDamaged(f"{file.local!s:.200} has {size} bytes, its writer closed it with {file.bytes}")
