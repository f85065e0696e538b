"""The way to stderr that never stops the program."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO


def _confess(lines: int) -> str:
    return f"{lines} log lines were dropped: stderr did not take them"


class Stderr:
    """Writes lines to a text stream (by default the process's stderr) and never fails, nor waits for long.

    Pipes and sockets are asked before each piece whether they take it, so that a reader that has stalled can't stop us.

    Args:
        stream: instead of the process's stderr.
        confess: makes the line that says how many lines were lost.
    """

    PATIENCE = 1.0
    """Seconds to wait for a slow reader; a reader that let them pass is not waited for until it reads again."""

    _PIECE = select.PIPE_BUF

    def __init__(self, stream: TextIO | None = None, confess: Callable[[int], str] = _confess) -> None:
        self._stream = stream
        self._confess = confess
        self._lock = threading.Lock()
        self._unreported = 0
        self._torn = False
        self.dropped = 0
        """Lines lost so far."""

    def write_line(self, line: str) -> None:
        """Write a line, or count it as dropped."""
        with self._lock:
            if self._unreported:
                line = f"{line}\n{self._confess(self._unreported)}"
            if self._write(line + "\n"):
                self._unreported = 0
            else:
                self._unreported += 1
                self.dropped += 1

    msg = debug = info = warning = error = critical = exception = log = fatal = write_line
    """structlog calls the method of the event's level."""

    def _write(self, text: str) -> bool:
        stream = self._stream or sys.stderr
        if stream is None:
            return False
        try:
            try:
                descriptor = stream.fileno()
            except OSError:  # a stream in memory
                stream.write(text)
                return True
            return self._write_pieces(descriptor, text.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):  # full disk, broken pipe, closed
            return False

    def _write_pieces(self, descriptor: int, data: bytes) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if self._torn:
            data = b"\n" + data
        whole = len(data)
        while data:
            patience = 0 if self._unreported else int(self.PATIENCE * 1000)
            if not poll.poll(patience):
                return False
            data = data[os.write(descriptor, data[: self._PIECE]) :]
            self._torn = 0 < len(data) < whole
        return True
