"""Rename without overwriting: the one system call that Python does not offer."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

_RENAME_NOREPLACE = 1
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL)
_renameat2: Any = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename atomically and never overwrite; directories are given by descriptors.

    Linux does both in one call (renameat2, Linux 3.15 and nearly all its file systems). Elsewhere the target is looked
    for first and the plain rename follows: still atomic, but a target that appears between the two is overwritten. The
    chain does not lean on that moment: what it moves has one possible owner, decided by `create` before.

    Raises:
        FileExistsError: there is a target; nothing was changed.
        FileNotFoundError: there is no source; nothing was changed.
        OSError: whatever else the system says; nothing was changed.
    """
    if _renameat2 is not None:
        number = _call(source_dir, source, target_dir, target)
        if number == 0:
            return
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), source, None, target)
    _look_then_rename(source_dir, source, target_dir, target)


def _call(source_dir: int, source: str, target_dir: int, target: str) -> int:
    """Return 0, or the error's number."""
    result = _renameat2(
        ctypes.c_int(source_dir),
        os.fsencode(source),
        ctypes.c_int(target_dir),
        os.fsencode(target),
        ctypes.c_uint(_RENAME_NOREPLACE),
    )
    return 0 if result == 0 else ctypes.get_errno()


def _look_then_rename(source_dir: int, source: str, target_dir: int, target: str) -> None:
    os.stat(source, dir_fd=source_dir, follow_symlinks=False)
    try:
        os.stat(target, dir_fd=target_dir, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
