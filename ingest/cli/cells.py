"""How single values look in tables."""

from __future__ import annotations


def text(value: object) -> str:
    """Return a table's cell: what is unknown or not there is a dash."""
    return "-" if value is None or value == "" else str(value)
