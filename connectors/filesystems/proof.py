"""What a destination must show at start, and the tidying that goes with it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from ingest.api import FileExists, Filesystem, IngestError, Refused

from .paths import TEMPORARY

LEFTOVER_AGE = 86_400.0
"""Seconds after which an unfinished file is a leftover of a process that was killed. Should it still be in use, its
creation fails as Unavailable and is begun again: nothing is lost by sweeping too early."""


def prove(filesystem: Filesystem[Any]) -> None:
    """Try on real files that nothing overwrites, then delete old unfinished files.

    Raises:
        Refused: the destination overwrote, or took a file for another.
    """
    name = f"check-{uuid.uuid4().hex}"
    first, second, directory = (f"{TEMPORARY}/{name}-{part}" for part in ("first", "second", "directory"))
    swallowed = f"{directory}/{name}-first"
    try:
        filesystem.create(first, b"first")
        filesystem.create(second, b"second")
        filesystem.mkdir(directory)
        _must_refuse("create over a file", lambda: filesystem.create(first, b"other"))
        _must_refuse("rename onto a file", lambda: filesystem.move(first, second))
        _must_refuse("rename onto a directory", lambda: filesystem.move(first, directory))
        if (filesystem.read(first), filesystem.read(second)) != (b"first", b"second"):
            raise Refused("the destination changed files while it refused to overwrite them; it can't be used")
        _sweep(filesystem, f"{name}-first")
    finally:
        for path in (swallowed, first, second, directory):
            with contextlib.suppress(IngestError):  # swept after a day; what matters is the error on its way
                filesystem.delete(path)


def _must_refuse(what: str, attempt: Callable[[], None]) -> None:
    try:
        attempt()
    except (FileExists, Refused):  # Refused: a directory where a file should be
        return
    raise Refused(
        f"the destination let us {what}: exactly-once can't be kept there. "
        "Does a gateway (HttpFS, a proxy) stand between that drops renameoptions? Use the NameNode's own address."
    )


def _sweep(filesystem: Filesystem[Any], trial: str) -> None:
    """Delete leftovers; their age is told by the destination's own clock, of which `trial` is the newest sign."""
    entries = filesystem.list(TEMPORARY)
    now = next(entry.modified for entry in entries if entry.name == trial)
    for entry in entries:
        if now - entry.modified > LEFTOVER_AGE:
            filesystem.delete(f"{TEMPORARY}/{entry.name}")
