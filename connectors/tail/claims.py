"""Which files belong to a source that is, or was, at work: seen from outside, from its globs and its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingest.api import FileFacts, StreamState
from ingest.connectors.marks.mark import Heads, Mark

from .handles import Key
from .paths import Listing


@dataclass(frozen=True, slots=True)
class Known:
    """What the checkpoint says of one generation: where its file was, and the mark of the bytes that were read."""

    path: str
    key: Key
    head: Mark


def claims(listing: Listing, states: Sequence[StreamState], files: Sequence[FileFacts]) -> dict[str, str]:
    """Return path → why, for the files that the globs match or that a generation was read from.

    Device and inode alone claim a file only while nothing was read of it: an inode number is used again. What was read
    is recognised by the mark of its head, under any name and also decompressed. A short head claims as well: that
    another file begins alike is the lesser evil, as a person is told of it, and of doubled lines nobody would be.

    Args:
        listing: what the source's globs find now.
        states: its generations.
        files: what is asked about.
    """
    listed = {(found.st_dev, found.st_ino): path for path, found in listing.files.items()}
    known = [found for state in states if (found := _known(state)) is not None]
    unread = {one.key: one.path for one in known if not one.head.length}
    heads = Heads()
    for one in known:
        heads.add(one.head, one.path)
    claimed: dict[str, str] = {}
    for file in files:
        key = (file.device, file.inode)
        if key in listed:
            same = "" if listed[key] == file.path else f" (as {listed[key]})"
            claimed[file.path] = f"is matched by its paths{same}"
        elif key in unread:
            claimed[file.path] = f"is known to it as {unread[key]}"
        elif (path := heads.find(file.head)) is not None:
            claimed[file.path] = f"begins with what it read from {path}"
    return claimed


def _known(state: StreamState) -> Known | None:
    found: Any = state.state or state.birth
    try:
        return Known(state.path, (int(found["device"]), int(found["inode"])), Mark.from_json(found["head"]))
    except (KeyError, TypeError, ValueError):
        return None
