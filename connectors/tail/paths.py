"""Globs → the files that are there now, with one stat each.

`*`, `?` and `[…]` match within a name (a leading dot only where the pattern has one), `**` any number of directories.
Only regular files are listed. Symbolic links below the pattern's literal beginning are not followed; those to files are
where that is wished, those to directories never: they may be loops.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import KeysView, Sequence
from dataclasses import dataclass, field
from typing import Final

_MAGIC: Final = re.compile(r"[*?[]")
_ABSENT: Final = frozenset((errno.ENOENT, errno.ENOTDIR))


@dataclass(slots=True)
class Listing:
    """What one scan saw.

    Attributes:
        files: path → stat of each regular file, sorted by path, those found through a link last.
        failed: directory or file that could not be looked at → why; what is below it is unknown, not gone.
        skipped: path that matched but is not a regular file → what it is.
        directories: those that were looked into.
        strays: path → the path that matched, of files that were renamed out of the globs.
        links: those of the files that were found through a symbolic link.
    """

    files: dict[str, os.stat_result] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    strays: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)

    def rank(self, path: str) -> tuple[bool, str]:
        """Return what the files are sorted by."""
        return path in self.links, path

    def leads(self, path: str, key: tuple[int, int]) -> bool:
        """Whether `path` is among the files, as a name of the one with that device and inode."""
        found = self.files.get(path)
        return found is not None and (found.st_dev, found.st_ino) == key

    def knows(self, path: str) -> bool:
        """Whether a file at `path` would have been seen."""
        return not any(path == place or path.startswith(place.rstrip("/") + "/") for place in self.failed)


class Globs:
    """The files that `patterns` match and `exclude` does not; all absolute.

    `follow`: also those to which symbolic links lead, under the name of the link.
    """

    def __init__(self, patterns: Sequence[str], exclude: Sequence[str] = (), follow: bool = False) -> None:
        self._patterns = [_Pattern(pattern, follow) for pattern in patterns]
        self._exclude = [[_Part(name) for name in _names(pattern)] for pattern in exclude]
        self._names: tuple[KeysView[str] | set[str], set[str]] = set(), set()
        self._order: list[str] = []

    def expand(self) -> Listing:
        """Look at the disk; never raises for what it finds there."""
        listing = Listing()
        for pattern in self._patterns:
            pattern.collect(listing)
        names = listing.files.keys(), listing.links
        if names != self._names:  # else they are in the same order as before, which need not be found again
            self._names = names
            self._order = [path for path in sorted(listing.files, key=listing.rank) if not self._excluded(path)]
        listing.files = {path: listing.files[path] for path in self._order}
        return listing

    def match(self, path: str) -> bool:
        """Whether a file at `path` would be listed."""
        names = _names(path)
        return not self._excluded(path) and any(pattern.match(names) for pattern in self._patterns)

    def _excluded(self, path: str) -> bool:
        return any(_matches(exclude, _names(path)) for exclude in self._exclude)


class _Pattern:
    """One glob, divided into a literal directory and the parts below it."""

    def __init__(self, pattern: str, follow: bool) -> None:
        self._follow = follow
        parts = _names(pattern)
        literal = 0
        while literal < len(parts) - 1 and not _MAGIC.search(parts[literal]):
            literal += 1
        self._root = "/" + "/".join(parts[:literal])
        self._parts = [_Part(part) for part in parts[literal:]]
        self._above = parts[:literal]

    def match(self, names: Sequence[str]) -> bool:
        literal = len(self._above)
        return list(names[:literal]) == self._above and _matches(self._parts, names[literal:])

    def collect(self, listing: Listing) -> None:
        if len(self._parts) == 1 and self._parts[0].literal is not None:
            listing.directories.add(self._root)
            self._look(os.path.join(self._root, self._parts[0].literal), listing)
        else:
            self._descend(self._root, 0, listing)

    def _descend(self, directory: str, index: int, listing: Listing) -> None:
        part = self._parts[index]
        last = index == len(self._parts) - 1
        if part.any_depth and not last:
            self._descend(directory, index + 1, listing)
        for entry in _entries(directory, listing):
            if part.any_depth:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    self._descend(entry.path, index, listing)
                elif last and not entry.name.startswith("."):
                    self._take(entry, listing)
            elif part.match(entry.name):
                if last:
                    self._take(entry, listing)
                elif entry.is_dir(follow_symlinks=False):
                    self._descend(entry.path, index + 1, listing)

    def _take(self, entry: os.DirEntry[str], listing: Listing) -> None:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            if error.errno not in _ABSENT:
                listing.failed[entry.path] = error.strerror or str(error)
            return
        self._sort(entry.path, found, listing)

    def _look(self, path: str, listing: Listing) -> None:
        try:
            found = os.lstat(path)
        except OSError as error:
            if error.errno not in _ABSENT:
                listing.failed[path] = error.strerror or str(error)
            return
        self._sort(path, found, listing)

    def _sort(self, path: str, found: os.stat_result, listing: Listing) -> None:
        if stat.S_ISREG(found.st_mode):
            listing.files[path] = found
        elif not stat.S_ISLNK(found.st_mode):
            if not stat.S_ISDIR(found.st_mode):
                listing.skipped[path] = "not a regular file"
        elif self._follow:
            _follow(path, listing)
        else:
            listing.skipped[path] = "a symbolic link"


class _Part:
    """One name of a glob."""

    def __init__(self, part: str) -> None:
        self.any_depth = part == "**"
        self.literal = None if _MAGIC.search(part) else part
        self._hidden = part.startswith(".")
        self._regex = re.compile(fnmatch.translate(part))

    def match(self, name: str) -> bool:
        if name.startswith(".") and not self._hidden:
            return False
        return self._regex.match(name) is not None


def _entries(directory: str, listing: Listing) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            listing.directories.add(directory)
            return list(entries)
    except OSError as error:
        if error.errno not in _ABSENT:
            listing.failed[directory] = error.strerror or str(error)
        return []


def _follow(path: str, listing: Listing) -> None:
    """Take the file to which a symbolic link leads, through however many others."""
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            listing.skipped[path] = "a symbolic link that leads nowhere"
        elif error.errno == errno.ELOOP:
            listing.skipped[path] = "a symbolic link that leads in a circle"
        else:
            listing.failed[path] = error.strerror or str(error)
        return
    if stat.S_ISREG(found.st_mode):
        listing.files[path] = found
        listing.links.add(path)
    elif stat.S_ISDIR(found.st_mode):
        listing.skipped[path] = "a symbolic link to a directory"
    else:
        listing.skipped[path] = "not a regular file"


def _matches(parts: Sequence[_Part], names: Sequence[str]) -> bool:
    """Whether a path, divided into names, is one that the parts describe."""
    if not parts:
        return not names
    if parts[0].any_depth:
        return any(_matches(parts[1:], names[skip:]) for skip in range(len(names) + 1))
    return bool(names) and parts[0].match(names[0]) and _matches(parts[1:], names[1:])


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]
