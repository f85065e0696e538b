"""Files that were deleted before they were read to their end: what they hold of the disk, and which are given up."""

from __future__ import annotations

import os
from collections.abc import Iterable

from .tailed import TailedFile

_BLOCK = 512
"""Bytes in which stat(2) counts."""


def held(found: os.stat_result) -> int:
    """Return the bytes of disk that a file holds which has no name any more; 0 = it has one."""
    return 0 if found.st_nlink else found.st_blocks * _BLOCK


def surplus(files: Iterable[TailedFile], most: int | None) -> list[TailedFile]:
    """Return the files to give up, the oldest first, so that those that are left hold at most `most` bytes."""
    if most is None:
        return []
    deleted = sorted((file for file in files if file.deleted), key=lambda file: file.serial)
    left = sum(file.deleted for file in deleted)
    given_up = []
    for file in deleted:
        if left <= most:
            break
        given_up.append(file)
        left -= file.deleted
    return given_up
