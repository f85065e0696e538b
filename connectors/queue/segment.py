"""The files of a queue: frames one after the other, files numbered in their order."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.api import StateDamaged

from .frame import FORMAT, Broken, Frame, Held, frames, segment_head

SUFFIX: Final = ".segment"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Segment:
    """One file: the positions [begin, end) of the stream, `size` bytes on disk."""

    path: Path
    begin: int
    end: int
    size: int

    @property
    def number(self) -> int:
        """Return its place among all segments that the queue ever had."""
        return int(self.path.stem)


@dataclass(slots=True)
class Found:
    """What is in a queue's directory.

    Attributes:
        stream: whose lines these are; "" where not even one whole frame is there.
        segments: as far as everything is whole, in order.
        held: what was held back when the process ended.
        torn: bytes of a last append that a crash cut off.
        damage: where the first damage is, in words; "" = none.
        rescued: whole frames behind the damage.
    """

    stream: str
    segments: list[Segment]
    held: Held
    torn: int
    damage: str
    rescued: list[Frame]


def find(directory: Path) -> Found:
    """Read everything; change nothing.

    Raises:
        StateDamaged: a newer version wrote it.
        OSError: as the disk says.
    """
    found = Found("", [], Held(), 0, "", [])
    paths = sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)
    for path in paths:
        segment: Segment | None = None
        for each in frames(path.read_bytes(), path is paths[-1]):
            if isinstance(each, Broken):
                if each.kind == "torn":
                    found.torn = path.stat().st_size - each.place
                else:
                    found.damage = found.damage or f"{path} at byte {each.place}"
            elif each.head["kind"] == "segment":
                segment = _begin(found, path, each)
            elif found.damage:
                found.rescued.append(each)
            else:
                segment = _go_on(found, path, each, segment)
    return found


def _begin(found: Found, path: Path, head: Frame) -> Segment | None:
    if head.head["format"] > FORMAT:
        raise StateDamaged(f"{path}: written by a newer version (format {head.head['format']}); upgrade again")
    found.stream = str(head.head["stream"])
    begin = int(head.head["begin"])
    if not found.damage and found.segments and found.segments[-1].end != begin:
        found.damage = f"before {path}: a file is missing"
    if found.damage:
        return None
    found.segments.append(Segment(path, begin, begin, head.next))
    return found.segments[-1]


def _go_on(found: Found, path: Path, frame: Frame, segment: Segment | None) -> Segment | None:
    if segment is None or segment.end != int(frame.head["begin"]):
        found.damage = f"{path} at byte {frame.place}"
        found.rescued.append(frame)
        return None
    segment.end, segment.size = int(frame.head["end"]), frame.next
    held = int(frame.head["held"])
    found.held = Held(frame.body[len(frame.body) - held :], int(frame.head["beyond"])) if held else Held()
    return segment


class Writer:
    """Appends to the last segment of a directory; every append is durable when it returns."""

    def __init__(self, directory: Path, stream: str) -> None:
        self._directory = directory
        self._stream = stream
        self._fd: int | None = None

    def create(self, number: int, begin: int, frame: bytes) -> Segment:
        """Begin segment `number` at position `begin` with a frame; errors as `append`."""
        self.close()
        if not self._directory.is_dir():
            made = [self._directory, *(above for above in self._directory.parents if not above.is_dir())]
            self._directory.mkdir(mode=0o700, parents=True)
            for directory in made:
                sync_directory(directory.parent)
        path = self._directory / f"{number:012d}{SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = _write(fd, 0, segment_head(self._stream, begin) + frame)
            sync_directory(self._directory)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self._fd = fd
        return Segment(path, begin, begin, size)

    def append(self, segment: Segment, frame: bytes) -> None:
        """Write a frame to the last segment.

        Raises:
            OSError: the disk says no; the segment is as before.
        """
        if self._fd is None:
            self._fd = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC)
        segment.size = _write(self._fd, segment.size, frame)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _write(fd: int, place: int, data: bytes) -> int:
    """Write all, durably, and return where it ends; or take back what was written of it."""
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(fd, data[done:] if done else data, place + done)
        os.fdatasync(fd)
    except OSError:
        os.ftruncate(fd, place)
        raise
    return place + done


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
