"""What to do with a file that no live generation has: go on with a dormant one, wait, or begin a new one.

A rotated copy (copytruncate) must not be read again, nor may what only it still holds be lost: while the original is
there the copy waits; when the original has been truncated its generation goes on in the copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ingest.connectors.marks.mark import HEAD, TAIL, Content, Mark

from .dormant import Candidate
from .handles import Key
from .identity import decide, examine
from .tailed import TailedFile


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A file that a scan found, opened.

    Attributes:
        path: where it is.
        key: device and inode.
        size: of the content, in bytes.
        modified: mtime in ns, as of the scan.
        content: what it holds; of a compressed file what a survey has seen of that.
        early: the first scan after a start saw it.
        compressed: it is gzip.
    """

    path: str
    key: Key
    size: int
    modified: int
    content: Content
    early: bool
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """The file is that of a dormant generation: go on at its position."""

    file: TailedFile
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The file is a copy of what a live generation reads, perhaps still being made."""

    original: TailedFile


@dataclass(frozen=True, slots=True)
class Skip:
    """The file is a copy of which every byte was read: begin a new generation at its end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Begin:
    """A file never seen before, or another one under a known inode."""

    reason: str
    replaces: bool
    """It has the inode of a known generation: what it holds came after what was read."""


Verdict: TypeAlias = Resume | Wait | Skip | Begin


def admit(file: Newcomer, dormant: Iterable[Candidate], live: Iterable[tuple[TailedFile, Content | None]]) -> Verdict:
    """Decide.

    Args:
        file: the newcomer.
        dormant: generations it might belong to, the likeliest first.
        live: live generations whose rotated copy it might be, by name, with their content where they are open.
    """
    otherwise = Begin("new", False)
    matches: list[tuple[int, Verdict]] = []
    for candidate in dormant:
        other = candidate.file
        decision = decide(examine(file.content, candidate.kinship, other.head, other.evidence, other.handed_out))
        if decision.same and candidate.kinship in ("inode", "device"):
            return Resume(other, decision.reason)
        if decision.same:
            matches.append((other.handed_out, Resume(other, decision.reason)))
        elif candidate.kinship == "copy" and is_prefix(file, other, None):
            matches.append((file.size, Skip("skipped: a rotated copy, all of it was read")))
        elif candidate.kinship == "inode":
            otherwise = Begin(decision.reason, True)
    for original, content in live:
        if (is_twin if file.compressed else is_copy)(file, original, content):
            matches.append((min(file.size, original.handed_out), Wait(original)))
    # Short files are often alike: the match that rests on the most bytes is the right one.
    return max(matches, key=lambda match: match[0])[1] if matches else otherwise


def alike(file: TailedFile, head: bytes) -> bool:
    """Whether a content that begins with `head` may be the file's, going by that alone."""
    known = file.head.length
    return known > len(head) or Mark.of(head[:known], known) == file.head


def is_copy(file: Newcomer, original: TailedFile, content: Content | None) -> bool:
    """Whether a plain file is a copy of a live one, perhaps still being made; arguments as of `is_prefix`."""
    return is_prefix(file, original, content) if file.size else not original.compressed


def is_twin(file: Newcomer, original: TailedFile, content: Content | None) -> bool:
    """Whether a gzip file was made of a live one, or may have been, as far as can be seen; arguments as of `is_prefix`.

    A survey knows no marks of a file that is being read. But the original is at hand, so bytes can be compared.
    """
    if file.size == 0:
        return False
    if original.head.length and file.size >= original.head.length and not original.head.matches(file.content):
        return False
    if original.compressed:
        return original.due or is_prefix(file, original, None)
    if content is None or not original.evidence.matches(content):
        return True  # it was truncated a moment ago: the next scan sees clearer
    return file.size <= content.size() and _same_ends(file, content)


def is_prefix(file: Newcomer, other: TailedFile, content: Content | None) -> bool:
    """Whether the file is a copy of the other's first bytes, as far as can be seen.

    Args:
        file: what may be the copy.
        other: the generation that may have been copied.
        content: what its file holds, or None where the bytes that were read are there no more.
    """
    if other.head.length and file.size >= other.head.length and not other.head.matches(file.content):
        return False
    for mark in (other.evidence, other.tail, *reversed(other.trail)):
        if 0 < mark.end <= file.size:
            return mark.length > 0 and mark.matches(file.content)
    if content is None:
        return False
    return _same_ends(file, content)


def _same_ends(file: Newcomer, content: Content) -> bool:
    """Whether the content has the file's first bytes, and its last ones where they are in the file."""
    return all(
        file.content.pread(end - start, start) == content.pread(end - start, start)
        for start, end in ((0, min(HEAD, file.size)), (max(0, file.size - TAIL), file.size))
    )
