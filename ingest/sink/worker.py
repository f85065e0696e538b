"""The sink's loop: poll, hand the blocks out, bound the memory, do what is due.

It decides nothing itself: what becomes of a partition is decided in `assignment`, when a range is closed in `rotation`,
what is set aside in `memory`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from ingest.blocks import RecordBlock
from ingest.clock import Clock
from ingest.errors import IngestError
from ingest.sink.assignment import Assignment, Cursor, Phase
from ingest.sink.memory import relieve
from ingest.sink.rotation import Reason
from ingest.sink.stops import PartitionsStopped

T = TypeVar("T")

POLL = 0.2
"""Seconds that a poll waits for records; everything that is due by time is looked at in between."""

DRAIN = 60.0
"""Seconds in which what is in hand must be committed when the worker ends; what isn't will be read again."""

REVOKE = 20.0
"""The same when partitions are taken away: the whole group waits for it."""

COURTESY = 3.0
"""Seconds to wait until the group knows how far we are, when there is no later turn in which the answer could come."""


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
        on_assign: Callable[[list[tuple[str, int]]], None],
        on_revoke: Callable[[list[tuple[str, int]]], None],
        on_lost: Callable[[list[tuple[str, int]]], None],
    ) -> None:
        """Join the group; the callbacks run inside `poll`, and what they raise comes out of it."""

    def poll(self, timeout: float) -> tuple[list[RecordBlock], Sequence[Problem]]:
        """Return blocks and problems of single partitions."""

    def commit(self, offsets: Mapping[tuple[str, int], int], wait: float = 0.0) -> None:
        """Tell the group how far it is, as a courtesy to those who watch it; failure is no harm.

        `wait`: seconds to wait for the answer.
        """

    def close(self) -> None:
        """Leave."""


class Watch(Protocol):
    """Looks after what concerns all partitions now and then: lag, health, state files."""

    def turn(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        """Called once a turn; does something every few seconds."""

    def note_stops(self, assignments: Mapping[tuple[str, int], Assignment]) -> object:
        """Called at the end, so that what stands still then is known afterwards."""


class Flush:
    """A request that everything read so far be committed."""

    def __init__(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        self.done = threading.Event()
        self._targets = {key: each.range.next_offset for key, each in assignments.items() if each.range is not None}

    def look(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        """Set `done` when every partition is committed up to where it was, has stopped, or is another worker's."""
        for key, target in list(self._targets.items()):
            each = assignments.get(key)
            if each is None or each.phase is Phase.STOPPED or (each.committed_offset or 0) >= target:
                del self._targets[key]
        if not self._targets:
            self.done.set()


class SinkWorker:
    """One member of the consumer group.

    Args:
        topics: to read, by name.
        patterns: regular expressions for names.
        assign: makes the assignment of a topic partition; raises UsageError where the configuration has no parser.
        due_topics: says for which topics a cron tick has come since it was asked last.
        rows_limit: bytes that may wait in open files, all partitions together.
        once: end when everything up to the end offsets seen at the start is committed.
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
        due_topics: Callable[[], Sequence[str]],
        rows_limit: int,
        once: bool,
    ) -> None:
        self.assignments: dict[tuple[str, int], Assignment] = {}
        self._consumer = consumer
        self._topics = topics
        self._patterns = patterns
        self._assign = assign
        self._watch = watch
        self._clock = clock
        self._due_topics = due_topics
        self._rows_limit = rows_limit
        self._once = once
        self._joined = False
        self._questions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._flushes: list[Flush] = []

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Have the loop answer a question about its partitions; from any thread. Answered within a turn."""
        answer: Future[T] = Future()
        self._questions.put(lambda: answer.set_result(question()))
        return answer

    def flush(self) -> Flush:
        """Begin to commit everything read so far; on the loop's thread (`ask`)."""
        flush = Flush(self.assignments)
        self._flushes.append(flush)
        for assignment in self.assignments.values():
            assignment.want(Reason.FLUSH)
        return flush

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set or, with `once`, until everything is committed.

        Raises:
            PartitionsStopped: at the end, where partitions wait for a person.
            Fatal: another process took this one's place in the group.
            UsageError: a topic without a parser appeared.
        """
        self._consumer.subscribe(self._topics, self._patterns, self._assigned, self._revoked, self._lost)
        try:
            while not stop.is_set() and not (self._once and self._finished()):
                self._turn()
            self._settle_all(list(self.assignments.values()), Reason.DRAIN, DRAIN)
            self._watch.note_stops(self.assignments)
            self._tell_group(self.assignments.values())
        finally:
            for assignment in self.assignments.values():
                assignment.drop()
            self._consumer.close()
        stops = [assignment.stop for assignment in self.assignments.values() if assignment.stop is not None]
        if stops:
            raise PartitionsStopped(stops)

    # ── one turn ──────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        blocks, problems = self._consumer.poll(POLL)
        for problem in problems:
            if (assignment := self.assignments.get((problem.topic, problem.partition))) is not None:
                assignment.trouble(problem.error)
        for block in blocks:
            assignment = self.assignments.get((block.topic, block.partition))
            if assignment is not None:
                assignment.add(block)
                self._relieve()
        self._listen()
        for assignment in list(self.assignments.values()):
            if self._once and assignment.range is not None and assignment.reached_target:
                assignment.want(Reason.ONCE)
            assignment.turn()
        self._look_at_flushes()
        self._commit_group_offsets()
        self._watch.turn(self.assignments)

    def _relieve(self) -> None:
        relieve([each.range.files for each in self.assignments.values() if each.range is not None], self._rows_limit)

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
            flush.look(self.assignments)
        self._flushes = [flush for flush in self._flushes if not flush.done.is_set()]

    def _finished(self) -> bool:
        return self._joined and all(assignment.finished for assignment in self.assignments.values())

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

    def _assigned(self, partitions: list[tuple[str, int]]) -> None:
        self._joined = True
        for key in partitions:
            if key in self.assignments:
                self.assignments[key].drop()
            self.assignments[key] = assignment = self._assign(*key)
            assignment.open()

    def _revoked(self, partitions: list[tuple[str, int]]) -> None:
        gone = [self.assignments[key] for key in partitions if key in self.assignments]
        self._settle_all(gone, Reason.REVOKE, REVOKE)
        self._tell_group(gone)
        self._forget(gone)

    def _lost(self, partitions: list[tuple[str, int]]) -> None:
        self._forget([self.assignments[key] for key in partitions if key in self.assignments])

    def _forget(self, gone: list[Assignment]) -> None:
        for assignment in gone:
            assignment.drop()
            del self.assignments[assignment.key]

    def _settle_all(self, assignments: list[Assignment], reason: Reason, within: float) -> None:
        """Commit what these have in hand, if it can be done in time."""
        deadline = self._clock.monotonic() + within
        pending = [each for each in assignments if each.phase is Phase.OPEN]
        for assignment in pending:
            assignment.want(reason)
        while pending and self._clock.monotonic() < deadline:
            for assignment in pending:
                assignment.turn()
            pending = [each for each in pending if each.phase is Phase.OPEN and not each.settled]
            if pending:
                self._clock.sleep(0.01)
