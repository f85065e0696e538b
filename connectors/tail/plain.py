"""The content of a plain file: its bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ingest.connectors.marks.mark import Mark


@dataclass(frozen=True, slots=True)
class Plain:
    """What an open file holds; see `identity.Content`."""

    fd: int

    def size(self) -> int:
        """Return how many bytes there are now."""
        return os.fstat(self.fd).st_size

    def pread(self, length: int, start: int) -> bytes:
        """Return the bytes [start, start + length), fewer at the end."""
        return os.pread(self.fd, length, start)

    def mark(self, start: int, end: int) -> Mark | None:
        """Mark the bytes [start, end); None where there are fewer."""
        data = os.pread(self.fd, end - start, start)
        return Mark.of(data, end) if len(data) == end - start else None
