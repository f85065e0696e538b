"""Acts for one worker on one chain: runs the protocol's jobs and keeps the tail between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import msgspec

from ingest.api import Filesystem
from ingest.commit import look, names, protocol, tend
from ingest.commit.actions import Steps, Upload
from ingest.commit.chain import Accepted, Commit, Start, StreamRecord, iso
from ingest.commit.draft import CommitDraft, StagedFile, StartDraft, check_local, record_of
from ingest.commit.history import History
from ingest.commit.names import ChainKey
from ingest.commit.perform import run
from ingest.commit.tail import Tail
from ingest.errors import Fenced

__all__ = ["ChainKey", "CommitDraft", "Committer", "StagedFile", "StartDraft", "Tail"]

T = TypeVar("T")
FOLD_EVERY = 100
"""Commits that may lie unfolded in a directory."""

FOLD_BYTES = 16 << 20
"""Bytes of records that may lie unfolded: those with very many streams are folded earlier."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A draft whose record is fixed, so that a commit that is tried again publishes the same bytes."""

    draft: CommitDraft
    record: Commit


class Committer:
    """One worker's hand on one chain. Used by one thread at a time.

    Methods raise Unavailable when the filesystem can't now: call them again with the same arguments, in this process or
    another. After Fenced call `open` and go on from the tail it returns; what was in hand is read again.
    """

    def __init__(
        self,
        filesystem: Filesystem[Any],
        key: ChainKey,
        *,
        worker: str,
        version: str,
        now: Callable[[], float],
        new_id: Callable[[], str],
        fold_every: int = FOLD_EVERY,
    ) -> None:
        """Touch nothing yet.

        Args:
            filesystem: the warehouse.
            key: the chain.
            worker: who this is, for people.
            version: of this program, for people.
            now: wall-clock seconds since 1970.
            new_id: returns a name never used before, of letters, digits and "-" (a uuid).
            fold_every: commits that may lie unfolded.
        """
        self.key = key
        self._filesystem = filesystem
        self._worker = worker
        self._version = version
        self._now = now
        self._new_id = new_id
        self._fold_every = fold_every
        self._tail: Tail | None = None
        self._pending: _Pending | None = None
        self._done: CommitDraft | None = None
        self._history: History | None = None

    @property
    def tail(self) -> Tail:
        """Return where the chain ends as far as this worker knows.

        Raises:
            Fenced: it is not open, or was fenced since: call `open`.
        """
        if self._tail is None:
            raise Fenced(f"{self.key}: the chain must be read before anything is committed")
        return self._tail

    def open(self, start: StartDraft | Callable[[], StartDraft] | None = None) -> Tail:
        """Read the chain, finish the newest commit's moves, and return the tail.

        Args:
            start: where the chain begins if there is none; a function is called only then. None = there must be one.

        Raises:
            StateDamaged: the chain does not hang together, a newer version wrote it, or it is gone.
        """
        self._forget()
        resolve = None if start is None else lambda: self._start(start() if callable(start) else start)
        self._tail = self._run(protocol.open_chain(self.key), resolve)
        return self._tail

    def exists(self) -> bool:
        """Return whether the chain has begun; nothing is changed."""
        return self._run(look.newest_start(self.key)) is not None

    def peek(self) -> Tail | None:
        """Return the tail as the records stand, for a look from outside: nothing is finished, nothing changed."""
        for _ in range(protocol.TRIES):
            found = self._run(look.newest_start(self.key))
            if found is None:
                return None
            tail = self._run(look.newest_tail(self.key, *found))
            if tail is not None:
                return tail
        raise Fenced(f"{self.key}: the chain changed under every look")

    def moved_on(self) -> bool:
        """Return whether somebody committed after this worker's tail: a person who accepted a loss, or a rival."""
        path = names.commit_path(self.key, self.tail.era, self.tail.next_offset)
        return bool(self._filesystem.list(path))

    def commit(self, draft: CommitDraft) -> Tail:
        """Make the draft's range done: all its files are at their final names when this returns.

        Called again with the same draft object it goes on with the same record, or says again that it is done.

        Raises:
            Fenced: see the class; also when the rows must be read again because a staged file is gone.
            Refused, StateDamaged: going on would be wrong.
            ValueError: the draft is impossible.
        """
        if draft is self._done:
            return self.tail  # what the caller did after it failed, and it asks again
        pending = self._prepared(draft)
        uploads = [Upload(kept.stage, file.local) for kept, file in zip(pending.record.files, draft.files, strict=True)]
        try:
            self._tail = self._run(protocol.commit(self.tail, pending.record, uploads))
        except Fenced:
            self._forget()
            raise
        self._pending = None
        self._done = draft
        if self._history is not None:
            self._history.add(pending.record)
        return self._tail

    def accept_loss(self, shown: tuple[int, int], *, who: str, why: str, leader_epoch: int = -1) -> Tail:
        """Go on behind offsets that are lost: a commit of kind "loss" for exactly [first, next) as was shown.

        Raises:
            Fenced: the chain is not at `shown[0]` any more.
        """
        return self._accept("loss", shown[0], shown, who, why, lambda draft: replace(draft, leader_epoch=leader_epoch))

    def accept_budget(self, *, who: str, why: str) -> Tail:
        """Empty the quarantine window: a commit of kind "budget" closes the era, the next begins at the same offset.

        A commit covers at least one offset and its name is its start, so a record that covers none can't stand in
        the way of the commit that comes next; a new era takes it out of the way, and fences whoever is still writing.
        """
        at = self.tail.next_offset
        start = StartDraft(at, self.tail.topic_id, f"budget: {why}", leader_epoch=self.tail.leader_epoch)
        return self.open_era(start, "budget", at, (at, at), who=who, why=why)

    def open_era(
        self, start: StartDraft, kind: Literal["loss", "budget"], at: int, shown: tuple[int, int], *, who: str, why: str
    ) -> Tail:
        """Close this era with a commit of `kind`, and open the next one; returns its tail.

        Args:
            start: where the next era begins. Streams are copied from this one, `start.streams` are added.
            kind: of the closing record.
            at: the chain's next_offset as it was shown.
            shown: the offsets [first, next) that were shown as lost, possibly none; anywhere, as the log went back.
            who: accepted it.
            why: for people.

        Raises:
            Fenced: the chain is not at `at` any more.
        """
        opens = self._start(start, self.tail.era + 1)
        opens = msgspec.structs.replace(opens, streams={**self.tail.streams, **start.streams})
        return self._accept(kind, at, shown, who, why, lambda draft: replace(draft, opens=opens))

    def fold_if_due(self) -> bool:
        """Fold when too many commits, or too large ones, lie unfolded; return whether anything was folded."""
        tail = self.tail
        due = tail.unfolded > self._fold_every or (tail.unfolded > 1 and tail.unfolded_bytes > FOLD_BYTES)
        return self.fold() if due else False

    def fold(self) -> bool:
        """Put all commits but the newest into an archive; return whether the archives reach further now."""
        before = self.tail
        mark = self._run(tend.fold(before, 1))
        if mark == before.archive:
            return False
        self._tail = replace(before, archive=mark, unfolded=1, unfolded_bytes=0)
        self._history = None
        return True

    def sweep(self) -> list[str]:
        """Delete staged files that provably nobody needs; return their paths."""
        return self._run(tend.sweep(self.key))

    def find_stream(self, generation: int) -> StreamRecord | None:
        """Return the newest record of a generation that the newest commit no longer holds; None = never seen.

        The first call reads the era's archives' generation columns; they are kept until the next `open`.
        """
        if self._history is None:
            self._history = History.load(self._filesystem, self.key)
        return self._history.find(generation)

    # ── how ──

    def _run(self, steps: Steps[T], resolve: Callable[[], Start] | None = None) -> T:
        return run(self._filesystem, steps, resolve)

    def _forget(self) -> None:
        self._tail = self._pending = self._done = self._history = None

    def _prepared(self, draft: CommitDraft) -> _Pending:
        if self._pending is None or self._pending.draft is not draft:
            ids = [self._new_id() for _ in draft.files]
            record = record_of(self.tail, draft, ids, self._worker, iso(self._now()), self._version)
            self._pending = _Pending(draft, record)
        for file in draft.files:
            check_local(file)
        return self._pending

    def _accept(
        self,
        kind: Literal["loss", "budget"],
        at: int,
        shown: tuple[int, int],
        who: str,
        why: str,
        complete: Callable[[CommitDraft], CommitDraft],
    ) -> Tail:
        tail = self.tail
        again = self._pending.draft if self._pending else None
        if again is not None and again.accepted is not None:
            same = (again.kind, again.accepted.first, again.accepted.next, again.accepted.who, again.accepted.why)
            if same == (kind, *shown, who, why):
                return self.commit(again)  # tried before: the record must be the same one
        if at != tail.next_offset:
            raise Fenced(f"{self.key}: the chain is at offset {tail.next_offset} now, not at {at} as was shown")
        draft = CommitDraft(
            next_offset=max(shown[1], at + 1),
            streams=tail.streams,
            leader_epoch=tail.leader_epoch,
            reason=kind,
            window=tail.window,
            topic_id=tail.topic_id,
            kind=kind,
            accepted=Accepted(first=shown[0], next=shown[1], who=who, when=iso(self._now()), why=why),
        )
        return self.commit(complete(draft))

    def _start(self, draft: StartDraft, era: int = 0) -> Start:
        return Start(
            topic=self.key.topic,
            topic_id=draft.topic_id,
            partition=self.key.partition,
            era=era,
            next_offset=draft.next_offset,
            streams=dict(draft.streams),
            why=draft.why,
            worker=self._worker,
            created_at=iso(self._now()),
            version=self._version,
            leader_epoch=draft.leader_epoch,
            window=draft.window,
            content=draft.content,
        )
