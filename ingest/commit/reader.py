"""A file of a Filesystem as a Python file object, so that pyarrow reads of it only what it needs."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa

from ingest.api import Filesystem


class RemoteFile(io.RawIOBase):
    """Read-only, seekable; every read is one range read of the filesystem. Not for use by several threads."""

    def __init__(self, filesystem: Filesystem[Any], path: str, size: int) -> None:
        """Open nothing: `size` is the file's length as a listing shows it."""
        super().__init__()
        self._filesystem = filesystem
        self._path = path
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; it may lie behind the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes, all that are left for a negative or no size."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        content = self._filesystem.read(self._path, self._position, wanted) if wanted else b""
        self._position += len(content)
        return content

    def readall(self) -> bytes:
        """Return all bytes from the position on."""
        return self.read()


def open_remote(filesystem: Filesystem[Any], path: str, size: int) -> pa.PythonFile:
    """Return what pyarrow takes for a file; close it."""
    return pa.PythonFile(RemoteFile(filesystem, path, size), mode="r")
