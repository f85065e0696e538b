"""One server process: its log in a file, its life bounded by ours."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# The server runs beside a reader of a pipe whose other end only we hold: however we go, it is killed then.
_GUARD = """
exec 3<&0 </dev/null
"$@" 3<&- & child=$!
{ cat <&3; kill -9 $child; } >/dev/null 2>&1 &
exec 3<&-
trap 'kill -TERM $child' TERM
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
exit $code
"""
_KILL_TIMEOUT = 30.0  # a JVM of some GB gives its memory back within a second; only a stuck kernel call takes longer


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A command that runs until it is stopped or killed, in a process group of its own.

    It is reaped when the interpreter exits (also by Ctrl-C) and dies with us when we are killed.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                ["sh", "-c", _GUARD, name, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def alive(self) -> bool:
        """Return whether the server still runs."""
        return self._child is not None and self._child.poll() is None

    def wait_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Ask `ready` until it says yes.

        Raises:
            RuntimeError: the process ended, or `timeout` seconds passed; the text ends with the log's tail, and the
                process is gone.
        """
        deadline = time.monotonic() + timeout
        while True:
            if not self.alive:
                problem = "ended before it was ready"
                break
            if ready():
                return
            if time.monotonic() > deadline:
                problem = f"was not ready within {timeout:g} s"
                break
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"{self.name} {problem}; {self.log} ends with:\n{self.tail()}")

    def tail(self, size: int = 4000) -> str:
        """Return the end of the log."""
        if not self.log.exists():
            return "(no log)"
        return self.log.read_bytes()[-size:].decode("utf-8", "replace")

    def suspend(self) -> None:
        """Let it hang (SIGSTOP): it keeps its sockets and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `suspend`."""
        self._signal(signal.SIGCONT)

    def stop(self, timeout: float = 15.0) -> None:
        """Ask it to end (SIGTERM) and wait; killed when it does not obey within `timeout` seconds.

        Raises:
            RuntimeError: as `kill`.
        """
        if self._child is not None:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL) and reap it; fine if it is gone.

        On return every process of its group is dead: ports, locks and files are free for the next start.

        Raises:
            RuntimeError: some process of the group outlived SIGKILL.
        """
        atexit.unregister(self.kill)
        if self._child is None:
            return
        child, self._child = self._child, None
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdin is not None:
            child.stdin.close()
        # Who was reaped is the guard; the server itself is init's child by now, and dies in its own time.
        deadline = time.monotonic() + _KILL_TIMEOUT
        while survivors := _living(child.pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: processes {survivors} outlived SIGKILL by {_KILL_TIMEOUT:g} s")
            time.sleep(0.005)

    def _signal(self, number: int) -> None:
        if self._child is not None:
            _signal_group(self._child.pid, number)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _living(group: int) -> list[int]:
    """Return the processes of a group that still run. Zombies are dead: not every container's init reaps them."""
    if not _signal_group(group, 0):
        return []
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, of_group = entry.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                found.append(int(entry.parent.name))
    return found
