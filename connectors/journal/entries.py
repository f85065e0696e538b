"""Entries from the lines of `journalctl --output=json`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

LONGEST: Final = 16 << 20
"""Bytes of an entry that are held in memory until its end comes; larger ones are left out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        cursor: where it stands in the journal.
        time: when journald took it, microseconds since 1970 UTC; 0 = it does not say.
        value: its members as JSON, sorted by name: journalctl prints them in another order each time it is started.
    """

    cursor: str
    time: int
    value: bytes


def entry_of(line: bytes) -> Entry | None:
    """Return the entry; None where the line is none."""
    try:
        members: Any = msgspec.json.decode(line)
        cursor, time = members["__CURSOR"], int(members.get("__REALTIME_TIMESTAMP", 0))
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(cursor, str) or not cursor:
        return None
    return Entry(cursor, time, msgspec.json.encode(members, order="sorted"))


class Cutter:
    """Lines from what comes through a pipe; what follows the last newline waits for its rest.

    Args:
        parse: makes an entry of a line.

    Attributes:
        left_out: lines that were no entry, or longer than `LONGEST`.
    """

    def __init__(self, parse: Callable[[bytes], Entry | None] = entry_of) -> None:
        self.left_out = 0
        self._parse = parse
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that `data` completes."""
        first, *others = data.split(b"\n")
        self._hold(first)
        if not others:
            return []
        lines = [b"".join(self._pieces), *others[:-1]]
        lengths = [self._held, *map(len, others[:-1])]
        self._pieces, self._held = [], 0
        self._hold(others[-1])
        # "-- No entries --" is said where entries are expected.
        wanted = [(line, length) for line, length in zip(lines, lengths, strict=True) if not line.startswith(b"-- ")]
        entries = [self._parse(line) if length <= LONGEST else None for line, length in wanted]
        found = [entry for entry in entries if entry is not None]
        self.left_out += len(entries) - len(found)
        return found

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > LONGEST:
            self._pieces = []
        else:
            self._pieces.append(piece)
