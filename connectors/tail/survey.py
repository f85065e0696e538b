"""Reads a gzip file through once without handing anything out: is it whole, how long is it, is it one that we know?

The bytes of a member are proven by its end, so a file is decided on only after it was read to its end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from ingest.connectors.marks.mark import HEAD, TAIL, Mark

from .gunzip import Ending, Gunzip

Span: TypeAlias = tuple[int, int]
"""Positions [start, end)."""

_PIECE: Final = 256 << 10
_TRAILER: Final = 8


@dataclass(frozen=True, slots=True)
class Version:
    """By what a whole file is known to be as it was at its survey, also by a later process.

    Attributes:
        size: of the file, in bytes.
        modified: its mtime in ns.
        trailer: its last bytes in hex: the last member's CRC and length.
    """

    size: int
    modified: int
    trailer: str

    @classmethod
    def of(cls, fd: int) -> Self:
        """Return that of an open file; raises OSError."""
        found = os.fstat(fd)
        trailer = os.pread(fd, _TRAILER, max(0, found.st_size - _TRAILER))
        return cls(found.st_size, found.st_mtime_ns, trailer.hex())

    def to_json(self) -> list[Any]:
        """Return what `from_json` reads."""
        return [self.size, self.modified, self.trailer]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raise TypeError or ValueError for anything that `to_json` does not return."""
        size, modified, trailer = value
        return cls(int(size), int(modified), str(trailer))


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey has seen: a content of which the ends are kept, and marks of what was asked for.

    It is an `identity.Content` as far as that goes.

    Attributes:
        length: bytes of content that are proven.
        ending: how the reading ended.
        head: the first bytes of what is proven, up to HEAD.
        last: the last bytes of it, up to TAIL.
        marks: of the spans that were asked for, as far as they are proven.
        spans: what was asked for.
    """

    length: int
    ending: Ending
    head: bytes
    last: bytes
    marks: Mapping[Span, Mark]
    spans: frozenset[Span]

    @classmethod
    def recalled(cls, length: int, mark: Mark) -> Self:
        """Return what is left to know of a file that an earlier process surveyed: that it is whole, and one mark."""
        span = (mark.end - mark.length, mark.end)
        return cls(length, Ending(True, False, ""), b"", b"", {span: mark}, frozenset([span]))

    def covers(self, spans: Iterable[Span]) -> bool:
        """Whether `mark` can tell of each of these spans."""
        return all(self._kept(span) is not None or span[1] > self.length or span in self.spans for span in spans)

    def size(self) -> int:
        """Return how many bytes are proven."""
        return self.length

    def pread(self, length: int, start: int) -> bytes:
        """Return bytes of one of the two ends; raises ValueError for what lies between."""
        kept = self._kept((min(start, self.length), min(start + length, self.length)))
        if kept is None:
            raise ValueError(f"[{start}, {start + length}) was not kept")
        return kept

    def mark(self, start: int, end: int) -> Mark | None:
        """Mark a span that `covers` knows; None where the content is shorter."""
        if end > self.length:
            return None
        kept = self._kept((start, end))
        return self.marks[start, end] if kept is None else Mark.of(kept, end)

    def _kept(self, span: Span) -> bytes | None:
        start, end = span
        if end <= len(self.head):
            return self.head[start:end]
        begin = self.length - len(self.last)
        return self.last[start - begin : end - begin] if begin <= start <= end <= self.length else None


class Survey:
    """One survey, in steps.

    Args:
        wants: told the head, says of which spans marks are needed.
    """

    def __init__(self, wants: Callable[[bytes], Iterable[Span]]) -> None:
        self._wants = wants
        self._reading = Gunzip()
        self._head = b""
        self._spans: frozenset[Span] | None = None
        self._digests: dict[Span, Any] = {}
        self._marks: dict[Span, Mark] = {}
        self._latest = b""
        self._last = b""
        """The latest bytes as of what was proven last."""

    def step(self, fd: int) -> int:
        """Do a bounded piece of work; return how many bytes it was, at least 1. Raises OSError as `Gunzip.step`."""
        before = self._reading.consumed
        if self._spans is None:
            piece = self._reading.step(fd, HEAD - len(self._head))
            self._head += piece
            if len(self._head) == HEAD or self._reading.ending is not None:
                self._spans = frozenset(self._wants(self._head))
                self._digests = {span: hashlib.blake2b(digest_size=16) for span in self._spans}
                self._digest(self._head, 0)
        else:
            piece = self._reading.step(fd, _PIECE)
            self._digest(piece, self._reading.position - len(piece))
        self._latest = (self._latest + piece)[-TAIL:]
        if self._reading.proven == self._reading.position:
            self._last = self._latest
        return max(1, len(piece), self._reading.consumed - before)

    def outcome(self) -> Surveyed | None:
        """Return what was seen, once all is read."""
        ending, proven = self._reading.ending, self._reading.proven
        if ending is None or self._spans is None:
            return None
        marks = {span: mark for span, mark in self._marks.items() if mark.end <= proven}
        return Surveyed(proven, ending, self._head[:proven], self._last, marks, self._spans)

    def _digest(self, piece: bytes, at: int) -> None:
        end_of_piece = at + len(piece)
        for span in [span for span in self._digests if span[0] < end_of_piece]:
            start, end = span
            self._digests[span].update(piece[max(0, start - at) : end - at])
            if end <= end_of_piece:
                self._marks[span] = Mark(end, end - start, self._digests.pop(span).hexdigest())
