"""Lines that were written against values that are in Kafka. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = int | bytes
"""What a line is known by: its number, or itself where it has none."""

_NUMBER = re.compile(rb"\0*#(\d{9}) ")


def key_of(line: bytes) -> Key:
    """Return what a line is known by: the number that it begins with, NULs before it aside."""
    found = _NUMBER.match(line)
    return line if found is None else int(found[1])


@dataclass(frozen=True, slots=True)
class Tally:
    """What is wrong with a topic's content.

    Attributes:
        missing: lines that are not there.
        duplicate: lines that are there once more than they were written.
        damaged: lines that are there, but not as they were written: cut, or with something before them.
        foreign: values that nobody wrote: a part of a line, bytes that are no text.
    """

    missing: int
    duplicate: int
    damaged: int
    foreign: int


class Written:
    """The lines that a case wrote, each with how often."""

    def __init__(self) -> None:
        self.times: Counter[Key] = Counter()
        self.count = 0
        self._texts: dict[Key, int] = {}

    def add(self, line: bytes) -> None:
        """Take note of a line, given without its newline."""
        key = key_of(line)
        self.count += 1
        self.times[key] += 1
        self._texts[key] = hash(line)

    def whole(self, found: Found) -> bool:
        """Say whether every line is there."""
        return found.count >= self.count and self.compare(found).missing == 0

    def compare(self, found: Found) -> Tally:
        """Say what is wrong with what is in Kafka."""
        return Tally(
            missing=sum(max(0, times - found.times[key]) for key, times in self.times.items()),
            duplicate=sum(max(0, found.times[key] - times) for key, times in self.times.items()),
            damaged=sum(found.texts.get(key, text) != text for key, text in self._texts.items()),
            foreign=sum(times for key, times in found.times.items() if key not in self.times),
        )

    def missing(self, found: Found) -> list[Key]:
        """Return what is not there."""
        return [key for key, times in self.times.items() if found.times[key] < times]


class Found:
    """The values of a topic as they come in.

    Records that say which bytes of which file they are (the header `ingest-pos`) are repeats when they say it again
    with the same value; the sink drops them, so they are counted apart.
    """

    def __init__(self) -> None:
        self.times: Counter[Key] = Counter()
        self.texts: dict[Key, int] = {}
        self.count = 0
        self.repeats = 0
        self._identities: dict[bytes, bytes] = {}

    def add(self, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Take a record in."""
        text = hash(value)
        identity = headers.get("ingest-pos")
        if identity is not None:
            if self._identities.get(identity) == value:
                self.repeats += 1
                return
            self._identities.setdefault(identity, value)
        key = key_of(value)
        self.count += 1
        self.times[key] += 1
        self.texts[key] = text
