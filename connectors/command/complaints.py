"""What a command writes to its standard error, in a measure that a person can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LINES: Final = 10  # in one window
_WINDOW: Final = 60.0  # seconds
_LONGEST: Final = 200  # bytes of a line that are shown
_REST: Final = 4096  # bytes of a line that are kept until its end comes


class Complaints:
    """Says the first lines of each minute, and how many more there were.

    Args:
        event: `SourceContext.event`.
    """

    def __init__(self, event: Callable[..., None]) -> None:
        self._event = event
        self._rest = b""
        self._since = float("-inf")
        self._said = 0
        self._unsaid = 0

    def hear(self, data: bytes, now: float, closing: bool = False) -> None:
        """Take what was written.

        Args:
            data: the bytes.
            now: monotonic seconds.
            closing: no more will come.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = b"" if closing else rest[:_REST]
        if now >= self._since + _WINDOW or closing:
            self._tell_unsaid()
        for line in [*lines, rest] if closing else lines:
            if line.strip():
                self._say(line, now)

    def _say(self, line: bytes, now: float) -> None:
        if now >= self._since + _WINDOW:
            self._since, self._said = now, 0
        if self._said == _LINES:
            self._unsaid += 1
            return
        self._said += 1
        self._event("command says", stderr=line[:_LONGEST].decode("utf-8", "backslashreplace"))

    def _tell_unsaid(self) -> None:
        if self._unsaid:
            self._event("command said more", lines=self._unsaid)
        self._unsaid = 0
