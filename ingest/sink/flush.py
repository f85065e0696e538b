"""A request that everything read so far be committed."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ingest.sink.assignment import Assignment, Phase


class Flush:
    """Made and looked at on the loop's thread; `done` may be waited for on any.

    Attributes:
        done: set when nothing more will come of it.
        complete: whether everything asked for is committed.
    """

    def __init__(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        self.done = threading.Event()
        self.complete = False
        self._targets = {key: each.range.next_offset for key, each in assignments.items() if each.range is not None}

    def look(self, assignments: Mapping[tuple[str, int], Assignment]) -> list[tuple[str, int]]:
        """Return which partitions must still commit; none = it is done.

        A partition is through when it is committed up to where it was, has stopped, or is another worker's.
        """
        for key, target in list(self._targets.items()):
            each = assignments.get(key)
            if each is None or each.phase is Phase.STOPPED or (each.committed_offset or 0) >= target:
                del self._targets[key]
        if not self._targets:
            self.complete = True
            self.done.set()
        return [key for key, target in self._targets.items() if _has_read(assignments[key], target)]

    def give_up(self) -> None:
        """Nobody works on it any more."""
        self.done.set()


def _has_read(assignment: Assignment, target: int) -> bool:
    """A partition whose work was dropped meanwhile must read again what it is to commit."""
    return assignment.range is not None and assignment.range.next_offset >= target
