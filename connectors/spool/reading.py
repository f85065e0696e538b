"""Lines of one file, from where its generation stands to the end of its content."""

from __future__ import annotations

from dataclasses import replace

from ingest.api import Assembler, LineBlock, Stream
from ingest.connectors.marks.mark import TAIL, Mark

from .content import Content
from .spooled import Spooled


class Changed(Exception):
    """The file is no longer as it was when its content was looked at; the text says how."""


class Reading:
    """Moves `file` on. An unterminated last line is given out: the file is finished.

    Args:
        file: the generation.
        content: its file, open; closed by whoever opened it.
        stream: whose lines these are.
    """

    def __init__(self, file: Spooled, content: Content, stream: Stream) -> None:
        self.file, self.content = file, content
        self._stream = stream
        self._lines: Assembler | None = None
        self._recent = b""

    def step(self, budget: int) -> tuple[list[LineBlock], int]:
        """Read about `budget` bytes; return the lines that they complete, and how many bytes were looked at.

        Raises:
            Changed: somebody wrote to the file; nothing was read of it in this step.
            Damaged, OSError: as `Content.read`.
        """
        if self.content.stamp() != self.file.stamp:
            raise Changed("size or time are others")
        if self._lines is None:
            return self._go_there(budget)
        file = self.file
        stop = file.boundaries[0] if file.boundaries else file.length
        data = self.content.read(min(budget, stop - self.content.position))
        if not data and self.content.position < stop:
            raise Changed("it ends before it did")
        self._recent = (self._recent + data)[-TAIL:]
        file.tail = Mark.of(self._recent, self.content.position)
        blocks = self._lines.feed(self._stream, data)
        if self.content.position == stop and self._lines.holds:
            *others, last = self._lines.feed(self._stream, b"", closing=True)
            # What is appended later would make another line, or event, of it.
            blocks += [*others, replace(last, boundary=True)]
        file.framing = self._lines.framing
        return [self._advance(block) for block in blocks], len(data)

    def _go_there(self, budget: int) -> tuple[list[LineBlock], int]:
        """Go on towards the position, and take up what is before it."""
        file = self.file
        begin = max(0, file.position - TAIL)
        before = self.content.position
        if not self.content.go_to(begin, budget):
            return [], self.content.position - before
        self._recent = self.content.read(file.position - begin)
        if self.content.position < file.position:
            raise Changed("it ends before it did")
        self._lines = Assembler(file.framing, file.position, file.sent, self._recent)
        return [], len(self._recent)

    def _advance(self, block: LineBlock) -> LineBlock:
        file = self.file
        file.position, file.sent = block.end, int(block.positions[-1])
        while file.boundaries and file.boundaries[0] <= file.position:
            file.boundaries.popleft()
        return replace(block, state=file.state())
