"""How often something that costs time may be done."""

from __future__ import annotations

from typing import Final

_SHARE: Final = 20  # it may take one part in so many of the time


class Pace:
    """At most once per `interval` seconds, and less often where it takes long. Times are monotonic seconds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.next = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it may be done."""
        return now >= self.next

    def done(self, begin: float, end: float) -> None:
        """Take note that it was done, well or not."""
        self.next = end + max(self._interval, _SHARE * (end - begin))
