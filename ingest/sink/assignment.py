"""One topic partition in this worker's hands.

    opening ── chain read, moves finished, consumer placed ──▶ open ── range closed ──▶ open, committing
       ▲  ▲                                                     │                          │
       │  └────────── fenced, or work had to be dropped ────────┴──────────────────────────┤
       └── accepted ── stopped ◀────────── data loss, conflict, budget, failure ───────────┘

Nothing here loops or waits: the worker calls, this decides with the pure parts and acts through its ports. At most one
commit is on its way; meanwhile the next range fills, and when that is due too the partition is paused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from ingest.blocks import RecordBlock
from ingest.clock import Clock
from ingest.commit.committer import CommitDraft, Tail
from ingest.errors import DataLoss, Fenced, IngestError, OutcomeUnknown, Retriable
from ingest.sink.commits import CommitPool, Job
from ingest.sink.loss import Bounds, refuse_loss
from ingest.sink.open_range import OpenRange
from ingest.sink.rotation import Limits, Reason, due
from ingest.sink.stops import Stop, stop_of

RETRY = 2.0
"""Seconds between attempts to open a partition that could not be opened, or to see whether a stopped one may go on."""


class Cursor(Protocol):
    """What an assignment needs of the consumer."""

    def seek(self, topic: str, partition: int, offset: int, leader_epoch: int = -1) -> None:
        """Read on at `offset`."""

    def pause(self, partitions: list[tuple[str, int]]) -> None:
        """Fetch no more."""

    def resume(self, partitions: list[tuple[str, int]]) -> None:
        """Fetch again."""


class Chain(Protocol):
    """What an assignment needs of its partition's commit chain."""

    def open(self, bounds: Bounds) -> Tail:
        """Publish where the chain begins if nobody did, finish the newest commit, and return where to go on."""

    def commit(self, draft: CommitDraft) -> Tail:
        """Commit, and afterwards fold and sweep when due. Runs on a thread of the pool."""


class Events(Protocol):
    """What is told to people and to metrics."""

    def opened(self, assignment: Assignment, tail: Tail) -> None:
        """The partition is being read."""

    def committed(self, assignment: Assignment, draft: CommitDraft, tail: Tail) -> None:
        """A range is done."""

    def fenced(self, assignment: Assignment, error: Fenced) -> None:
        """Another worker won; reading goes on after what it committed."""

    def waiting(self, assignment: Assignment, error: IngestError) -> None:
        """Something does not answer; it will be tried again."""

    def stopped(self, assignment: Assignment, stop: Stop) -> None:
        """The partition stands still."""


class Phase(StrEnum):
    """See the drawing above."""

    OPENING = "opening"
    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as all assignments of a worker see it."""

    cursor: Cursor
    pool: CommitPool
    clock: Clock
    events: Events


class Assignment:
    """See the module.

    Args:
        bounds: asks Kafka for the log's ends and the topic's id; raises Retriable when it does not answer.
        topic_id: asks for the id alone.
        begin: makes the open range that follows a tail.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        chain: Chain,
        bounds: Callable[[], Bounds],
        topic_id: Callable[[], str],
        begin: Callable[[Tail], OpenRange],
        limits: Limits,
        ports: Ports,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.phase = Phase.OPENING
        self.stop: Stop | None = None
        self.committed_offset: int | None = None
        """next_offset of the newest commit."""
        self.target: int | None = None
        """The end offset seen at the first opening: `--once` reads up to here."""
        self.range: OpenRange | None = None
        self._wanted: Reason | None = None
        self._job: Job[Tail] | None = None
        self._draft: CommitDraft | None = None
        self._stopping: Stop | None = None
        self._news: int | None = None
        self._retry_at = 0.0
        self._chain = chain
        self._bounds = bounds
        self._topic_id = topic_id
        self._begin = begin
        self._limits = limits
        self._ports = ports

    @property
    def key(self) -> tuple[str, int]:
        """Return (topic, partition)."""
        return self.topic, self.partition

    @property
    def committing(self) -> bool:
        """Return whether a commit is on its way."""
        return self._job is not None

    @property
    def reached_target(self) -> bool:
        """Return whether everything up to `target` was read."""
        return self.range is not None and self.target is not None and self.range.next_offset >= self.target

    @property
    def settled(self) -> bool:
        """Return whether nothing is in hand."""
        return not self.committing and (self.range is None or self.range.empty)

    @property
    def finished(self) -> bool:
        """Return whether everything up to `target` is committed, or nothing more can be done about it."""
        if self.phase is Phase.STOPPED:
            return not self.committing
        return self.phase is Phase.OPEN and self.settled and self.reached_target

    def take_news(self) -> int | None:
        """Return the next_offset of the newest commit if it was not taken yet."""
        news, self._news = self._news, None
        return news

    # ── opening ──────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Read the chain and place the consumer; where that can't be done now, come back."""
        self._ports.cursor.pause([self.key])
        try:
            bounds = self._bounds()
            tail = self._chain.open(bounds)
            refuse_loss(self.topic, self.partition, tail.next_offset, tail.topic_id, bounds)
            opened = self._begin(tail)
            if (excess := opened.over_budget()) is not None:
                raise excess
        except (Retriable, OutcomeUnknown) as error:
            self._come_back(error)
        except IngestError as error:
            self._halt(stop_of(error))
        else:
            self._start(opened, tail, bounds)

    def _start(self, opened: OpenRange, tail: Tail, bounds: Bounds) -> None:
        self.range = opened
        self.phase, self.stop, self._wanted = Phase.OPEN, None, None
        self.committed_offset = self._news = tail.next_offset
        if self.target is None:
            self.target = bounds.end
        self._ports.cursor.seek(self.topic, self.partition, tail.next_offset, tail.leader_epoch)
        self._ports.cursor.resume([self.key])
        self._ports.events.opened(self, tail)

    def _come_back(self, error: IngestError) -> None:
        self.phase = Phase.OPENING
        self._retry_at = self._ports.clock.monotonic() + RETRY
        self._ports.events.waiting(self, error)

    def _halt(self, stop: Stop) -> None:
        news = self.stop is None or self.stop != stop
        self.phase, self.stop = Phase.STOPPED, stop
        self._retry_at = self._ports.clock.monotonic() + RETRY
        self._ports.cursor.pause([self.key])
        if news:
            self._ports.events.stopped(self, stop)

    def _reopen(self) -> None:
        self.drop()
        self.open()

    # ── open ──────────────────────────────────────────────────────────────────

    def add(self, block: RecordBlock) -> None:
        """Take a block in; whatever goes wrong concerns this partition alone."""
        if self.phase is not Phase.OPEN or self.range is None:
            return
        try:
            self.range.add(block)
        except (Retriable, OutcomeUnknown) as error:
            # Half a block may be in the range: it is dropped and read again.
            self.drop()
            self._come_back(error)
        except IngestError as error:
            self.drop()
            self._halt(stop_of(error))
        else:
            if (excess := self.range.over_budget()) is not None:
                self.halt_after_commit(stop_of(excess))

    def trouble(self, error: IngestError) -> None:
        """Take in that the partition can't be read on: what can pass by itself is tried again, the rest stops it."""
        if error.retriable:
            self.drop()
            self._come_back(error)
        else:
            self.halt_after_commit(stop_of(error))

    def halt_after_commit(self, stop: Stop) -> None:
        """Commit what is in hand, then stand still: the reaction to loss, and to too many rejects."""
        if self.phase is Phase.OPEN and self._stopping is None:
            self._stopping = stop
            self._wanted = Reason.STOPPED
            self._ports.cursor.pause([self.key])

    def want(self, reason: Reason) -> None:
        """Ask that what is open be committed soon: a cron tick, a flush, memory."""
        if self._wanted is None:
            self._wanted = reason

    def turn(self) -> None:
        """Do what is due: take a finished commit in, close the range, try to open again."""
        now = self._ports.clock.monotonic()
        if self._job is not None and self._job.future.done():
            self._settle()
        if self.phase is not Phase.OPEN:
            if now >= self._retry_at and self._job is None:
                self.open()
            return
        assert self.range is not None
        reason = self._wanted or due(self.range.figures(), self._limits, now)
        if reason is not None:
            self._close(reason)

    def _close(self, reason: Reason) -> None:
        assert self.range is not None
        if self._job is not None:
            # Two ranges at most wait on the local disk.
            self._ports.cursor.pause([self.key])
            return
        if self.range.empty:
            self._wanted = None
            self._after_commit()
            return
        try:
            if self.range.topic_id is not None and self._topic_id() != self.range.topic_id:
                self._topic_recreated(self.range.next_offset)
            draft = self.range.seal(reason)
        except (Retriable, OutcomeUnknown) as error:
            self.drop()
            self._come_back(error)
            return
        self._wanted = None
        self._draft = draft
        self._job = self._ports.pool.submit(lambda: self._chain.commit(draft))

    def _topic_recreated(self, next_offset: int) -> None:
        error = DataLoss(
            f"{self.topic}/{self.partition}: the topic was deleted and made again: what the old one held "
            f"from offset {next_offset} on is gone. Look at it with `ingest accept-loss`, which asks before it lets the "
            "partition go on",
            kind="recreated",
            first=next_offset,
        )
        self.halt_after_commit(stop_of(error))

    def _settle(self) -> None:
        assert self._job is not None
        assert self._draft is not None
        job, draft = self._job, self._draft
        self._job = self._draft = None
        try:
            tail = job.future.result()
        except Fenced as error:
            self._ports.events.fenced(self, error)
            self._reopen()
        except (Retriable, OutcomeUnknown) as error:
            self.drop()
            self._come_back(error)
        except IngestError as error:
            self.drop()
            self._halt(stop_of(error))
        else:
            self.committed_offset = self._news = tail.next_offset
            self._ports.events.committed(self, draft, tail)
            self._after_commit()

    def _after_commit(self) -> None:
        if self._stopping is not None:
            stop, self._stopping = self._stopping, None
            self.drop()
            self._halt(stop)
        elif self.phase is Phase.OPEN:
            self._ports.cursor.resume([self.key])

    def describe(self) -> dict[str, Any]:
        """Return what `ingest status` shows."""
        figures = None if self.range is None else self.range.figures()
        return {
            "topic": self.topic,
            "partition": self.partition,
            "phase": "committing" if self.committing and self.phase is Phase.OPEN else str(self.phase),
            "next_offset": self.committed_offset,
            "read_offset": None if self.range is None else self.range.next_offset,
            "open_rows": 0 if figures is None else figures.rows,
            "open_bytes": 0 if figures is None else figures.bytes,
            "stopped": None if self.stop is None else self.stop.message,
        }

    # ── letting go ──────────────────────────────────────────────────────────────────

    def drop(self) -> None:
        """Forget what is not committed: it will be read again. A commit on its way is left alone."""
        if self._job is not None:
            self._job.cancel()
            self._job = self._draft = None
        if self.range is not None:
            self.range.abandon()
            self.range = None
        self._wanted = None
        self.phase = Phase.OPENING
