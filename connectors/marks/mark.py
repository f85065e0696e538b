"""A mark: a digest of some bytes of a file's content, and where they end."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

HEAD: Final = 1024
"""Bytes of the head that are marked; fewer while fewer have been read."""
TAIL: Final = 4096
"""Bytes before the position that are marked: several lines, since the ends of lines are often alike."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A digest of the `length` bytes that end at position `end`."""

    end: int
    length: int
    digest: str

    @classmethod
    def of(cls, data: bytes, end: int) -> Self:
        """Mark `data`, which ends at position `end`."""
        return cls(end, len(data), hashlib.blake2b(data, digest_size=16).hexdigest())

    def matches(self, content: Content) -> bool:
        """Whether the content holds the marked bytes."""
        return content.mark(self.end - self.length, self.end) == self

    def to_json(self) -> list[Any]:
        """Return what `from_json` reads."""
        return [self.end, self.length, self.digest]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raise TypeError or ValueError for anything that `to_json` does not return."""
        end, length, digest = value
        if not (isinstance(end, int) and isinstance(length, int) and isinstance(digest, str) and 0 <= length <= end):
            raise ValueError(f"not a mark: {value!r}")
        return cls(end, length, digest)


class Content(Protocol):
    """What is in a file: its bytes, or what these decompress to. Positions are positions in there.

    Every method raises OSError where the disk says so.
    """

    def size(self) -> int:
        """Return how many bytes there are now."""
        ...

    def pread(self, length: int, start: int) -> bytes:
        """Return the bytes [start, start + length), fewer where the content ends before."""
        ...

    def mark(self, start: int, end: int) -> Mark | None:
        """Mark the bytes [start, end); None where there are fewer."""
        ...


class Heads:
    """Paths by the marks of the heads of their files."""

    def __init__(self) -> None:
        self._paths: defaultdict[int, dict[Mark, str]] = defaultdict(dict)

    def add(self, head: Mark, path: str) -> None:
        """Remember a file; one of which nothing is marked is never found."""
        if head.length:
            self._paths[head.length][head] = path

    def find(self, data: bytes) -> str | None:
        """Return the path of a file whose content begins as `data` does; of several that with the longest mark."""
        for length in sorted(self._paths, reverse=True):
            if len(data) >= length:
                path = self._paths[length].get(Mark.of(data[:length], length))
                if path is not None:
                    return path
        return None
