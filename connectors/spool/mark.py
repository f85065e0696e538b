"""Is this file the one that was read? Decided on marks of its content, and on what the file system says of it. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from ingest.connectors.marks.mark import Mark

Key: TypeAlias = tuple[int, int]
"""Device and inode."""
Stamp: TypeAlias = tuple[int, int]
"""Size in bytes and mtime in nanoseconds, of the file itself."""


class Comparing:
    """Whether content that passes by in pieces, from its beginning, holds the marked bytes."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._digest = hashlib.blake2b(digest_size=16)
        self._at = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        begin = max(0, self._mark.end - self._mark.length - self._at)
        self._digest.update(piece[begin : max(begin, self._mark.end - self._at)])
        self._at += len(piece)

    @property
    def same(self) -> bool:
        """Whether all of them were there."""
        return self._at >= self._mark.end and self._digest.hexdigest() == self._mark.digest


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a file that has the inode number of a known one.

    Attributes:
        device: it is on the same device.
        path: it has the same path.
        stamp: its size and mtime are the same.
        grown: its content is longer than it was.
        head: its content begins with what is known of the head.
        tail: what was read last is still at its place.
        over: the known one was to be taken away: all of it was acknowledged when the process began.
    """

    device: bool
    path: bool
    stamp: bool
    grown: bool
    head: bool
    tail: bool
    over: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the file is the known one, and why, in words for `ingest status`."""

    same: bool
    reason: str


def decide(seen: Evidence) -> Decision:
    """Say whether the file goes on with the known generation, or begins a new one.

    Where both could be true it is a new one: lines that come twice are seen, lines that don't come are not.
    """
    if not seen.head or not seen.tail:
        return Decision(False, "new: other content under a known inode")
    if seen.stamp:
        return Decision(True, "resumed: size, time and head match")
    if not seen.device or not seen.path:
        return Decision(False, "new: another name and another time than the known inode had")
    if seen.over:
        return Decision(False, "new: the inode of a file that was done, and another time")
    if not seen.grown:
        return Decision(False, "new: written anew, as its time says")
    return Decision(True, "resumed: it grew")
