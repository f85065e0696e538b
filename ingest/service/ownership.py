"""Who owns a part of a state directory: one process at a time, by a lock that the kernel drops when it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ingest.clock import Clock, SystemClock
from ingest.errors import Refused, Unavailable, UsageError
from ingest.service.log import logger

Part = Literal["ship", "sink"]


def private_directory(path: Path) -> None:
    """Make the state directory, for its owner alone; one that exists is left as it is, with a warning if it is open.

    Raises:
        UsageError: it can't be made, or is no directory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path}: can't be used as the state directory: {error.strerror}") from error
    if mode & 0o022:
        logger().warning(
            "others may write to the state directory: make it 0700", path=str(path), mode=oct(mode & 0o777)
        )


class StateLock:
    """Owns a part of a state directory for as long as it is open; a context manager.

    The lock is the kernel's: gone when the process is, however it ends. The file stays, with what a second process
    needs to name the first. The same process can't own a part twice either.

    Args:
        directory: the state directory, made if missing.
        part: what of it.
        command: what to call this process, for others to read; by default its command line.
        clock: for "since".

    Raises:
        UsageError: another process owns the part, or the directory can't be used.
        Refused: the file system can't lock.
        Unavailable: the disk is full.
    """

    def __init__(self, directory: Path, part: Part, command: str | None = None, clock: Clock | None = None) -> None:
        private_directory(directory)
        self.path = directory / f"{part}.lock"
        self._descriptor = self._open()
        try:
            self._lock(part)
            self._sign(command or " ".join(sys.argv), clock or SystemClock())
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the part up; fine if it was given up before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(f"{self.path}: can't be opened: {error.strerror}; run as the owner of it") from error

    def _lock(self, part: str) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{self.path.parent}: another process owns {part} of this state directory: "
                f"{describe_owner(read_owner(self.path))}; stop it first, or use another directory (--state)"
            ) from error
        except OSError as error:
            raise Refused(f"{self.path}: can't be locked: {error.strerror}; use a local disk for the state") from error

    def _sign(self, command: str, clock: Clock) -> None:
        since = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="seconds")
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unavailable(f"{self.path}: {error.strerror}; make room on the disk") from error
            raise Refused(f"{self.path}: can't be written: {error.strerror}") from error


def read_owner(path: Path) -> dict[str, Any]:
    """Return what the owner of a lock file said of itself; empty when it says nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        owner = json.loads(path.read_bytes())
        if isinstance(owner, dict):
            return owner
    return {}


def describe_owner(owner: dict[str, Any]) -> str:
    """Say who that is, in a sentence's part."""
    if not owner:
        return "it has not said who it is yet"
    return "process {pid} on {host} since {since} ({command})".format(
        **{key: owner.get(key, "?") for key in ("pid", "host", "since", "command")}
    )
