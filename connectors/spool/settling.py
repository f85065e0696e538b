"""Which files count as finished: those that have not changed for so long. Pure; all times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Collection

from .mark import Key, Stamp


class Settling:
    """What was seen of each file, and since when it is so.

    The file's own time does not count: clocks of servers differ, and a copy may bring its time along.

    Args:
        patience: seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[Key, tuple[Stamp, float]] = {}

    def look(self, key: Key, stamp: Stamp, now: float) -> bool:
        """Take note of a look at a file; return whether it has not changed for so long."""
        before = self._since.get(key)
        if before is None or before[0] != stamp:
            self._since[key] = before = stamp, now
        return now - before[1] >= self._patience

    def unchanged(self, key: Key, stamp: Stamp) -> bool:
        """Whether the file was last seen with this stamp."""
        seen = self._since.get(key)
        return seen is not None and seen[0] == stamp

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all other files."""
        for key in self._since.keys() - keys:
            del self._since[key]

    def next_due(self, now: float) -> float:
        """Return in how many seconds the next file may count as finished; infinite where none is waiting."""
        due = [since + self._patience - now for _, since in self._since.values()]
        return min((seconds for seconds in due if seconds > 0), default=float("inf"))
