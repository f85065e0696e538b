"""Trying again what can't be done now, for a while: a job with an end must end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ingest.clock import Clock
from ingest.errors import IngestError, OutcomeUnknown, Retriable

T = TypeVar("T")

LIMIT: Final = 300.0
"""Seconds in which nothing but failures comes, until it is given up."""

FIRST, LONGEST = 0.2, 10.0
"""Seconds between two attempts, the first pause and the longest."""


class GivenUp(IngestError):
    """The destination, or the local disk, did not answer for `LIMIT` seconds: the whole run ends."""


class Stopped(IngestError):
    """A person or the system asked to stop; what was committed stays, and a further run goes on there."""


class Patience:
    """Tries again.

    Args:
        clock: measures.
        wait: waits so many seconds; returns True when asked to stop.
        say: told of a failure, when the first of a row has come.
    """

    def __init__(self, clock: Clock, wait: Callable[[float], bool], say: Callable[[str], None]) -> None:
        self._clock = clock
        self._wait = wait
        self._say = say

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, however often it must be called.

        Raises:
            GivenUp: nothing but failures that may pass, for too long.
            Stopped: asked to stop while waiting.
            IngestError: any other error of `work`.
        """
        pause, since, last = FIRST, 0.0, float("-inf")
        while True:
            try:
                return work()
            except (Retriable, OutcomeUnknown) as error:
                now = self._clock.monotonic()
                if now - last > LIMIT:  # it went well for long before
                    pause, since = FIRST, now
                    self._say(str(error))
                last = now
                if now - since > LIMIT:
                    raise GivenUp(f"{error}. Given up after {now - since:.0f} s; run again later") from error
                if self._wait(pause):
                    raise Stopped(f"stopped while waiting: {error}") from error
                pause = min(pause * 2, LONGEST)
