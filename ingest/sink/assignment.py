"""One topic partition in this worker's hands.

    opening ── chain read, moves finished, consumer placed ──▶ open ── range closed ──▶ open, committing
       ▲  ▲                                                     │                          │
       │  └────────── fenced, or work had to be dropped ────────┴──────────────────────────┤
       └── accepted ── stopped ◀────────── data loss, conflict, budget, failure ───────────┘

Nothing here loops or waits: the worker calls, this decides with the pure parts and acts through its ports. What may
wait for the destination or for Kafka (opening, committing, looking whether somebody accepted) is a task on another
thread, one at a time: its outcome is taken in by a later turn. While a range is committed the next one fills, and when
that is due too the partition is paused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.blocks import RecordBlock
from ingest.errors import Fenced, IngestError, OutcomeUnknown, Retriable
from ingest.sink.open_files import OpenFile, OpenFiles
from ingest.sink.open_range import OpenRange
from ingest.sink.patience import Patience
from ingest.sink.ports import Chain, Committed, Opening, Ports
from ingest.sink.rotation import Limits, Reason, due
from ingest.sink.sealed import SealedRange
from ingest.sink.spool import SpoolFailed
from ingest.sink.stops import Stop, stop_of

LOOK = 2.0
"""Seconds between looks whether somebody accepted what stopped a partition."""


class Phase(StrEnum):
    """See the drawing above."""

    OPENING = "opening"
    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class _Task:
    """What runs on another thread; `take_in` is given its future when it is done."""

    future: Future[Any]
    take_in: Callable[[Future[Any]], None]


class Assignment:
    """See the module.

    Args:
        topic: Kafka's.
        partition: Kafka's.
        chain: the partition's.
        limits: when a range is closed.
        ports: the world.
        once: read up to the end that is seen at the first opening, and no further than what was fetched with it.
    """

    def __init__(
        self, topic: str, partition: int, *, chain: Chain, limits: Limits, ports: Ports, once: bool = False
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.phase = Phase.OPENING
        self.stop: Stop | None = None
        """Why it stands still; stays until it is open again."""
        self.waiting: str | None = None
        """What is tried again and again, until it succeeds."""
        self.committed_offset: int | None = None
        """next_offset of the newest commit."""
        self.target: int | None = None
        """The end offset seen at the first opening: `--once` reads up to here."""
        self.range: OpenRange | None = None
        self._once = once
        self._chain = chain
        self._limits = limits
        self._ports = ports
        self._task: _Task | None = None
        self._sealed: SealedRange | None = None
        self._sealed_first = 0
        self._wanted: Reason | None = None
        self._stopping: Stop | None = None
        self._flowing = True
        self._news: int | None = None
        self._retry_at = 0.0
        self._asking = Patience()
        self._dropping = Patience()

    @property
    def key(self) -> tuple[str, int]:
        """Return (topic, partition)."""
        return self.topic, self.partition

    @property
    def committing(self) -> bool:
        """Return whether a range is on its way into the chain."""
        return self._sealed is not None

    @property
    def busy(self) -> bool:
        """Return whether a task is under way."""
        return self._task is not None

    @property
    def leaving(self) -> OpenFiles | None:
        """Return the files of the range that is being committed: until they are finished they hold memory."""
        return None if self._sealed is None else self._sealed.files

    @property
    def reached_target(self) -> bool:
        """Return whether everything up to `target` was read."""
        return self.range is not None and self.target is not None and self.range.next_offset >= self.target

    @property
    def settled(self) -> bool:
        """Return whether nothing is in hand: no rows, and no reason to stop that was not acted upon."""
        return not self.committing and self._stopping is None and (self.range is None or self.range.empty)

    @property
    def finished(self) -> bool:
        """Return whether everything up to `target` is committed, or nothing more can be done about it."""
        if self.phase is Phase.STOPPED:
            return not self.committing
        return self.target is not None and self.committed_offset is not None and self.committed_offset >= self.target

    def take_news(self) -> int | None:
        """Return the next_offset of the newest commit if it was not taken yet."""
        news, self._news = self._news, None
        return news

    # ── told by the worker ──────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Begin to read the chain; the consumer is placed in the turn after that is done."""
        self._flowing = True  # as the group gave it to us: unknown, so that it is paused for certain
        self._flow()
        self._begin(self._chain.open, self._opened)

    def add(self, block: RecordBlock) -> None:
        """Take a block in; whatever can go wrong concerns this partition alone.

        What comes after the reason to stop, or after the end that `--once` reads to, is left out: it is read again.
        """
        if self.range is None or not self._reads:
            return
        try:
            self.range.add(block)
        except (Retriable, OutcomeUnknown) as error:
            # Half a block may be in the range: it is dropped and read again.
            self._come_back(error)
        except IngestError as error:
            self._halt(stop_of(error))
        except BaseException:
            # A bug. The range may hold half a block, and count all of it as written: nobody may commit that.
            self._drop_range()
            raise
        else:
            if (excess := self.range.over_budget()) is not None:
                self._halt_after_commit(stop_of(excess))

    def set_aside(self, file: OpenFile) -> None:
        """Give back the memory that a file of the open range holds."""
        if self.range is None:
            return
        try:
            self.range.files.set_aside(file)
        except SpoolFailed as error:
            self._come_back(error)

    def trouble(self, error: IngestError) -> None:
        """Take in that the partition can't be read on: what can pass by itself is tried again, the rest stops it."""
        if self.phase is not Phase.OPEN:
            return  # the consumer is placed anew when it is opened
        if error.retriable:
            self._come_back(error)
        else:
            self._halt_after_commit(stop_of(error))

    def want(self, reason: Reason) -> None:
        """Ask that what is open be committed soon: a cron tick, a flush, a drain."""
        if self._wanted is None and self.phase is Phase.OPEN:
            self._wanted = reason

    def turn(self) -> None:
        """Do what is due: take a finished task in, close the range, try again."""
        task = self._task
        if task is not None and task.future.done():
            self._task = None
            task.take_in(task.future)
        now = self._ports.clock.monotonic()
        if self._sealed is None and self.phase is Phase.OPEN:
            self._rotate(now)
        elif self._task is None and now >= self._retry_at:
            self._begin_what_is_next(now)
        self._flow()

    def drop(self) -> None:
        """Forget what is not committed: it will be read again.

        A commit that is on its way is left alone: it is safe at any step, and whoever opens the chain next obeys it.
        """
        self._drop_range()
        sealed, self._sealed = self._sealed, None
        if self._task is not None:
            self._abandon(self._task, sealed)
        elif sealed is not None:
            self._clean_up(sealed.discard)
        self.phase = Phase.OPENING

    # ── opening ──────────────────────────────────────────────────────────────────

    def _opened(self, future: Future[Opening]) -> None:
        try:
            opening = future.result()
        except (Retriable, OutcomeUnknown, Fenced) as error:
            self._try_again(error)
        except IngestError as error:
            self._halt(stop_of(error))
        else:
            self._start(opening)

    def _start(self, opening: Opening) -> None:
        tail = opening.tail
        self.range = opening.range
        self.phase, self.stop, self.waiting = Phase.OPEN, None, None
        self.committed_offset = self._news = tail.next_offset
        if self.target is None:
            self.target = opening.end
        self._asking.after_success()
        self._ports.cursor.seek(self.topic, self.partition, tail.next_offset, tail.leader_epoch)
        self._ports.events.opened(self, tail)

    def _looked(self, future: Future[bool]) -> None:
        try:
            accepted = future.result()
        except Fenced:
            accepted = True  # the chain must be read again anyway
        except (Retriable, OutcomeUnknown) as error:
            self._try_again(error)
            return
        except IngestError as error:
            self._halt(stop_of(error))
            return
        if accepted:
            self.phase = Phase.OPENING
            self._retry_at = self._ports.clock.monotonic()

    # ── open ──────────────────────────────────────────────────────────────────

    def _rotate(self, now: float) -> None:
        """Close the range when it is due; nothing is being committed."""
        assert self.range is not None
        reason = self._due(now)
        if reason is not None and not self.range.empty:
            self._close(reason)
        elif reason is not None:
            self._wanted = None
            if self._stopping is not None:
                self._halt(self._stopping)

    def _due(self, now: float) -> Reason | None:
        assert self.range is not None
        if self._stopping is not None:
            return Reason.STOPPED
        if self._once and self.reached_target:
            return Reason.ONCE
        return self._wanted or due(self.range.figures(), self._limits, now)

    def _close(self, reason: Reason) -> None:
        assert self.range is not None
        self._sealed_first = self.range.first_offset
        self._sealed = self.range.seal(reason)
        self._wanted = None
        self._commit(self._sealed)

    def _commit(self, sealed: SealedRange) -> None:
        first = self._sealed_first
        self._begin(lambda: self._chain.commit(sealed.finish(), first), self._committed)

    def _committed(self, future: Future[Committed]) -> None:
        assert self._sealed is not None
        try:
            done = future.result()
        except Fenced as error:
            self._ports.events.fenced(self, error)
            self.drop()
            self._retry_at = self._ports.clock.monotonic()
        except SpoolFailed as error:
            self.drop()
            self._come_back(error)
        except (Retriable, OutcomeUnknown) as error:
            self._try_again(error)
        except IngestError as error:
            self.drop()
            self._halt(stop_of(error))
        else:
            self._note_commit(self._sealed, done)

    def _note_commit(self, sealed: SealedRange, done: Committed) -> None:
        self._sealed, self.waiting = None, None
        self._clean_up(sealed.discard)
        self._asking.after_success()
        self._dropping.after_success()
        self.committed_offset = self._news = done.tail.next_offset
        self._ports.events.committed(self, sealed.finish(), done.tail)
        if done.loss is not None:
            self._halt_after_commit(stop_of(done.loss))

    # ── standing still ──────────────────────────────────────────────────────────────────

    def _halt_after_commit(self, stop: Stop) -> None:
        """Commit what is in hand, then stand still: the reaction to loss, and to too many rejects."""
        if self._stopping is None and self.phase is Phase.OPEN:
            self._stopping = stop

    def _halt(self, stop: Stop) -> None:
        """Stand still until a person did something; what is being committed goes on."""
        self._drop_range()
        news = self.stop != stop
        self.phase, self.stop = Phase.STOPPED, stop
        self._retry_at = self._ports.clock.monotonic() + LOOK
        if news:
            self._ports.events.stopped(self, stop)

    def _come_back(self, error: IngestError) -> None:
        """Drop the open range and, once what is being committed is done, open again after a pause."""
        self._drop_range()
        self.phase = Phase.OPENING
        self._wait(self._dropping, error)

    def _try_again(self, error: IngestError) -> None:
        """Do again after a pause what just failed; nothing in hand is touched."""
        self._wait(self._asking, error)

    def _wait(self, patience: Patience, error: IngestError) -> None:
        self._retry_at = self._ports.clock.monotonic() + patience.after_failure(self._ports.luck())
        self.waiting = str(error)
        self._ports.events.waiting(self, error)

    def _flow(self) -> None:
        """Have the consumer fetch, or not."""
        wanted = self._wants_more()
        if wanted != self._flowing:
            self._flowing = wanted
            act = self._ports.cursor.resume if wanted else self._ports.cursor.pause
            act([self.key])

    @property
    def _reads(self) -> bool:
        return self.phase is Phase.OPEN and self._stopping is None and not (self._once and self.reached_target)

    def _wants_more(self) -> bool:
        # Two ranges at most wait on the local disk.
        return self._reads and (not self.committing or self._due(self._ports.clock.monotonic()) is None)

    # ── tasks ──────────────────────────────────────────────────────────────────

    def _begin_what_is_next(self, now: float) -> None:
        """Try again what failed, or look whether a stopped partition may go on."""
        if self._sealed is not None:
            self._commit(self._sealed)
        elif self.phase is Phase.OPENING:
            self._begin(self._chain.open, self._opened)
        elif self.stop is not None and self.stop.acceptable:
            self._retry_at = now + LOOK
            self._begin(self._chain.moved_on, self._looked)

    def _begin(self, work: Callable[[], Any], take_in: Callable[[Future[Any]], None]) -> None:
        self._task = _Task(self._ports.pool.submit(work), take_in)

    def _abandon(self, task: _Task, sealed: SealedRange | None) -> None:
        """Nobody wants the task's outcome any more, but its end: the chain takes one thread at a time."""
        self._task = _Task(task.future, lambda future: None)
        if sealed is not None:
            task.future.add_done_callback(lambda future: sealed.discard())

    def _drop_range(self) -> None:
        if self.range is not None:
            self._clean_up(self.range.abandon)
            self.range = None
        self._wanted = self._stopping = None

    def _clean_up(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SpoolFailed as error:
            self._ports.events.waiting(self, error)


def held_by(assignments: Collection[Assignment]) -> list[OpenFiles]:
    """Return all files that hold memory or descriptors: of ranges that are open, and that are being committed."""
    held = [each.range.files for each in assignments if each.range is not None]
    return held + [each.leaving for each in assignments if each.leaving is not None]
