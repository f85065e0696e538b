"""One run of a command, from its start until it and all that it started are gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import IO, Final

_PIPE: Final = 1 << 20  # bytes that the pipe holds, where the system allows it
_GRACE: Final = 5.0  # seconds between SIGTERM and SIGKILL
_STEPS: Final = 100  # in so many steps the grace is waited for
_LAST: Final = 16 << 20  # bytes that a command may still write when it was asked to end


class Run:
    """Raises OSError where the command can't be started. Everything else is asked for and never waits, but `stop`.

    The command has a process group of its own. It is over when it ended itself and its output is at the end: what it
    left running in its group is ended then.

    Args:
        command: the program and its arguments; no shell.
        started: when, on the clock that `over` is asked with.
    """

    def __init__(self, command: Sequence[str], started: float) -> None:
        self.started = started
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._ended = False
        self._left_at: float | None = None
        for pipe in (self._output, self._errors):
            os.set_blocking(pipe.fileno(), False)
        with contextlib.suppress(PermissionError):  # the user has many pipes: a small one will do
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def read(self, size: int) -> bytes:
        """Return what it wrote, at most `size` bytes; empty = nothing now."""
        if self._ended:
            return b""
        data = _read(self._output, size)
        self._ended = data == b""
        return data or b""

    def read_errors(self, size: int) -> bytes:
        """Return what it wrote to its standard error, at most `size` bytes."""
        return _read(self._errors, size) or b""

    def readable(self) -> bool:
        """Whether `read` or `over` has news."""
        return not self._ended and _wait(self._output, 0)

    def over(self, now: float) -> bool:
        """Whether the run is over; ends what a command that ended has left in its group."""
        if not self._gone():
            return False
        if self._left_at is None:
            self._left_at = now
            if not self._ended:
                self._signal(signal.SIGTERM)
        elif not self._ended and now >= self._left_at + _GRACE:
            self._signal(signal.SIGKILL)
        # Who left the group may hold the pipe for ever.
        return self._ended or now >= self._left_at + 2 * _GRACE

    def end(self) -> int:
        """Return the exit code of a run that is over, negative = the signal that ended it, and let go of everything."""
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        self._output.close()
        self._errors.close()
        return code

    def stop(self) -> bytes:
        """Ask the command and all that it started to end, make it end after a few seconds; return its last output."""
        self._signal(signal.SIGTERM)
        last: list[bytes] = []
        for _ in range(_STEPS):
            if (self._ended and self._gone()) or sum(map(len, last)) >= _LAST:
                break
            if not self._ended:
                _wait(self._output, _GRACE / _STEPS)
                last.append(self.read(_PIPE))
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE / _STEPS)
        self._signal(signal.SIGKILL)
        last.append(self.read(_PIPE))
        return b"".join(last)

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def _errors(self) -> IO[bytes]:
        assert self._process.stderr is not None
        return self._process.stderr

    def _gone(self) -> bool:
        """Whether the command itself ended; it stays a zombie, so that its group's id is nobody else's."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: none but zombies is left
                os.killpg(self._process.pid, number)


def _read(pipe: IO[bytes], size: int) -> bytes | None:
    """Return what is there, b"" at the end, None where there is nothing yet."""
    try:
        return os.read(pipe.fileno(), size)
    except BlockingIOError:
        return None


def _wait(pipe: IO[bytes], seconds: float) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
