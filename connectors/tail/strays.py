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

    kind: Literal["made", "left", "came", "deleted"]
    path: str
    cookie: int = 0


@dataclass(slots=True)
class Tracks:
    """What became of files.

    Attributes:
        files: path now → the matching name under which the file came; None = a scan has seen it.
        gone: the names of files that no scan saw and that can't be found any more.
    """

    files: dict[str, str | None] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def follow(
    known: Mapping[str, str | None],
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
    moving: dict[int, str | None] = {}
    for notice in notices:
        path = notice.path
        here = path in tracks.files
        before = tracks.files.pop(path, None)
        if notice.kind == "left":
            if here or seen(path):
                moving[notice.cookie] = before
            continue
        if before is not None:  # deleted, or another file took its name
            tracks.gone.append(before)
        if notice.kind == "came" and notice.cookie in moving:
            tracks.files[path] = moving.pop(notice.cookie)
        elif notice.kind != "deleted" and wanted(path):
            tracks.files[path] = path
    tracks.gone += [origin for origin in moving.values() if origin is not None]
    return tracks


class Strays:
    """The files that came since the watch began and that nobody follows yet.

    `wanted` says whether the globs match a path.
    """

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._files: dict[str, str | None] = {}
        self._names: Mapping[str, object] = {}

    def update(self, listing: Listing, notices: Iterable[Notice]) -> list[str]:
        """Name in the listing the files that left the globs; return the names of files that are gone unseen.

        `notices` must have been taken after the listing: of a file that came in between both are told.
        """
        before = {path for path, origin in self._files.items() if origin is None}
        tracks = follow(self._files, notices, self._wanted, lambda path: path in self._names)
        elsewhere = {path: origin for path, origin in tracks.files.items() if not self._wanted(path)}
        listing.strays = {path: origin for path, origin in elsewhere.items() if origin is not None}
        listing.moved = [path for path, origin in elsewhere.items() if origin is None]
        # A file that was seen and renamed is told of twice: the listing may be from before its rename.
        self._files = {p: origin for p, origin in tracks.files.items() if origin is not None or p not in before}
        self._names = listing.files
        return tracks.gone

    def settle(self, followed: Callable[[Key], bool]) -> None:
        """Let go of the files that are followed by now."""
        for path in [path for path, origin in self._files.items() if origin is not None]:
            try:
                found = os.lstat(path)
            except OSError:
                continue  # it moved on: the next notices say where to
            if followed((found.st_dev, found.st_ino)):
                del self._files[path]
