"""A topic partition's commit chain as the sink uses it: begun where the topic begins, tended after commits."""

from __future__ import annotations

from collections.abc import Callable

from ingest.commit.beginning import Beginning
from ingest.commit.committer import CommitDraft, Committer, StartDraft, Tail
from ingest.sink.loss import Bounds


class PartitionChain:
    """See `assignment.Chain`. One thread at a time: opened by the loop, committed to by the pool, never both.

    `beginning` is asked only when there is no chain yet.
    """

    def __init__(self, committer: Committer, partition: int, beginning: Callable[[], Beginning]) -> None:
        self._committer = committer
        self._partition = partition
        self._beginning = beginning

    def open(self, bounds: Bounds) -> Tail:
        """Return where to go on; staged files that nobody needs are swept."""

        def start() -> StartDraft:
            offset, why = self._beginning().offset(self._partition, bounds.beginning, bounds.end)
            return StartDraft(offset, bounds.topic_id, why)

        tail = self._committer.open(start)
        self._committer.sweep()
        return tail

    def commit(self, draft: CommitDraft) -> Tail:
        """Commit; fold when too many commits lie unfolded."""
        self._committer.commit(draft)
        self._committer.fold_if_due()
        return self._committer.tail

    def moved_on(self) -> bool:
        """Return whether somebody committed here since: a person who accepted a loss, or another worker."""
        return self._committer.moved_on()
