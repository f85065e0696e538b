"""The one door to time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for what people read, one for what is measured."""

    def now(self) -> float:
        """Return wall-clock seconds since 1970 UTC; may jump either way."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; every interval, deadline and age uses these."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns early never."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return `time.time()`."""
        return time.time()

    def monotonic(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)
