"""The local disk on which one run keeps what is not committed; nothing on it must survive the run."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ingest.errors import Refused
from ingest.service.ownership import private_directory

_LOCK: Final = "lock"


@contextmanager
def own_spool(state: Path) -> Iterator[Path]:
    """Give a directory of this run's own below the state directory, and remove it in the end.

    Runs may go on side by side. What dead ones left is removed: a run holds a lock on its directory for as long as it
    lives, and directories are made and looked at under a lock on all of them.

    Raises:
        UsageError: the state directory can't be used.
        Refused: its file system can't lock or is read-only.
    """
    shelf = state / "backfill"
    private_directory(state)
    private_directory(shelf)
    with _trouble(shelf):
        own = shelf / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with _locked(shelf / _LOCK):
            _clean(shelf)
            own.mkdir(mode=0o700)
            held = _open(own / _LOCK)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield own
    finally:
        os.close(held)
        with _trouble(shelf):
            shutil.rmtree(own)


def _clean(shelf: Path) -> None:
    """Remove the directories that no living run holds."""
    for directory in shelf.iterdir():
        if directory.is_dir() and _abandoned(directory / _LOCK):
            shutil.rmtree(directory)


def _abandoned(lock: Path) -> bool:
    try:
        held = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True  # killed before it had the lock: nobody makes one without the lock on all
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    held = _open(path)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def _trouble(shelf: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(
            f"{shelf}: can't be used for the spool: {error.strerror}; use a local disk for the state"
        ) from error
