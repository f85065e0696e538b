"""When a command is started again. Pure; all numbers are seconds."""

from __future__ import annotations

import math
from typing import Final

LONGEST: Final = 60.0


def pause_after(code: int, lasted: float, restart: float, before: float | None) -> float:
    """Return how long to wait before a streaming command that ended is started again.

    Args:
        code: what it ended with.
        lasted: how long it ran.
        restart: the shortest wait.
        before: the wait before this run, None = it was the first.
    """
    if code == 0 or lasted >= LONGEST or before is None:
        return restart
    return max(restart, min(2 * before, LONGEST))


def next_turn(turn: float, ended: float, every: float) -> float:
    """Return when the run after the one of `turn` is due; turns that passed while it ran are left out."""
    return turn + every * max(1, math.ceil((ended - turn) / every))
