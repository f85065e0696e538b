"""Files that left the globs: those that did while nobody looked are sought by their inode, where they were."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .handles import Key
from .tailed import TailedFile

Sightings: TypeAlias = dict[Key, tuple[str, os.stat_result]]
"""Device and inode → where the file was seen, and its stat."""


def seek(absent: Iterable[TailedFile]) -> Iterator[tuple[TailedFile, str, os.stat_result]]:
    """Yield (generation, path, stat) of files in the directory of a generation's last path that have its inode.

    An inode number is used again: whether it is the same file is for its content to say.
    """
    by_directory: defaultdict[str, dict[int, TailedFile]] = defaultdict(dict)
    for file in sorted(absent, key=lambda file: file.serial):
        by_directory[os.path.dirname(file.path)][file.key[1]] = file
    for directory, files in by_directory.items():
        for entry in _entries(directory):
            sought = files.get(entry.inode())
            if sought is None or not entry.is_file(follow_symlinks=False):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if (found.st_dev, found.st_ino) == sought.key:
                yield sought, entry.path, found


def stats(paths: Iterable[str]) -> Sightings:
    """Return the regular files at some paths; one that was renamed again, or is gone, is for the next scan."""
    files: Sightings = {}
    for path in paths:
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            files[(found.st_dev, found.st_ino)] = (path, found)
    return files


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []  # what is there is not known: the files count as gone, which is said
