"""Why a value is refused, or was changed: the words that parsers share. Each parser's other reasons stand beside it."""

from __future__ import annotations

EMPTY = "empty value"
NOT_UTF8 = "not UTF-8"
DUPLICATE = "duplicate key"

CUT = "timestamp digits cut"
"""The value was accepted, and digits past the microsecond were not kept."""


class Reject(Exception):
    """The value can't be parsed; `reason` is from the fixed vocabulary of the parser."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
