"""Files that were made and renamed between two looks at the globs: where they are now, or that they are gone.

A scan sees names at one moment. What happened to names since the one before is told by the kernel (`watch.py`), so a
file whose name matched for some milliseconds is found under the name that it has now, and one that is gone is counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .handles import Key
from .paths import Listing


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a name: a file was made there, left it, came to it, or was deleted.

    `cookie` is the same in the two notices of one rename.
    """

    kind: Literal["made", "left", "came", "deleted", "grew"]
    path: str
    cookie: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """The matching path under which a file was first, and whether a scan saw it there."""

    path: str
    seen: bool


@dataclass(slots=True)
class Tracks:
    """What became of files.

    Attributes:
        files: path now → where the file came from.
        gone: the paths of files that no scan saw and that can't be found any more.
    """

    files: dict[str, Origin] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def follow(
    known: Mapping[str, Origin],
    notices: Iterable[Notice],
    wanted: Callable[[str], bool],
    seen: Callable[[str], bool],
) -> Tracks:
    """Follow files through what happened to their names.

    Args:
        known: those followed so far, as `Tracks.files`.
        notices: what happened, in order.
        wanted: whether the globs match a path.
        seen: whether the scan before these notices saw a file at a path.
    """
    tracks = Tracks(dict(known))
    moving: dict[int, Origin] = {}
    gone: list[Origin] = []
    for notice in notices:
        path = notice.path
        origin = tracks.files.pop(path, None)
        if notice.kind == "left":
            if origin is not None or seen(path):
                moving[notice.cookie] = origin or Origin(path, seen=True)
            continue
        if origin is not None:  # deleted, or another file took its name
            gone.append(origin)
        if notice.kind == "came" and notice.cookie in moving:
            tracks.files[path] = moving.pop(notice.cookie)
        elif notice.kind != "deleted" and wanted(path):
            tracks.files[path] = Origin(path, seen=False)
    tracks.gone = [origin.path for origin in (*gone, *moving.values()) if not origin.seen]
    return tracks


class Strays:
    """The files that came, or left the globs, since the watch began. `wanted` says whether the globs match a path."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._files: dict[str, Origin] = {}
        self._names: Mapping[str, object] = {}

    def update(self, listing: Listing, notices: Iterable[Notice]) -> list[str]:
        """Name in the listing the files that left the globs; return the names of files that are gone unseen.

        `notices` must have been taken after the listing: of a file that came in between both are told.
        """
        known = set(self._files)
        tracks = follow(self._files, notices, self._wanted, lambda path: path in self._names and self._wanted(path))
        listing.strays = {path: one.path for path, one in tracks.files.items() if not self._wanted(path)}
        # A file that was seen is told of twice: the listing may be from before its rename.
        self._files = {path: one for path, one in tracks.files.items() if not (one.seen and path in known)}
        self._names = listing.files
        return tracks.gone

    def settle(self, followed: Callable[[Key], bool]) -> None:
        """Let go of the new files that are followed by now.

        `followed` says so only once the file was looked into: its inode may be that of one that was followed before.
        """
        for path in [path for path, origin in self._files.items() if not origin.seen]:
            try:
                found = os.lstat(path)
            except OSError:
                continue  # it moved on: the next notices say where to
            if followed((found.st_dev, found.st_ino)):
                del self._files[path]
