"""What becomes of a file that is done, or that can't be read: deleted, or moved beside others of its kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count

from ingest.api import Refused
from ingest.connectors.filesystems.local_rename import rename_new


def delete(path: str) -> None:
    """Delete a file, durably. Raises OSError."""
    os.unlink(path)
    _sync(os.path.dirname(path))


def move(path: str, directory: str) -> str:
    """Rename a file into a directory, durably and never over another; return its new path.

    A name that is there already gets a number: "a.csv", "a.csv.1", "a.csv.2".

    Raises:
        OSError: as the system says; the file is where it was.
    """
    name = os.path.basename(path)
    source = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            new = _rename(source, name, target)
            os.fsync(target)
            os.fsync(source)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return os.path.join(directory, new)


def check(directory: str, beside: Sequence[str], key: str) -> None:
    """Prove that files below the directories `beside` can be renamed into `directory`; those that are missing may come.

    Args:
        directory: where files are to go.
        beside: where they come from.
        key: the option that names `directory`.

    Raises:
        Refused: they can't.
    """
    if not os.path.isdir(directory):
        raise Refused(f"{directory}: no such directory; make it, or correct `{key}`")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Refused(f"{directory}: may not be written to; `chown` it, or correct `{key}`")
    device = os.stat(directory).st_dev
    for place in beside:
        if os.path.isdir(place) and os.stat(place).st_dev != device:
            raise Refused(
                f"{directory} is on another file system than {place}: a rename can't lead there; correct `{key}`"
            )


def _rename(source: int, name: str, target: int) -> str:
    for number in count():
        new = f"{name}.{number}" if number else name
        try:
            rename_new(source, name, target, new)
        except FileExistsError:
            continue
        return new
    raise AssertionError("count does not end")


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
