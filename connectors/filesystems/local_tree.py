"""Directories below a root, opened part by part so that no symbolic link leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest.api import Refused, Unavailable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Tree:
    """Opens directories below `root`; whatever is done with them goes through their descriptors.

    The root is the directory it was when first opened: when a disk is unmounted under a running process, the empty
    mount point does not pass for the warehouse.
    """

    def __init__(self, root: Path, dir_mode: int) -> None:
        self.root = root
        self._dir_mode = dir_mode
        self._identity: tuple[int, int] | None = None

    def make_root(self) -> None:
        """Make the root when its parent exists; fine if it is there.

        Raises:
            Refused: its parent is missing, or everybody may write into the root.
            OSError: the system said no.
        """
        try:
            os.mkdir(self.root, self._dir_mode)
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise Refused(f"the root's parent {self.root.parent} is not there; make it, or mount its disk") from None
        else:
            os.chmod(self.root, self._dir_mode)
            parent = os.open(self.root.parent, _DIRECTORY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
        if os.stat(self.root).st_mode & stat.S_IWOTH:
            raise Refused(f"everybody may write into the root {self.root}: take that away (chmod o-w)")

    @contextmanager
    def directory(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Give a descriptor of the directory, valid in the `with` block.

        Args:
            parts: names from the root down; none is the root itself.
            make: make what is missing; each directory made is durable in its parent before the next is made.

        Raises:
            Unavailable: the root is not there, or not the one it was.
            FileNotFoundError: a part is missing and `make` is false.
            OSError: whatever the system says, such as NotADirectoryError for a symbolic link.
        """
        descriptor = self._open_root()
        try:
            for part in parts:
                below = self._enter(descriptor, part, make)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self) -> int:
        try:
            descriptor = os.open(self.root, _DIRECTORY)
        except FileNotFoundError:
            raise Unavailable(f"the root {self.root} is not there; is its disk mounted?") from None
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if self._identity is None:
            self._identity = identity
        if self._identity != identity:
            os.close(descriptor)
            raise Unavailable(
                f"the root {self.root} is another directory than it was at start; mount its disk again, "
                "or restart if the change is meant"
            )
        return descriptor

    def _enter(self, parent: int, name: str, make: bool) -> int:
        try:
            return _open(parent, name)
        except FileNotFoundError:
            if not make:
                raise
        made = _make(parent, name, self._dir_mode)
        below = _open(parent, name)
        try:
            if made:  # what umask took away is given back; a set-group-id bit that was inherited stays
                os.fchmod(below, self._dir_mode | os.fstat(below).st_mode & stat.S_ISGID)
            os.fsync(parent)
        except OSError:
            os.close(below)
            raise
        return below


def _open(parent: int, name: str) -> int:
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _make(parent: int, name: str, mode: int) -> bool:
    """Make a directory; return False when somebody else just did."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return False
    return True
