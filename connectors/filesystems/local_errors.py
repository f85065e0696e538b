"""What the system's error numbers mean for us: which pass by themselves, and what a person does about the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.api import IngestError, OutcomeUnknown, Refused, Unavailable

_ADVICE_PASSING = {
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "raise the disk quota or free space",
    errno.EIO: "look for disk errors in the kernel's log",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
    errno.ENFILE: "the whole system is out of open files",
    errno.ENOMEM: "the system is out of memory",
    errno.EAGAIN: "try again",
    errno.EBUSY: "something else holds it",
    errno.ESTALE: "the network file system lost it; is its server up?",
    errno.ETIMEDOUT: "is the network file system's server up?",
    errno.ENODEV: "is the disk there?",
    errno.ENXIO: "is the disk there?",
}
"""Errors that may pass without anybody touching ingest's configuration: Unavailable."""

_ADVICE_STAYING = {
    errno.EACCES: "give the service's user permission",
    errno.EPERM: "give the service's user permission",
    errno.EROFS: "mount the file system writable (a kernel remounts read-only after disk errors)",
    errno.ENOTDIR: "a part of the path is no directory; symbolic links below the root are not followed",
    errno.ELOOP: "symbolic links below the root are not followed",
    errno.EXDEV: "the whole root must be one file system",
    errno.ENAMETOOLONG: "a part of the path is longer than the file system allows",
    errno.ENOTEMPTY: "the directory is not empty",
    errno.EISDIR: "a directory is where a file should be",
    errno.EFBIG: "raise the limit of file sizes",
}
"""Errors that stay until a person acts: Refused."""


def translate(error: OSError, action: str, path: str) -> IngestError:
    """Return the error of ours that tells the caller how to react; an unknown number is Refused."""
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    if number in _ADVICE_PASSING:
        return Unavailable(f"can't {action} {path}: {reason}; {_ADVICE_PASSING[number]}")
    advice = _ADVICE_STAYING.get(number, "look at the file system")
    return Refused(f"can't {action} {path}: {reason}; {advice}")


@contextmanager
def nothing_changed(action: str, path: str) -> Iterator[None]:
    """Raise what `translate` says for a system error within, at a point where nothing has been changed yet."""
    try:
        yield
    except OSError as error:
        raise translate(error, action, path) from error


@contextmanager
def already_changed(action: str, path: str) -> Iterator[None]:
    """Raise OutcomeUnknown for a system error within: it is done, but whether it lasts through a power cut is open."""
    try:
        yield
    except OSError as error:
        raise OutcomeUnknown(
            f"{action} {path} is done but may not survive a power cut: {os.strerror(error.errno or 0)}; "
            "look for disk errors in the kernel's log"
        ) from error
