"""What an assignment needs of the world, and what it tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ingest.clock import Clock
from ingest.commit.committer import CommitDraft, Tail
from ingest.errors import DataLoss, Fenced, IngestError
from ingest.sink.open_range import OpenRange
from ingest.sink.stops import Stop
from ingest.sink.threads import Pool

if TYPE_CHECKING:
    from ingest.sink.assignment import Assignment


class Cursor(Protocol):
    """What an assignment needs of the consumer."""

    def seek(self, topic: str, partition: int, offset: int, leader_epoch: int = -1) -> None:
        """Read on at `offset`; sets a partition going that stood still after a problem."""

    def pause(self, partitions: list[tuple[str, int]]) -> None:
        """Fetch no more."""

    def resume(self, partitions: list[tuple[str, int]]) -> None:
        """Fetch again."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A chain that was read: where to go on, the end that the log has now, and the range that begins there."""

    tail: Tail
    end: int
    range: OpenRange


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit that is done, and what was lost besides: the topic is another one now."""

    tail: Tail
    loss: DataLoss | None = None


class Chain(Protocol):
    """What an assignment needs of its partition's commit chain. Every method may wait: it runs on a thread of its own.

    Never two at a time: whoever begins one waits for the end of the one before, wanted or not.
    """

    def open(self) -> Opening:
        """Begin the chain if nobody did, finish the newest commit, and make the range that follows.

        Raises:
            DataLoss, QuarantineBudget: a person must decide first.
        """

    def commit(self, draft: CommitDraft, first_offset: int) -> Committed:
        """Commit [first_offset, draft.next_offset), and afterwards fold when due. May be repeated."""

    def moved_on(self) -> bool:
        """Return whether somebody committed here since: a person who accepted a loss, or another worker."""


class Events(Protocol):
    """What is told to people and to metrics; on the loop's thread."""

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

    def released(self, assignment: Assignment) -> None:
        """The partition is another worker's business now."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as all assignments of a worker see it.

    `luck` returns numbers in [0, 1): what failed together must not come back together.
    """

    cursor: Cursor
    pool: Pool
    clock: Clock
    events: Events
    luck: Callable[[], float]
