"""What to subscribe to, as the one thing that kafka-python takes: names or a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence


def pattern_of(topics: Sequence[str], patterns: Sequence[str]) -> str | None:
    """Return one regular expression for names and patterns together, for `re.match`; None: names only."""
    if not patterns:
        return None
    names = [rf"(?:{re.escape(topic)})\Z" for topic in topics]
    return "|".join([*names, *(f"(?:{pattern})" for pattern in patterns)])
