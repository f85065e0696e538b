"""The content of a file: its bytes, decompressed where it begins as gzip does, whatever the file is called."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from ingest.backfill.generations import HEAD
from ingest.errors import IngestError

PIECE: Final = 1 << 20
"""Bytes of content that are handed out at once, at most."""

_RAW: Final = 64 << 10  # compressed bytes read at once: zlib copies what is left of them at every member's end
_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO put there meanwhile must not block


class FileProblem(IngestError):
    """A file can't be taken, or not as a whole; it concerns no other file."""


class Content:
    """One reading of a file, front to back. A context manager.

    A plain file ends where it ended when it was opened. A gzip file has one member or several; zeros between and
    after them are padding.

    Args:
        path: of the file.
        moved: told `consumed` after every read; what it raises ends the reading.

    Attributes:
        path: as given.
        size: bytes of the file itself, when it was opened.
        modified: its mtime then, nanoseconds since 1970 UTC.
        device, inode: of the file.
        compressed: it begins as gzip does.
        consumed: bytes of the file itself that were read so far.

    Raises:
        FileProblem: it can't be opened, is no regular file, or the disk says no.
    """

    def __init__(self, path: str, moved: Callable[[int], None] = lambda consumed: None) -> None:
        self.path = path
        self.consumed = 0
        self._moved = moved
        with self._trouble():
            self._fd = os.open(path, _FLAGS)
        try:
            with self._trouble():
                found = os.fstat(self._fd)
                if not stat.S_ISREG(found.st_mode):
                    raise FileProblem(f"{path}: not a regular file")
                self.compressed = os.pread(self._fd, len(_MAGIC), 0) == _MAGIC
        except FileProblem:
            os.close(self._fd)
            raise
        self.size, self.modified = found.st_size, found.st_mtime_ns
        self.device, self.inode = found.st_dev, found.st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def end_at(self, size: int) -> None:
        """Leave out what a plain file has grown beyond `size` bytes."""
        if not self.compressed:
            self.size = min(self.size, size)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, none of the pieces empty; once only.

        Raises:
            FileProblem: the disk says no, the file became shorter, or it is damaged: what was yielded of a damaged file
                may be anything.
        """
        return self._gunzipped() if self.compressed else self._raw(PIECE)

    def _raw(self, step: int) -> Iterator[bytes]:
        while self.consumed < self.size:
            wanted = min(step, self.size - self.consumed)
            with self._trouble():
                piece = os.pread(self._fd, wanted, self.consumed)
            if not piece:
                raise FileProblem(
                    f"{self.path}: became shorter while it was read: {self.size} bytes when it was opened, "
                    f"{self.consumed} now. Run again once nobody writes to it"
                )
            self.consumed += len(piece)
            self._moved(self.consumed)
            yield piece

    def _gunzipped(self) -> Iterator[bytes]:
        member: Any = None
        at = 0
        for raw in self._raw(_RAW):
            rest = raw
            while rest:
                if member is None:
                    rest = rest.lstrip(b"\0")
                    member = zlib.decompressobj(_GZIP) if rest else None
                    continue
                for piece in self._inflated(member, rest, at):
                    at += len(piece)
                    yield piece
                # What comes after a member's end belongs to the next one; else everything was taken.
                rest = member.unused_data
                member = None if member.eof else member
        if member is not None:
            raise FileProblem(
                f"{self.path}: the gzip data ends in the middle, after {at} bytes of content. If it is still being "
                "written run again later, else restore it"
            )

    def _inflated(self, member: Any, rest: bytes, at: int) -> Iterator[bytes]:
        """Yield what `rest` decompresses to, up to the member's end, with bounded memory whatever it expands to."""
        while True:
            try:
                piece = member.decompress(rest, PIECE)
            except zlib.error as error:
                raise FileProblem(
                    f"{self.path}: the gzip data is damaged after {at} bytes of content ({error}). Restore the file"
                ) from error
            rest = member.unconsumed_tail
            if piece:
                at += len(piece)
                yield piece
            if member.eof or (not rest and len(piece) < PIECE):
                return

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileProblem(f"{self.path}: can't be read: {os.strerror(error.errno or errno.EIO)}") from error


# ── looking at content ──────────────────────────────────────────────────────────────────


def new_digest() -> Any:
    """Return the running digest of no bytes: what a chain's records say of the content below their next_offset."""
    return hashlib.sha256()


def digest_text(digest: Any) -> str:
    """Return a running digest as it stands in records: of a whole plain file, what `sha256sum` prints of it."""
    return f"sha256:{digest.hexdigest()}"


NOTHING: Final = digest_text(new_digest())
"""The digest of no content."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a content.

    Attributes:
        length: bytes of content.
        digests: position → digest of the content below it, for the positions that were asked for and are not beyond.
    """

    length: int
    digests: Mapping[int, str]


def head_of(content: Content) -> bytes:
    """Return the first bytes of a content: all of it, or `HEAD` of them. Raises FileProblem as `pieces` does."""
    head = bytearray()
    for piece in content.pieces():
        head += piece
        if len(head) >= HEAD:
            break
    return bytes(head[:HEAD])


def look_at(content: Content, positions: Iterable[int]) -> Look:
    """Return the digests of the content below the given positions.

    A gzip file is read to its end, since only that shows its length, and that it is whole; a plain one to the last
    position that it has. Raises FileProblem as `pieces` does.
    """
    wanted = sorted({position for position in positions if position > 0})
    if not content.compressed:
        wanted = [position for position in wanted if position <= content.size]
    found: dict[int, str] = {}
    digest = new_digest()
    at = 0
    for piece in content.pieces() if wanted or content.compressed else ():
        begin = 0
        while wanted and wanted[0] <= at + len(piece):
            end = wanted.pop(0) - at
            digest.update(memoryview(piece)[begin:end])
            found[at + end] = digest_text(digest)
            begin = end
        if wanted:
            digest.update(memoryview(piece)[begin:])
        at += len(piece)
        if not wanted and not content.compressed:
            break
    return Look(at if content.compressed else content.size, found)
