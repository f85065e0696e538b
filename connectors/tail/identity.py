"""Is this file the one that we know? Decided on marks of its content; device and inode only say where to look.

An inode number is used again, a copy has the same head, a truncated file keeps its inode: none of them is an identity.
A known file is recognised by two marks of bytes that were read: its head, and the last KiBs before a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ingest.connectors.marks.mark import HEAD, Content, Mark

Kinship: TypeAlias = Literal["inode", "device", "copy", "content"]
"""Why a file might be a known one.

inode: same device and inode. device: same inode on another device (mounted again). copy: the name of a rotated copy of
the known file. content: none of these, at start only (restored, moved to another machine).
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a file that might be a known one.

    Attributes:
        kinship: why it might be.
        known: bytes of the known file's head that are marked.
        read: position up to which the known file was handed out: it is not shorter.
        size: the file's size in bytes.
        head: its head has the mark.
        tail: so have the bytes before the position; not looked at where the head is another.
    """

    kinship: Kinship
    known: int
    read: int
    size: int
    head: bool
    tail: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the file is the known one, and why, in words for `ingest status`."""

    same: bool
    reason: str


def decide(seen: Evidence) -> Decision:
    """Say whether the file goes on with the known generation, or begins a new one."""
    if seen.known == 0:
        if seen.kinship == "inode":
            return Decision(True, "resumed: same inode, nothing was read of it")
        return Decision(False, "new: nothing known to compare with")
    if seen.size < seen.read:
        return Decision(False, "reread: shorter than what was read of it")
    if not seen.head:
        return Decision(False, "reread: its head changed")
    if not seen.tail:
        return Decision(False, "reread: the bytes before the position changed")
    if seen.kinship == "inode":
        return Decision(True, "resumed: head and tail match")
    if seen.kinship == "device":
        return Decision(True, "resumed: on another device, head and tail match")
    if seen.kinship == "copy":
        return Decision(True, "resumed: in its rotated copy, head and tail match")
    if seen.known < HEAD:
        return Decision(False, "new: too little is known to trust a match of content alone")
    return Decision(True, "resumed: under another inode, head and tail match")


def examine(content: Content, kinship: Kinship, head: Mark, tail: Mark, read: int) -> Evidence:
    """Look at a file; the other arguments are what is known of the known one."""
    begins_alike = head.matches(content)
    return Evidence(kinship, head.length, read, content.size(), begins_alike, begins_alike and tail.matches(content))
