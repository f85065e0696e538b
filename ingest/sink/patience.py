"""How long to wait before something is tried again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST, LONGEST = 0.25, 15.0
"""Seconds."""


@dataclass(slots=True)
class Patience:
    """Doubles the pause with every failure in a row, up to `LONGEST`."""

    failures: int = 0

    def after_failure(self, luck: float) -> float:
        """Return the seconds to wait, spread by `luck` in [0, 1) over the upper half of what is due."""
        due = min(FIRST * 2.0 ** min(self.failures, 16), LONGEST)
        self.failures += 1
        return due * (0.5 + luck / 2)

    def after_success(self) -> None:
        """Begin anew."""
        self.failures = 0
