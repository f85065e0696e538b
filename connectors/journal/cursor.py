"""Where reading goes on in the journal, and whether something is missing there. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

_SEQUENCE: Final = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run of journalctl begins.

    Attributes:
        cursor: of the entry that it is to print first; "" = none is known.
        kept: that entry is to be handed out, too; else it was.
        newest: without a cursor: begin with the newest entry, which is to be handed out if it came since `now`.
        now: microseconds since 1970 UTC.
    """

    cursor: str = ""
    kept: bool = False
    newest: bool = False
    now: int = 0

    def arguments(self) -> list[str]:
        """Return what journalctl has to be told.

        The entry itself is asked for, not what is after it: only when it comes is it certain that nothing is missing
        between; and journalctl leaves one out, whichever it is, when it is asked for those after one that is gone.
        """
        if self.cursor:
            return ["--no-tail", f"--cursor={self.cursor}"]
        return ["--lines=1"] if self.newest else ["--no-tail"]


def judge(place: Place, cursor: str, time: int) -> Literal["keep", "skip", "lost"]:
    """Say what to do with the first entry that a run prints; "lost": the one that was asked for is not there."""
    if not place.cursor:
        return "skip" if place.newest and time < place.now else "keep"
    if cursor != place.cursor:
        return "lost"
    return "keep" if place.kept else "skip"


def missing(before: str, cursor: str) -> int:
    """Return how many entries stood between two that were printed one after the other; 0 where nobody can know."""
    first, second = _SEQUENCE.match(before), _SEQUENCE.match(cursor)
    if first is None or second is None or first[1] != second[1]:
        return 0
    return max(0, int(second[2], 16) - int(first[2], 16) - 1)
