"""Whose turn it is: everybody in a circle, rotated files ahead of the file that took their place."""

from __future__ import annotations

from collections.abc import Iterable

from .tailed import TailedFile


def in_turn(ready: Iterable[TailedFile]) -> list[TailedFile]:
    """Return the files in the order in which each may read a chunk: who waited longest first.

    A file waits while an older one of its path, rotated meanwhile, still has something to read.
    """
    files = list(ready)
    oldest: dict[str, int] = {}
    for file in files:
        if file.rotated:
            oldest[file.name] = min(file.serial, oldest.get(file.name, file.serial))
    turns = [file for file in files if file.serial <= oldest.get(file.name, file.serial)]
    return sorted(turns, key=lambda file: (file.served, not file.rotated, file.serial))
