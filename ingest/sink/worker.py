"""The sink's loop: poll, take in, bound the memory, do what is due.

What a poll brought is taken in while the next poll fetches and decodes, and row groups are encoded meanwhile:

    poll's thread      poll 2 ───▶                    poll 3 ────▶
    this thread        take in 1 ───▶ do what is due  take in 2 ──▶ do what is due
    encoding threads      row groups ──────▶             row groups ─────▶

It decides nothing itself: what becomes of a partition is decided in `assignment`, when a range is closed in `rotation`,
what is set aside in `memory`. Nothing in it waits for a server but `poll` itself and the ends: what partitions have in
hand when they are taken away, or when the worker stops, is waited for, within limits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from ingest.blocks import RecordBlock
from ingest.clock import Clock
from ingest.errors import IngestError, Unavailable
from ingest.sink.assignment import Assignment
from ingest.sink.flush import Flush
from ingest.sink.memory import to_set_aside
from ingest.sink.open_range import OpenRange
from ingest.sink.ports import Cursor
from ingest.sink.rotation import Reason
from ingest.sink.stops import PartitionsStopped

T = TypeVar("T")
Key = tuple[str, int]

POLL = 0.2
"""Seconds that a poll waits for records; everything that is due by time is looked at in between."""

SOON = 0.02
"""The same where something is in hand or under way: what comes of it is not to wait for records that may not come."""

BUSY = 5.0
"""Seconds after which a turn over all partitions breaks off for a poll: a worker that never polls loses them all."""

DRAIN = 60.0
"""Seconds in which what is in hand must be committed when the worker ends; what isn't will be read again."""

REVOKE = 20.0
"""The same when partitions are taken away: the whole group waits for it."""

COURTESY = 3.0
"""Seconds to wait until the group knows how far we are, when there is no later turn in which the answer could come."""

STEP = 0.01
"""Seconds between looks at commits that are waited for."""


class Problem(Protocol):
    """Why a partition can't be read on; it stands still until it is placed anew."""

    @property
    def topic(self) -> str:
        """Return Kafka's topic."""

    @property
    def partition(self) -> int:
        """Return Kafka's partition."""

    @property
    def error(self) -> IngestError:
        """Return what is wrong."""


class Consumer(Cursor, Protocol):
    """What the worker needs of Kafka; see `ingest.broker.consumer`."""

    def subscribe(
        self,
        topics: Sequence[str],
        patterns: Sequence[str],
        on_assign: Callable[[list[Key]], None],
        on_revoke: Callable[[list[Key]], None],
        on_lost: Callable[[list[Key]], None],
    ) -> None:
        """Join the group; the callbacks run inside `poll`, and what they raise comes out of it."""

    def poll(self, timeout: float, meanwhile: Callable[[], None]) -> tuple[list[RecordBlock], Sequence[Problem]]:
        """Return blocks and problems of single partitions; what came before a problem is in the blocks.

        `meanwhile` is called once, on this thread, before any callback; it may not call the consumer.
        """

    def settled(self) -> bool:
        """Return whether the group has given this member what it is going to give, be it nothing."""

    def assignment(self) -> set[Key]:
        """Return the partitions that the group gave us."""

    def commit(self, offsets: Mapping[Key, int], wait: float = 0.0) -> None:
        """Tell the group how far it is, as a courtesy to those who watch it; failure is no harm.

        `wait`: seconds to wait for the answer.
        """

    def close(self) -> None:
        """Leave."""


class Watch(Protocol):
    """Looks after what concerns all partitions now and then: lag, health, state files."""

    def turn(self, assignments: Mapping[Key, Assignment]) -> None:
        """Called once a turn; does something every few seconds."""

    def beat(self) -> None:
        """Called where a turn takes longer."""

    def note_stops(self, assignments: Mapping[Key, Assignment]) -> object:
        """Called at the end, so that what stands still then is known afterwards."""


class SinkWorker:
    """One member of the consumer group.

    Args:
        consumer: of the group.
        topics: to read, by name.
        patterns: regular expressions for names.
        assign: makes the assignment of a topic partition; raises UsageError where the configuration has no parser.
        watch: over all partitions.
        clock: for deadlines.
        released: told of partitions that are others' now.
        due_topics: says for which topics a cron tick has come since it was asked last.
        rows_limit: bytes that may wait in open files, all partitions together.
        once: end when everything up to the end offsets seen at the start is committed.
        revoke: seconds for committing what is in hand when partitions are taken away.
    """

    def __init__(
        self,
        consumer: Consumer,
        topics: Sequence[str],
        patterns: Sequence[str],
        assign: Callable[[str, int], Assignment],
        watch: Watch,
        clock: Clock,
        *,
        released: Callable[[Assignment], None],
        due_topics: Callable[[], Sequence[str]],
        rows_limit: int,
        once: bool,
        revoke: float = REVOKE,
    ) -> None:
        self.assignments: dict[Key, Assignment] = {}
        self._consumer = consumer
        self._topics = topics
        self._patterns = patterns
        self._assign = assign
        self._watch = watch
        self._clock = clock
        self._released = released
        self._due_topics = due_topics
        self._rows_limit = rows_limit
        self._once = once
        self._revoke = revoke
        self._settled = False
        self._blocks: list[tuple[OpenRange | None, RecordBlock]] = []
        self._problems: list[tuple[OpenRange | None, Problem]] = []
        """Both with the range that was open when they came: one that was opened since reads them anew."""
        self._questions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._flushes: list[Flush] = []

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Have the loop answer a question about its partitions; from any thread. Answered within a turn."""
        answer: Future[T] = Future()

        def reply() -> None:
            try:
                found = question()
            except Exception as error:  # noqa: BLE001 - raised where the answer is read
                answer.set_exception(error)
            else:
                answer.set_result(found)

        self._questions.put(reply)
        return answer

    def flush(self) -> Flush:
        """Begin to commit everything read so far; on the loop's thread (`ask`)."""
        self._take_in()  # so that it is of everything that was read until now
        flush = Flush(self.assignments)
        self._flushes.append(flush)
        self._look_at_flushes()  # so that it begins with what is read now
        return flush

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set or, with `once`, until everything is committed.

        Raises:
            PartitionsStopped: at the end, where partitions wait for a person.
            Fatal: another process took this one's place in the group.
            UsageError: a topic without a parser appeared.
        """
        try:
            self.join()
            while not stop.is_set() and not (self._once and self._finished()):
                self.turn()
            self._take_in()
            self._settle_all(list(self.assignments.values()), Reason.DRAIN, DRAIN)
            self._look_at_flushes()
            self._tell_group(self.assignments.values())
        finally:
            self._end()
        stops = [assignment.stop for assignment in self.assignments.values() if assignment.stop is not None]
        if stops:
            raise PartitionsStopped(stops)

    def join(self) -> None:
        """Have the group give partitions from the next turn on; for `run`."""
        self._consumer.subscribe(self._topics, self._patterns, self._assigned, self._revoked, self._lost)

    def _end(self) -> None:
        """Let go of everything, whatever happened."""
        try:
            if self.assignments:  # else nothing was learned since the list was made
                self._watch.note_stops(self.assignments)
            for assignment in self.assignments.values():
                assignment.drop()
            for flush in self._flushes:
                flush.give_up()
        finally:
            try:
                self._consumer.close()
            except Unavailable:
                # It would have told the group that we go: the group finds out by itself.
                return

    # ── one turn ──────────────────────────────────────────────────────────────────

    def turn(self) -> None:
        """Poll once and do what is due; for `run`, and for tests that take turns with several workers."""
        blocks, problems = self._consumer.poll(self._patience(), self._take_in)
        self._blocks = [(self._range_for(block), block) for block in blocks]
        self._problems = [(self._range_for(problem), problem) for problem in problems]
        self._listen()
        self._turn_assignments()
        self._look_at_flushes()
        self._commit_group_offsets()
        self._watch.turn(self.assignments)

    def _patience(self) -> float:
        busy = self._once or self._blocks or any(assignment.busy for assignment in self.assignments.values())
        return SOON if busy else POLL

    def _take_in(self) -> None:
        """Put into the ranges what the last poll brought; then tell what went wrong after it."""
        blocks, problems, self._blocks, self._problems = self._blocks, self._problems, [], []
        blocks.reverse()
        while blocks:
            self._add(*blocks.pop())  # one after the other is let go of
        for opened, problem in problems:
            if opened is not None and self._range_for(problem) is opened:
                self.assignments[problem.topic, problem.partition].trouble(problem.error)

    def _range_for(self, one: RecordBlock | Problem) -> OpenRange | None:
        assignment = self.assignments.get((one.topic, one.partition))
        return None if assignment is None else assignment.range

    def _add(self, opened: OpenRange | None, block: RecordBlock) -> None:
        if opened is None or self._range_for(block) is not opened:
            return
        self.assignments[block.topic, block.partition].add(block)
        reading = [each for each in self.assignments.values() if each.range is not None]
        files = [each.range.files for each in reading if each.range is not None]
        leaving = sum(each.leaving.held for each in self.assignments.values() if each.leaving is not None)
        for index, file in to_set_aside(files, max(0, self._rows_limit - leaving)):
            reading[index].set_aside(file)

    def _turn_assignments(self) -> None:
        """Do what is due of each partition, those first whose turn is the longest ago."""
        until = self._clock.monotonic() + BUSY
        for key in list(self.assignments):
            assignment = self.assignments.pop(key)
            self.assignments[key] = assignment
            assignment.turn()
            if self._clock.monotonic() >= until:
                return

    def _listen(self) -> None:
        """Take in what other threads want: cron ticks, questions, flushes."""
        for topic in self._due_topics():
            for assignment in self.assignments.values():
                if assignment.topic == topic:
                    assignment.want(Reason.CRON)
        while not self._questions.empty():
            self._questions.get()()

    def _look_at_flushes(self) -> None:
        for flush in self._flushes:
            for key in flush.look(self.assignments):
                self.assignments[key].want(Reason.FLUSH)
        self._flushes = [flush for flush in self._flushes if not flush.done.is_set()]

    def _finished(self) -> bool:
        """Return whether the group gave us all it will, and all of that is committed up to where it was to be read."""
        settled, self._settled = self._settled, self._consumer.settled()
        known = settled and self._settled and self._consumer.assignment() <= self.assignments.keys()
        return known and all(assignment.finished for assignment in self.assignments.values())

    def _commit_group_offsets(self) -> None:
        news = {key: each.take_news() for key, each in self.assignments.items()}
        offsets = {key: offset for key, offset in news.items() if offset is not None}
        if offsets:
            self._consumer.commit(offsets)

    def _tell_group(self, assignments: Iterable[Assignment]) -> None:
        """Tell the group how far these are, and wait until it knows: there is no later turn to hear the answer."""
        offsets = {each.key: each.committed_offset for each in assignments if each.committed_offset is not None}
        if offsets:
            self._consumer.commit(offsets, COURTESY)

    # ── the group ──────────────────────────────────────────────────────────────────

    def _assigned(self, partitions: list[Key]) -> None:
        self._forget([self.assignments[key] for key in partitions if key in self.assignments])
        for key in partitions:
            self.assignments[key] = assignment = self._assign(*key)
            assignment.open()

    def _revoked(self, partitions: list[Key]) -> None:
        gone = [self.assignments[key] for key in partitions if key in self.assignments]
        self._settle_all(gone, Reason.REVOKE, self._revoke)
        self._tell_group(gone)
        self._forget(gone)

    def _lost(self, partitions: list[Key]) -> None:
        self._forget([self.assignments[key] for key in partitions if key in self.assignments])

    def _forget(self, gone: list[Assignment]) -> None:
        for assignment in gone:
            assignment.drop()
            del self.assignments[assignment.key]
            self._released(assignment)

    def _settle_all(self, assignments: list[Assignment], reason: Reason, within: float) -> None:
        """Commit what these have in hand, if it can be done in time."""
        deadline = self._clock.monotonic() + within
        pending = [each for each in assignments if not each.settled]
        while pending:
            for assignment in pending:
                assignment.want(reason)
                assignment.turn()
                self._watch.beat()
                if self._clock.monotonic() >= deadline:
                    return
            pending = [each for each in pending if not each.settled]
            if pending:
                self._clock.sleep(STEP)
