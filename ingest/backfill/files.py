"""Which files a run is about: looked at before anything is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.api import FileFacts
from ingest.backfill.content import Content, FileProblem, head_of
from ingest.errors import UsageError


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be taken.

    Attributes:
        name: as the person wrote it.
        path: absolute, symbolic links resolved.
        size: in bytes, as it lies on the disk.
        modified: nanoseconds since 1970 UTC.
    """

    name: str
    path: str
    size: int
    modified: int

    @property
    def shown(self) -> str:
        """Return the path as text that any encoder takes: bytes that are not UTF-8 become escapes."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


def listed(names: Sequence[str]) -> list[File]:
    """Return the files of these names, each once, the oldest first; files of one age in the order of their paths.

    Raises:
        UsageError: one is not there, or is no regular file; all such are named.
    """
    problems: list[str] = []
    found: dict[str, File] = {}
    for name in names:
        try:
            status = os.stat(name)
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
            continue
        if stat.S_ISDIR(status.st_mode):
            problems.append(f"{name} is a directory: name the files in it, for example {name.rstrip('/')}/*")
        elif not stat.S_ISREG(status.st_mode):
            problems.append(f"{name} is not a regular file")
        else:
            path = os.path.realpath(name)
            found.setdefault(path, File(name, path, status.st_size, status.st_mtime_ns))
    if problems:
        raise UsageError("\n".join([*problems, "nothing was written"]))
    return sorted(found.values(), key=lambda file: (file.modified, file.path))


def facts_of(files: Iterable[File]) -> list[FileFacts]:
    """Return what sources are asked about; files that can't be read are left out: they can't be taken either."""
    facts = []
    for file in files:
        try:
            with Content(file.path) as content:
                facts.append(FileFacts(file.path, content.device, content.inode, head_of(content)))
        except FileProblem:
            continue
    return facts
