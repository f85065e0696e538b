"""Files that were renamed out of the globs while nobody looked: they are sought by their inode, where they were."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator

from .tailed import TailedFile


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


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []  # what is there is not known: the files count as gone, which is said
