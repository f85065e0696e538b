"""Which files belong to a spool source that is, or was, at work: seen from outside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ingest.api import FileFacts, StreamState
from ingest.connectors.marks.mark import Heads, Mark

from .mark import Key


def claims(
    listed: dict[Key, str], done_dir: str | None, states: Sequence[StreamState], files: Collection[FileFacts]
) -> dict[str, str]:
    """Return path → why, for the files that the source reads, has moved away, or remembers by their beginning.

    Args:
        listed: what its globs find now.
        done_dir: where it moves files to.
        states: its generations; those that can't be understood claim nothing.
        files: what is asked about.
    """
    heads = Heads()
    for state in states:
        found: Any = state.state or state.birth
        try:
            mark = Mark.from_json(found["head"])
        except (KeyError, TypeError, ValueError):
            continue
        heads.add(mark, state.path)
    claimed: dict[str, str] = {}
    for file in files:
        key = (file.device, file.inode)
        if key in listed:
            same = "" if listed[key] == file.path else f" (as {listed[key]})"
            claimed[file.path] = f"is matched by its paths{same}"
        elif done_dir is not None and below(file.path, done_dir):
            claimed[file.path] = f"was read by it and moved to {done_dir}"
        elif (path := heads.find(file.head)) is not None:
            claimed[file.path] = f"begins with what it read from {path}"
    return claimed


def below(path: str, directory: str) -> bool:
    """Whether the path is in the directory, however deep."""
    return path.startswith(directory.rstrip("/") + "/")
