"""Writers of numbered lines, and what befalls their files."""

from __future__ import annotations

import gzip
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.tail_faults.tally import Written

WORDS = ("quick", "brown fox", "jumps", "over the lazy", "dog", "and", "runs far away", "from all", "the others")


class Lines:
    """Makes lines with ascending numbers, and remembers them as written.

    Args:
        written: where they are remembered.
        varied: False: all that follows the number is the same in each line.
    """

    def __init__(self, written: Written, *, varied: bool = True) -> None:
        self.varied = varied
        self._written = written
        self._numbers = itertools.count(1)

    def one(self, text: str | None = None) -> bytes:
        """Return the next line, without a newline."""
        number = next(self._numbers)
        if text is None:
            text = f"{WORDS[number % len(WORDS)]} {number * 7919 % 100_003:06d}" if self.varied else "all that follows"
        line = b"#%09d %s" % (number, text.encode())
        self._written.add(line)
        return line

    def many(self, count: int) -> bytes:
        """Return lines, each with its newline."""
        return b"".join(self.one() + b"\n" for _ in range(count))

    def plain(self, line: bytes, count: int = 1) -> bytes:
        """Return a line without a number, so many times."""
        for _ in range(count):
            self._written.add(line)
        return (line + b"\n") * count


class Log:
    """One log file, written to as loggers do: each write is appended, the file is opened by its name."""

    def __init__(self, path: Path, lines: Lines) -> None:
        self.path = path
        self.lines = lines

    def write(self, count: int) -> None:
        """Append lines."""
        self.append(self.lines.many(count))

    def append(self, data: bytes) -> None:
        """Append bytes in one system call."""
        with self.path.open("ab", buffering=0) as file:
            file.write(data)

    def rotated(self, number: int = 1) -> Path:
        """Return the name that a rotated form has."""
        return self.path.with_name(f"{self.path.name}.{number}")

    def shift(self) -> None:
        """Make room at .1, as logrotate does."""
        numbers = itertools.takewhile(lambda number: self.rotated(number).exists(), itertools.count(1))
        for number in sorted(numbers, reverse=True):
            self.rotated(number).rename(self.rotated(number + 1))

    def rotate(self) -> Path:
        """Rename the file to .1; the next write makes it anew."""
        self.shift()
        return self.path.rename(self.rotated())

    def copytruncate(self) -> Path:
        """Copy the file to .1 and truncate it."""
        self.shift()
        shutil.copyfile(self.path, self.rotated())
        with self.path.open("r+b") as file:
            file.truncate()
        return self.rotated()


class Live:
    """A thread that writes so many lines a second in small bursts, each of which ends in the middle of a line."""

    def __init__(self, log: Log, per_second: int, rotate_every: int | None = None) -> None:
        self._log = log
        self._per_second = per_second
        self._rotate_every = rotate_every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        burst = max(1, self._per_second // 50)
        count = 0
        began = time.monotonic()
        while not self._over.is_set():
            data = self._log.lines.many(burst)
            self._log.append(data[:-20])
            count += burst
            time.sleep(max(0.001, count / self._per_second - (time.monotonic() - began)))
            self._log.append(data[-20:])
            if self._rotate_every and count // self._rotate_every != (count - burst) // self._rotate_every:
                self._log.rotate()


def on_disk(directory: Path) -> Iterator[bytes]:
    """Yield the lines of all files below a directory, without their newlines."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            yield from content.removesuffix(b"\n").split(b"\n")


def until(condition: Callable[[], bool], seconds: float = 30.0, pause: float = 0.02) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
