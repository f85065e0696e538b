"""One generation on disk: what was appended and is not yet in Kafka, and what of it was handed out."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import crc32c
import numpy as np

from ingest.api import LineBlock, Stream, Unavailable

from .frame import PREFIX, Broken, Frame, Held, frames, lines_frame, lines_of, read_frame
from .piece import Piece, merged, nothing
from .segment import FULL, SUFFIX, Found, Segment, Writer, sync_directory

ACKNOWLEDGED: Final = "acknowledged"
_REMEMBERED: Final = 8 << 20  # bytes of lines that are not read back from disk
_SHARE: Final = 8  # a segment is one part in so many of what may be kept
_PARTIAL: Final = "partial"


@dataclass(frozen=True, slots=True)
class _Recent:
    """What was appended and is still in memory, and the place behind it on disk."""

    begin: int
    piece: Piece
    segment: Segment
    next: int


class Log:
    """Appends at one end, hands out at the other, forgets what is acknowledged.

    What `take` returns is on disk: after kill -9 it comes again, with the same positions. `add` alone keeps nothing.

    Args:
        directory: of this generation alone; made when it is first written to.
        stream: whose lines these are.
        found: what is in the directory already; None = nothing, it is new.
        position: first byte that is not acknowledged.
        limit: bytes on disk from which on `full` is true.
    """

    def __init__(self, directory: Path, stream: Stream, found: Found | None, position: int, limit: int) -> None:
        self.directory = directory
        self.stream = stream
        self.ended = False
        """Nothing will be appended any more."""
        self.trouble = ""
        """Why nothing can be written now."""
        self.held = self._durably_held = Held() if found is None else found.held
        segments = [] if found is None else found.segments
        self._segments = deque(segments)
        self._limit = limit
        self._writer = Writer(directory, stream.path)
        self._added: list[Piece] = []
        self._recent: deque[_Recent] = deque()
        self._remembered = 0
        self._acked = position
        self.end = segments[-1].end if segments else position
        self.position = position
        """Everything below was handed out."""
        self._sent = position
        self._dropped: Counter[str] = Counter()
        self._at: Segment | None = None
        self._place = 0
        if segments:
            self._seek(position)
            self._let_go()

    @property
    def size(self) -> int:
        """Return bytes on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def full(self) -> bool:
        """Whether nothing more should be taken from senders for now."""
        return bool(self.trouble) or self.size >= self._limit

    @property
    def pending(self) -> bool:
        """Whether something can be handed out."""
        return self.position < self.end

    @property
    def waiting(self) -> bool:
        """Whether something was added that is not durable yet."""
        return bool(self._added)

    @property
    def done(self) -> bool:
        """Whether it has ended and everything of it is acknowledged."""
        return self.ended and self._acked >= self.end

    def go_on_from(self, position: int, sent: int) -> None:
        """Let the interval of the line at `position` begin at `sent`, where the last acknowledged one ended."""
        if self.position == position:
            self._sent = sent

    def add(self, piece: Piece) -> None:
        """Append lines with the next `commit`."""
        self._added.append(piece)

    def hold(self, held: Held) -> None:
        """Keep what is held back with the next `commit`, instead of what was kept before."""
        self.held = held

    def count(self, reason: str, lines: int) -> None:
        """Let the next block say that lines were dropped."""
        self._dropped[reason] += lines

    def commit(self) -> bool:
        """Write what was added, in one durable append; False = no room, all of it waits for the next call.

        Raises:
            Unavailable: the disk fails in another way.
        """
        if not self._added and self.held == self._durably_held:
            return True
        piece = merged(self._added) if self._added else nothing()
        try:
            self._write(piece)
        except OSError as error:
            self.trouble = f"{self.directory}: {error.strerror or error}"
            if error.errno in FULL:
                self._added = [piece] if self._added else []
                return False
            raise Unavailable(f"{self.trouble}: lines can't be kept there; mend the disk") from error
        self.trouble = ""
        self._added = []
        self._let_go()
        return True

    def take(self) -> LineBlock | None:
        """Return the next lines; None = there are none.

        Raises:
            Unavailable: they can't be read back; a new start decides what is left of them.
        """
        while self.pending:
            begin = self.position
            piece = self._next()
            self.position = begin + piece.span
            if piece.span:
                return self._block(piece, begin)
        return None

    def acknowledge(self, position: int) -> None:
        """Forget what lies below."""
        if position > self._acked:
            self._acked = position
            with contextlib.suppress(OSError):  # a courtesy: the checkpoint has the truth
                write_acknowledged(self.directory, position)
        self._let_go()

    def remove(self) -> None:
        """Delete it from the disk."""
        self.close()
        for segment in self._segments:
            segment.path.unlink()
        self._segments.clear()
        (self.directory / ACKNOWLEDGED).unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):  # a person may have left something there
            self.directory.rmdir()

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()

    # ── writing ──

    def _write(self, piece: Piece) -> None:
        frame = lines_frame(piece, self.end, self.held)
        if not self._segments or self._segments[-1].size >= self._limit // _SHARE:
            self._begin_segment(frame)
        else:
            self._writer.append(self._segments[-1], frame)
        self._durably_held = self.held
        segment = self._segments[-1]
        begin, self.end = self.end, self.end + piece.span
        segment.end = self.end
        gapless = self._recent[-1].begin + self._recent[-1].piece.span if self._recent else self.position
        if piece.span and gapless == begin and self._remembered + len(piece.data) <= _REMEMBERED:
            self._remembered += len(piece.data)
            self._recent.append(_Recent(begin, piece, segment, segment.size))

    def _begin_segment(self, frame: bytes) -> None:
        number = self._segments[-1].number + 1 if self._segments else 0
        self._segments.append(self._writer.create(number, self.end, frame))

    # ── handing out ──

    def _next(self) -> Piece:
        if self._recent:
            recent = self._recent.popleft()
            self._remembered -= len(recent.piece.data)
            self._at, self._place = recent.segment, recent.next
            return recent.piece
        if self._at is None or self._place >= self._at.size:
            self._at = self._segments[0 if self._at is None else self._segments.index(self._at) + 1]
            self._place = 0
        frame = _read(self._at.path, self._place)
        self._place += frame.next
        return lines_of(frame)[0] if frame.head["kind"] == "lines" else nothing()

    def _block(self, piece: Piece, begin: int) -> LineBlock:
        positions = np.concatenate((np.array([self._sent], np.int64), piece.after + begin))
        self._sent = int(positions[-1])
        last = piece.flags.get(len(piece.starts) - 1)
        return LineBlock(
            self.stream,
            piece.data,
            piece.starts,
            piece.ends,
            positions,
            begin + piece.span,
            piece.flags,
            boundary=last is not None and _PARTIAL in last.names,
            state={"queue": self.directory.name, "stream": self.stream.path},
            dropped=self._count(piece.dropped),
        )

    def _count(self, dropped: dict[str, int]) -> dict[str, int]:
        counted, self._dropped = self._dropped, Counter()
        return dropped | {reason: lines + dropped.get(reason, 0) for reason, lines in counted.items()}

    def _seek(self, position: int) -> None:
        """Stand before the first lines of which anything is not acknowledged."""
        self._at = next((one for one in self._segments if one.end > position), self._segments[-1])
        self.position = self._at.begin
        for frame in frames(self._at.path.read_bytes(), True):
            if isinstance(frame, Broken) or int(frame.head.get("end", 0)) > position:
                break
            self.position = int(frame.head.get("end", self.position))
            self._place = frame.next
        self._sent = self.position

    def _let_go(self) -> None:
        last = self._segments[-1] if self._segments else None
        if last and last.end <= self._acked and last.size >= self._limit // _SHARE:
            with contextlib.suppress(OSError):  # no room: the next commit says so
                self._begin_segment(lines_frame(nothing(), self.end, self._durably_held))
        while len(self._segments) > 1 and self._segments[0].end <= self._acked:
            if self._at is self._segments[0]:
                self._at, self._place = self._segments[1], 0
            self._segments.popleft().path.unlink()


def write_acknowledged(directory: Path, position: int) -> None:
    """Note how far everything is in Kafka, for the case that the checkpoint no longer knows this queue."""
    text = f"{position:020d}"
    (directory / ACKNOWLEDGED).write_text(f"{text} {crc32c.crc32c(text.encode()):08x}\n", "ascii")


def read_acknowledged(directory: Path) -> int:
    """Return what `write_acknowledged` noted last; 0 where nothing whole is there."""
    try:
        text, crc = (directory / ACKNOWLEDGED).read_text("ascii").split()
        return int(text) if f"{crc32c.crc32c(text.encode()):08x}" == crc else 0
    except (FileNotFoundError, ValueError):
        return 0


def mend(directory: Path, found: Found) -> None:
    """Take away what is torn, and all that lies behind damage."""
    whole = {segment.path: segment.size for segment in found.segments}
    for path in directory.glob(f"*{SUFFIX}"):
        if path not in whole:
            path.unlink()
        elif path.stat().st_size > whole[path]:
            os.truncate(path, whole[path])
    sync_directory(directory)


def _read(path: Path, place: int) -> Frame:
    """Return the frame at a place, with places that count from there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            prefix = os.pread(fd, PREFIX.size, place)
            length = PREFIX.unpack(prefix)[0] if len(prefix) == PREFIX.size else 0
            found = read_frame(os.pread(fd, PREFIX.size + length, place), 0)
        finally:
            os.close(fd)
    except OSError as error:
        raise Unavailable(f"{path}: lines kept there can't be read: {error.strerror or error}") from error
    if isinstance(found, Broken):
        raise Unavailable(f"{path} is damaged at byte {place}; what is left of it is looked for at the next start")
    return found
