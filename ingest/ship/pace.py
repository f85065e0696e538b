"""How often something that costs time may be done."""

from __future__ import annotations

from typing import Final

_SHARE: Final = 20


class Pace:
    """At most once per `interval` seconds, and less often where it takes long. Times are monotonic seconds.

    Args:
        interval: seconds.
        share: it may take one part in so many of the time.
    """

    def __init__(self, interval: float, share: int = _SHARE) -> None:
        self._interval = interval
        self._share = share
        self.next = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it may be done."""
        return now >= self.next

    def done(self, begin: float, end: float) -> None:
        """Take note that it was done, well or not."""
        self.next = end + max(self._interval, self._share * (end - begin))
