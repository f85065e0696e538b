"""A clock that a test turns by hand."""

from __future__ import annotations

import threading


class ManualClock:
    """An `ingest.clock.Clock` that stands still until told otherwise. Safe to use from several threads.

    `sleep` does not wait: it advances both clocks, so that code under test runs at once.
    """

    def __init__(self, now: float = 1_795_000_000.0, monotonic: float = 1_000.0) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return wall-clock seconds since 1970 UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Advance by `seconds`."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; raises ValueError for a negative time."""
        if seconds < 0:
            raise ValueError("time does not go back; `jump` moves the wall clock")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or a person does; intervals are not touched."""
        with self._lock:
            self._now += seconds
