"""The rules of the commit chain: every decision of the protocol, each a pure function.

Each closes a hole in which rows would be lost or doubled; tests/simulation shows the hole with the rule removed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from ingest.commit.actions import Outcome
from ingest.commit.chain import Commit, CommitFile


class Verdict(enum.Enum):
    """What an attempt to publish came to."""

    WON = "won"
    AGAIN = "again"
    FENCED = "fenced"


def publish_verdict(outcome: Outcome, found: bytes | None, own: bytes) -> Verdict:
    """Decide whether a record was published, from the outcome and what is there now (not looked at after DONE).

    "Exists" may be one's own record, put there by a call whose answer was lost; "unknown" may be anything. Only bytes
    tell.
    """
    if outcome is Outcome.DONE or found == own:
        return Verdict.WON
    return Verdict.AGAIN if found is None else Verdict.FENCED


class Staged(enum.Enum):
    """What is known of a file that was uploaded."""

    THERE = "there"
    AGAIN = "again"
    SHORT = "short"
    GONE = "gone"


def staged_verdict(outcome: Outcome, found: int | None, wanted: int) -> Staged:
    """Decide about an uploaded file from the upload's outcome and the length that a listing shows (None = not listed).

    A file that was there and is gone was swept, so the range belongs to another; a local file that is gone and was not
    uploaded can't be brought back. Both are GONE: the rows have to be read again.
    """
    if found is None:
        return Staged.AGAIN if outcome is Outcome.UNKNOWN else Staged.GONE
    return Staged.THERE if found == wanted else Staged.SHORT


def is_folded(first_offset: int, archive_end: int | None) -> bool:
    """Return whether an archive covers the record's start: then the record is ignored, and may be deleted."""
    return archive_end is not None and archive_end > first_offset


def is_void(first_offset: int, archive_end: int | None) -> bool:
    """Return whether one's own record, just published, is void: it got a name that a fold had made free."""
    return is_folded(first_offset, archive_end)


def foldable(firsts: Iterable[int], archive_end: int | None, at_least: int) -> list[int]:
    """Return the commits that go into the next archive, ascending: all but the newest, or none when too few."""
    live = sorted(first for first in firsts if not is_folded(first, archive_end))
    return live[:-1] if len(live) > max(at_least, 1) else []


def sweepable(path: str, first_offset: int, newest: Commit | None) -> bool:
    """Return whether it is proven that nobody can need a staged file any more; its age proves nothing.

    Below the newest commit every range is done and moved; at its start, what it does not name lost the race. Above,
    the file may belong to the commit that comes next.
    """
    if newest is None:
        return False
    if first_offset == newest.first_offset:
        return all(file.stage != path for file in newest.files)
    return first_offset < newest.first_offset


def moves_at_commit(commit: Commit) -> tuple[CommitFile, ...]:
    """Return the files to move before the next record may be published: all."""
    return commit.files


def moves_at_recovery(commit: Commit) -> tuple[CommitFile, ...]:
    """Return the files of the newest commit that a new owner moves, before anything else: all that are still staged."""
    return commit.files
