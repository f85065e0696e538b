"""Runs `ingest` commands as real processes, kills them, and watches their memory."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

INGEST = [sys.executable, "-m", "ingest.cli.main"]


def run(arguments: list[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*INGEST, *arguments], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
    )


class Victim:
    """A long-running command that is killed and started again; remembers the most memory that any of its lives held."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.arguments = arguments
        self.log = log
        self.kills = 0
        self.peak_bytes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> None:
        """Begin a life; what it prints is appended to the log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*INGEST, *self.arguments], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        if not self._watch.is_alive():
            self._watch.start()

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        assert self._process is not None
        if (early := self._process.poll()) is not None:
            raise RuntimeError(f"{self.arguments} ended by itself with {early}:\n{self.tail()}")
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1

    def stop(self, timeout: float = 90) -> int:
        """SIGTERM; returns the exit code, 0 where the signal came before there was anything to finish."""
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(timeout)
            return 0 if code == -signal.SIGTERM else code
        finally:
            self._closing.set()

    def end(self) -> None:
        """Make sure that nothing is left behind."""
        self._closing.set()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def tail(self, size: int = 3000) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(errors="replace")[-size:]

    def _sample(self) -> None:
        while not self._closing.wait(0.2):
            process = self._process
            if process is None or process.poll() is not None:
                continue
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                continue
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_bytes = max(self.peak_bytes, int(line.split()[1]) * 1024)
