"""A look at a whole file before anything of it is handed out."""

from __future__ import annotations

from typing import Final

from ingest.connectors.marks.mark import HEAD, Mark

from .content import Content
from .mark import Comparing, Evidence
from .spooled import Seen, Spooled, shown

_STEP: Final = 256 << 10


class Examination:
    """How long the content is, and whether it is that of a known generation; in steps, so that others have their turn.

    Of a gzip file that is not known as it is, everything is decompressed: nothing of a damaged one is ever handed out.

    Attributes:
        seen: the file.
        content: the same, open.
        known: the generation that had its inode number, if there is one.
        over: `length`, `head` and `evidence` are known.
        length: of the content.
        head: mark of its first bytes.
    """

    def __init__(self, seen: Seen, content: Content, known: Spooled | None, keep: bool) -> None:
        self.seen, self.content, self.known = seen, content, known
        self.over = False
        self.length = 0
        self.head = Mark.of(b"", 0)
        self._keep = keep
        self._same_stamp = known is not None and known.stamp == seen.stamp
        self._first = bytearray()
        self._tail = Comparing(known.tail) if known is not None else None

    def step(self, budget: int) -> int:
        """Look at about `budget` bytes; return how many they were. Raises as `Content.read` does."""
        if self._same_stamp or not self.content.compressed:
            self._glance()
            return len(self._first)
        done = 0
        while done < budget:
            piece = self.content.read(_STEP)
            done += len(piece)
            self._first += piece[: HEAD - len(self._first)]
            if self._tail is not None:
                self._tail.feed(piece)
            if len(piece) < _STEP:
                self._conclude(self.content.position)
                break
        return done

    @property
    def evidence(self) -> Evidence | None:
        """Return what was seen of the known generation; None where there is none."""
        known = self.known
        if known is None or self._tail is None:
            return None
        first = bytes(self._first[: known.head.length])
        return Evidence(
            device=known.key[0] == self.seen.key[0],
            path=shown(known.path) == shown(self.seen.path),
            stamp=self._same_stamp,
            grown=self.length > known.length,
            head=Mark.of(first, len(first)) == known.head,
            tail=self._same_stamp or self._tail.same,
            over=known.over and not self._keep,
        )

    def _glance(self) -> None:
        """Look at the head alone, and at what was read last: the rest is as it was, or is there to be read."""
        self._first += self.content.read(HEAD)
        known = self.known
        if known is not None and self._same_stamp:
            self._conclude(known.length)
            return
        if known is not None:
            mark = known.tail
            self.content.go_to(mark.end - mark.length, 0)
            self._tail = Comparing(Mark(mark.length, mark.length, mark.digest))
            self._tail.feed(self.content.read(mark.length))
        self._conclude(self.seen.stamp[0])

    def _conclude(self, length: int) -> None:
        first = bytes(self._first)
        self.length, self.head, self.over = length, Mark.of(first, len(first)), True
