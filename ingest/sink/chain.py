"""A topic partition's commit chain as the sink uses it: begun where the topic begins, tended after commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ingest.commit.beginning import Beginning
from ingest.commit.committer import CommitDraft, Committer, StartDraft, Tail
from ingest.errors import DataLoss, Fenced, Retriable
from ingest.sink.loss import Bounds, loss_of, other_topic, refuse_loss
from ingest.sink.open_range import OpenRange
from ingest.sink.ports import Committed, Opening
from ingest.sink.spool import spooling

RECENT = 2.0
"""Seconds for which the bounds of a log hold well enough: what they miss, the consumer is told when it reads."""


class Log(Protocol):
    """The topic partition in Kafka. From any thread; all raise Retriable where no broker answers in time."""

    def bounds(self, max_age: float) -> Bounds:
        """Return its first offset, its end, and the topic's id, as they were at most `max_age` seconds ago."""

    def topic_id(self) -> str:
        """Return the topic's id alone; "" = there is no such topic any more, or brokers have no ids."""


class PartitionChain:
    """See `ports.Chain`.

    Args:
        committer: of the chain; used by nobody else.
        partition: Kafka's.
        log: the partition in Kafka.
        beginning: says where the topic begins; asked only when there is no chain yet.
        begin: makes the open range that follows a tail; given the id of the topic that is read.
        require_root: raises Unavailable where the warehouse is not the one that it was: its disk is not mounted.
    """

    def __init__(
        self,
        committer: Committer,
        partition: int,
        *,
        log: Log,
        beginning: Callable[[], Beginning],
        begin: Callable[[Tail, str], OpenRange],
        require_root: Callable[[], None],
    ) -> None:
        self._committer = committer
        self._partition = partition
        self._log = log
        self._beginning = beginning
        self._begin = begin
        self._require_root = require_root

    def open(self) -> Opening:
        """Return where to go on; staged files that nobody needs are swept."""
        self._require_root()
        tail = self._committer.open(self._start)
        self._committer.sweep()
        bounds = self._bounds_at(tail)
        opened = self._begin(tail, bounds.topic_id)
        if (excess := opened.over_budget()) is not None:
            raise excess
        return Opening(tail, bounds.end, opened)

    def commit(self, draft: CommitDraft, first_offset: int) -> Committed:
        """Commit; fold when too many commits lie unfolded.

        Raises:
            Fenced: the chain is not at `first_offset`; or see `Committer.commit`.
            SpoolFailed: the local files can't be read.
        """
        loss = self._other_topic(draft)
        self._require_root()
        at = self._committer.tail.next_offset
        if at not in (first_offset, draft.next_offset):
            raise Fenced(f"{self._committer.key}: the chain is at offset {at}, the range begins at {first_offset}")
        with spooling():
            self._committer.commit(draft)
        self._committer.fold_if_due()
        return Committed(self._committer.tail, loss)

    def moved_on(self) -> bool:
        """Return whether somebody committed here since: a person who accepted a loss, or another worker."""
        return self._committer.moved_on()

    def _bounds_at(self, tail: Tail) -> Bounds:
        """Return the log's bounds where reading may go on at the tail.

        Raises:
            DataLoss: it may not, by bounds that were asked for after the chain was read: another worker may have read
                on, and committed, until just then.
        """
        topic = self._committer.key.topic
        bounds = self._log.bounds(RECENT)
        if loss_of(topic, self._partition, tail.next_offset, tail.topic_id, bounds) is not None:
            bounds = self._log.bounds(0.0)
            refuse_loss(topic, self._partition, tail.next_offset, tail.topic_id, bounds)
        return bounds

    def _start(self) -> StartDraft:
        bounds = self._log.bounds(RECENT)
        offset, why = self._beginning().offset(self._partition, bounds.beginning, bounds.end)
        return StartDraft(offset, bounds.topic_id, why)

    def _other_topic(self, draft: CommitDraft) -> DataLoss | None:
        """Look, before a range is published, whether the topic is still the one that the range was begun with.

        The range is committed in any case: what is in hand may be all that is left.
        """
        try:
            found = self._log.topic_id()
        except Retriable:
            return None  # looked at again with the next range, and whenever the partition is opened
        topic = self._committer.key.topic
        return other_topic(topic, self._partition, draft.next_offset, draft.topic_id, found)
