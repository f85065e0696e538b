"""Signals for a command that does its work itself and can end between two steps."""

from __future__ import annotations

import signal
from types import TracebackType
from typing import Any, Final, Self

from ingest.clock import Clock

NAP: Final = 0.1
"""Seconds in which a signal is noticed while nothing else is done."""


class Interrupts:
    """Lets the first SIGINT or SIGTERM ask for an end: what is in hand is committed. A second one ends at once, and
    nothing is lost by it. A context manager.
    """

    def __init__(self, clock: Clock) -> None:
        self.caught: list[int] = []
        self._clock = clock
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def stopping(self) -> bool:
        """Return whether an end was asked for."""
        return bool(self.caught)

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until an end is asked for; return whether it was."""
        until = self._clock.monotonic() + seconds
        while not self.caught and self._clock.monotonic() < until:
            self._clock.sleep(min(seconds, NAP))
        return self.stopping()

    def _note(self, number: int, _frame: object) -> None:
        # Runs between any two steps of the program, so it may take no lock.
        self.caught.append(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
