"""One file on its way into its chain: read, parsed, encoded and committed, range by range.

Nothing here is remembered but by the chain: an intake that ends at any step, by any error, is begun again from the
chain's tail, by this process or another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain as joined
from pathlib import Path
from typing import Any

from ingest.api import Filesystem
from ingest.backfill.chains import FIRST, MakeCommitter, known_of
from ingest.backfill.content import NOTHING, Content, FileProblem, digest_text, new_digest
from ingest.backfill.feed import NEWLINE, Feed, Lines, portions
from ingest.backfill.files import File
from ingest.backfill.patience import Patience, Stopped
from ingest.blocks import RecordBlock, Stream
from ingest.clock import Clock
from ingest.commit.chain import Content as ContentRecord
from ingest.commit.committer import Committer, StartDraft, Tail
from ingest.errors import IngestError, QuarantineBudget
from ingest.lines import Framing
from ingest.service.metrics import Metrics
from ingest.sink.begin import open_range
from ingest.sink.memory import MAX_WRITERS, Shares, to_set_aside
from ingest.sink.open_range import OpenRange
from ingest.sink.plan import TopicPlan
from ingest.sink.rotation import Limits, Reason, due


class Outdated(IngestError):
    """The chain or the file are no longer what the decision was made on: decide again."""


@dataclass(frozen=True, slots=True)
class World:
    """What all intakes of one run share.

    Attributes:
        filesystem: the warehouse.
        plan: of the source's topic, for records that never were in Kafka.
        committer: gives a hand on a chain.
        source: the source's name.
        labels: the source's.
        framing: how the source cuts and drops lines.
        host: this machine's name.
        spool: local directory of this run.
        shares: how the memory is divided.
        clock: time.
        metrics: counts.
        patience: tries again what can't be done now.
        stopping: returns whether the run is to end.
    """

    filesystem: Filesystem[Any]
    plan: TopicPlan
    committer: MakeCommitter
    source: str
    labels: dict[str, str]
    framing: Framing
    host: str
    spool: Path
    shares: Shares
    clock: Clock
    metrics: Metrics
    patience: Patience
    stopping: Callable[[], bool]


@dataclass(slots=True)
class Tally:
    """What an intake has brought into the warehouse so far: committed, not merely read.

    `bytes` of content; `lines` those that are rows or in quarantine, or were left out since they are empty.
    """

    lines: int = 0
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.lines += other.lines
        self.rows += other.rows
        self.quarantined += other.quarantined
        self.bytes += other.bytes


class Intake:
    """Brings a file's content into the chain of a generation.

    Args:
        world: everything around.
        file: the file.
        generation: of the chain.
        moved: told the bytes of the file itself that were read so far.
        tally: what is committed is added to it.
        why: said where the chain begins: FIRST or AGAIN.
    """

    def __init__(
        self, world: World, file: File, generation: int, moved: Callable[[int], None], tally: Tally, why: str = FIRST
    ) -> None:
        self._why = why
        self._world = world
        self._file = file
        self._tally = tally
        self._generation = generation
        self._moved = moved
        plan = world.plan.limits
        self._limits = Limits(plan.rows, plan.bytes, None, None)

    def begin(self, at: int) -> None:
        """Publish the chain's beginning if there is none, or finish what its newest commit began.

        Raises:
            Outdated: it does not end at `at`.
            Unavailable: try again.
            StateDamaged: it does not hang together.
        """
        committer = self._world.committer(self._generation)
        tail = self._opened(committer)
        committer.sweep()
        if tail.next_offset != at:
            raise Outdated(f"{tail.key}: ends at {tail.next_offset} now, not at {at}")

    def run(self) -> None:
        """Take in all that is not in the chain yet.

        Raises:
            Unavailable: not now; call again.
            Outdated: the file does not begin with what the chain holds.
            Fenced: another backfill commits to the same chain.
            FileProblem: the file can't be read on; what was committed before stays.
            QuarantineBudget: too many lines could not be parsed; what was read is committed.
            Stopped: asked to; what was read is committed.
        """
        world = self._world
        committer = world.committer(self._generation)
        tail = self._opened(committer)
        with Content(self._file.path, self._moved) as content:
            feed, pieces = self._placed(content, tail)
            opened = open_range(
                world.plan,
                tail,
                world.committer(self._generation),
                spool=world.spool,
                row_group=world.shares.row_group,
                may_write=lambda: opened.files.writers < MAX_WRITERS,
                clock=world.clock,
                metrics=world.metrics,
            )
            writing = _Writing(world, committer, opened, feed, self._record_of(content, feed), self._tally)
            try:
                self._take(pieces, feed, writing)
            except BaseException:
                opened.abandon()
                raise
        world.patience(committer.sweep)  # what runs that were killed left staged at the same offset

    def _take(self, pieces: Iterator[bytes], feed: Feed, writing: _Writing) -> None:
        writing.check_budget(self._file.path)
        for piece in pieces:
            for part in portions(piece):
                writing.add(feed.take(part))
            writing.check_budget(self._file.path)
            if self._world.stopping():
                writing.commit(Reason.DRAIN)
                raise Stopped(f"{self._file.path}: stopped at byte {writing.next_offset} of its content")
            reason = due(writing.opened.figures(), self._limits, self._world.clock.monotonic())
            if reason is not None:
                writing.commit(reason)
        writing.add(feed.close())
        writing.check_budget(self._file.path)
        writing.commit(Reason.ONCE)

    def _opened(self, committer: Committer) -> Tail:
        def start() -> StartDraft:
            content = ContentRecord(digest=NOTHING, path=self._file.shown, size=self._file.size)
            return StartDraft(0, why=self._why, content=content)

        return committer.open(start)

    def _placed(self, content: Content, tail: Tail) -> tuple[Feed, Iterator[bytes]]:
        """Return a feed that stands where the chain ends, and the pieces from there on."""
        digest, at, last = new_digest(), 0, NEWLINE
        pieces = content.pieces()
        rest = b""
        while at < tail.next_offset:
            piece = next(pieces, None)
            if piece is None:
                raise Outdated(f"{self._file.path}: became shorter than what {tail.key} holds")
            used = min(len(piece), tail.next_offset - at)
            digest.update(memoryview(piece)[:used])
            at, last, rest = at + used, piece[used - 1 : used], piece[used:]
            if self._world.stopping():
                raise Stopped(f"{self._file.path}: stopped before a line was read")
        known = known_of(self._generation, tail)
        if known.digest is not None and known.digest != digest_text(digest):
            raise Outdated(f"{self._file.path}: does not begin with what {tail.key} holds")
        lines = Lines(
            self._world.plan.topic,
            Stream(self._generation, self._world.host, self._file.shown, self._world.source, self._world.labels),
            self._world.framing,
            content.modified // 1_000_000,
        )
        return Feed(lines, at, digest, partial=last != NEWLINE), joined([rest] if rest else [], pieces)

    def _record_of(self, content: Content, feed: Feed) -> Callable[[], ContentRecord]:
        return lambda: ContentRecord(digest=feed.digest, path=self._file.shown, size=content.size)


class _Writing:
    """The open range of a file, and its commits."""

    def __init__(
        self,
        world: World,
        committer: Committer,
        opened: OpenRange,
        feed: Feed,
        content: Callable[[], ContentRecord],
        tally: Tally,
    ) -> None:
        self.opened = opened
        self._world = world
        self._committer = committer
        self._feed = feed
        self._content = content
        self._tally = tally
        self._lines = 0
        self._dropped = 0

    @property
    def next_offset(self) -> int:
        """Return how far the content was taken in."""
        return self.opened.next_offset

    def add(self, blocks: list[RecordBlock]) -> None:
        for block in blocks:
            self.opened.add(block)
            self._lines += block.rows
        files = self.opened.files
        for _, file in to_set_aside([files], self._world.shares.rows):
            files.set_aside(file)

    def check_budget(self, path: str) -> None:
        """Commit and raise when more lines were refused than may be; the window in the commit remembers it."""
        if self.opened.over_budget() is None:
            return
        self.commit(Reason.STOPPED)
        plan = self._world.plan
        raise QuarantineBudget(
            f"{path}: more than {plan.budget.allowed} of {plan.budget.window} lines could not be parsed; stopped at "
            f"byte {self.next_offset} of its content. They are in _quarantine/{plan.topic} with their reasons. If that "
            "is as it should be, run again with --accept-quarantine"
        )

    def commit(self, reason: Reason) -> None:
        """Commit what is open, if anything is.

        Raises:
            Fenced: another backfill has the range.
        """
        if self.opened.empty:
            return
        first = self.opened.first_offset
        sealed = self.opened.seal(reason)
        try:
            draft = replace(sealed.finish(), content=self._content())
            self._world.patience(lambda: self._committer.commit(draft))
        finally:
            sealed.discard()
        self._world.patience(self._committer.fold_if_due)
        self._tally.lines += self._lines + self._feed.dropped - self._dropped
        self._lines, self._dropped = 0, self._feed.dropped
        self._tally.rows += sum(file.rows for file in draft.files if file.kind == "data")
        self._tally.quarantined += sum(file.rows for file in draft.files if file.kind == "quarantine")
        self._tally.bytes += draft.next_offset - first


def ended(problem: IngestError) -> FileProblem:
    """Return the error of a file of which another backfill commits ranges at the same time."""
    return FileProblem(f"another backfill is at work on it ({problem}). Run again when that has ended")
