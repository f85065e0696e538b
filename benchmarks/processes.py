"""Contenders as processes of their own: how long, how much CPU, how much memory."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

TIMEOUT = 300.0
_SAMPLE = 0.02


class ContenderFailed(RuntimeError):
    """A process did not do what it was told; the text ends with what it said."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took, in seconds and bytes.

    Attributes:
        wall: from the start of the process to its end.
        cpu: user and system, of all its processes.
        rss: the most memory that it held.
        output: what it printed.
        work: the part of `wall` in which lines flowed, where something outside of the process tells.
    """

    wall: float
    cpu: float
    rss: int
    output: str = ""
    work: float | None = None

    @property
    def seconds(self) -> float:
        """Return the time in which lines flowed, as far as it is known."""
        return self.wall if self.work is None else self.work

    def working(self, begin: float, end: float) -> Self:
        """Return the same, with the work between two unix times."""
        return dataclasses.replace(self, work=end - begin)

    def as_it_says(self) -> Self:
        """Return the same, with the work from the first `begin TIME` that it printed to the last `end TIME`."""
        said = [line.split() for line in self.output.splitlines()]
        begins, ends = ([float(words[1]) for words in said if words[:1] == [which]] for which in ("begin", "end"))
        return self.working(min(begins), max(ends))

    @classmethod
    def together(cls, usages: Sequence[Usage]) -> Self:
        """Return what processes took that ran at the same time; their memory is added up."""
        return cls(
            max(usage.wall for usage in usages),
            sum(usage.cpu for usage in usages),
            sum(usage.rss for usage in usages),
            "".join(usage.output for usage in usages),
        )


class Child:
    """A running process, in a group of its own; what it says as an error is appended to `log`, if there is one."""

    def __init__(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._name = " ".join(map(str, command))[:200]
        # Not pipes: nobody reads while it runs. Closed when it has ended.
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._errors: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("a+b")  # noqa: SIM115
        self._rss = 0
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})},
            start_new_session=True,
        )
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether it still runs."""
        return (
            self._process.returncode is None
            and os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        )

    def stop(self) -> None:
        """Ask it to end."""
        if self.alive:
            self._process.terminate()

    def kill(self) -> None:
        """End it and what it started, at once."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._reap()

    def wait(self, timeout: float = TIMEOUT, codes: Sequence[int] = (0,)) -> Usage:
        """Return what it took, once it has ended.

        Raises:
            ContenderFailed: it did not end in time, or with none of `codes`.
        """
        deadline = self._began + timeout
        watchdog = threading.Timer(max(0.0, deadline - time.perf_counter()), self._give_up)
        watchdog.start()
        try:
            wall, cpu = self._reap()
        finally:
            watchdog.cancel()
        code = self._process.returncode
        output, errors = _text(self._output), _text(self._errors)
        if code not in codes:
            raise ContenderFailed(f"{self._name} ended with {code}\n{output[-1500:]}\n{errors[-6000:]}")
        return Usage(wall, cpu, self._rss, output)

    def _reap(self) -> tuple[float, float]:
        _, status, usage = os.wait4(self._process.pid, 0)
        wall = time.perf_counter() - self._began
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
        self._sampler.join()
        return wall, usage.ru_utime + usage.ru_stime

    def _give_up(self) -> None:
        # Python says where its threads are before it dies of this.
        os.killpg(self._process.pid, signal.SIGABRT)

    def _sample(self) -> None:
        # Not ru_maxrss: that begins with what the parent held when it forked.
        status = Path(f"/proc/{self._process.pid}/status")
        while not self._ended.wait(_SAMPLE):
            try:
                lines = status.read_text().splitlines()
            except OSError:
                return
            peak = next((line for line in lines if line.startswith("VmHWM:")), None)
            if peak is not None:
                self._rss = max(self._rss, int(peak.split()[1]) * 1024)


def run(*commands: Sequence[str | Path], timeout: float = TIMEOUT, env: Mapping[str, str] | None = None) -> Usage:
    """Run commands at the same time, to their ends.

    Raises:
        ContenderFailed: see `Child.wait`.
    """
    children = [Child(command, env) for command in commands]
    try:
        return Usage.together([child.wait(timeout) for child in children])
    finally:
        for child in children:
            child.kill()


def run_until(command: Sequence[str | Path], done: Callable[[], bool], timeout: float = TIMEOUT) -> Usage:
    """Run a daemon until `done` says so, then end it; `wall` is the time until then.

    Raises:
        ContenderFailed: it ended by itself, or was not done in time.
    """
    child = Child(command)
    began = time.perf_counter()
    try:
        while not done():
            if not child.alive:
                child.wait()
                raise ContenderFailed(f"{' '.join(map(str, command))} ended before it was done")
            if time.perf_counter() - began > timeout:
                raise ContenderFailed(f"{' '.join(map(str, command))} was not done within {timeout:g} s")
            time.sleep(_SAMPLE)
        wall = time.perf_counter() - began
        child.stop()
        usage = child.wait()
        return dataclasses.replace(usage, wall=wall)
    finally:
        child.kill()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.close()
    return text
