"""The programs that ship, as processes that are started, stopped and killed from outside."""

from __future__ import annotations

import abc
import json
import urllib.request
from importlib.metadata import version
from pathlib import Path

from benchmarks import product
from benchmarks.peers import rsyslog
from benchmarks.processes import Child
from benchmarks.tail_faults.logs import until
from tests.servers.process import free_port

CLOSE_AFTER = "4s"
"""No growth for so long, and `ingest` gives an unterminated last line out; its default is minutes."""

LOSSES = (
    "file was truncated or replaced",
    "file is gone before it was read to its end",
    "file is gone or was replaced while nobody looked",
    "files came and went",
    "compressed files are not read",
    "checkpoint damaged",
)
"""What `ingest` says in its log, or a part of that, when lines may be lost that nobody can read any more."""


class Shipper(abc.ABC):
    """One program with a configuration and a state of its own.

    Args:
        directory: for its configuration, state and log.
        bootstrap: the broker.
        topic: where it ships to.
        glob: what it ships.
        files: how many files it may have open; None = as we may.
    """

    name: str

    def __init__(self, directory: Path, bootstrap: str, topic: str, glob: str, files: int | None = None) -> None:
        self.log = directory / "shipper.log"
        self.state = directory / "state"
        self.state.mkdir()
        command = list(map(str, self._command(directory, bootstrap, topic, glob)))
        self._words = command if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$0" "$@"', *command]
        self._child: Child | None = None

    @abc.abstractmethod
    def _command(self, directory: Path, bootstrap: str, topic: str, glob: str) -> list[str | Path]:
        """Write the configuration; return the command, which stays in the foreground."""

    @classmethod
    @abc.abstractmethod
    def release(cls) -> str:
        """Return the program's version."""

    @classmethod
    def missing(cls) -> str | None:
        """Return why it can't run here; None = it can."""
        return None

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Begin a life."""
        self._child = Child(self._words, log=self.log)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.alive:
            assert self._child is not None
            self._child.stop()
            until(lambda: not self.alive, 60.0)
        self.kill()

    def kill(self) -> None:
        """End it at whatever it is doing."""
        if self._child is not None:
            self._child.kill()

    def said(self) -> list[str]:
        """Return what it said of loss, each once; asked while it runs."""
        return []

    def zero_state(self) -> None:
        """Fill the files of its state with zeros, as a power cut may do."""
        for path in self.state.rglob("*"):
            if path.is_file() and not path.is_symlink() and self._is_position(path.name):
                path.write_bytes(b"\0" * path.stat().st_size)

    def _is_position(self, name: str) -> bool:
        return True


class Ingest(Shipper):
    """`ingest ship`."""

    name = "ingest"

    def _command(self, directory: Path, bootstrap: str, topic: str, glob: str) -> list[str | Path]:
        self._listen = f"127.0.0.1:{free_port()}"
        more = {"close_after": CLOSE_AFTER}
        config = product.configuration(
            directory, bootstrap, {topic: glob}, level="info", more=more, listen=self._listen
        )
        return [product.INGEST, "ship", "-c", config]

    @classmethod
    def release(cls) -> str:
        return version("ingest")

    def said(self) -> list[str]:
        """Return events of its log, and its counters of lines that it did not send whole."""
        events = {}
        for line in self.log.read_text(errors="replace").splitlines():
            event = json.loads(line).get("event", "") if line.startswith("{") else ""
            events |= {loss: None for loss in LOSSES if loss in event}
        return [*events, *self._counters()]

    def _counters(self) -> list[str]:
        if not self.alive:
            return []
        with urllib.request.urlopen(f"http://{self._listen}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return [line for line in lines if line.startswith(("ingest_ship_dropped_", "ingest_ship_lost_"))]

    def _is_position(self, name: str) -> bool:
        return name == "checkpoint.json"


class Rsyslog(Shipper):
    """rsyslog, imfile → omkafka, told to heed truncation; else as it is when nothing is set."""

    name = "rsyslog"
    imfile = 'reopenOnTruncate="on"'

    def _command(self, directory: Path, bootstrap: str, topic: str, glob: str) -> list[str | Path]:
        self._pid_file = self.state / "rsyslog.pid"
        return rsyslog.command(self.state, bootstrap, topic, glob, self.imfile)

    @classmethod
    def release(cls) -> str:
        return rsyslog.release()

    @classmethod
    def missing(cls) -> str | None:
        return rsyslog.missing()

    def start(self) -> None:
        """Begin a life; of one that was killed a file is left that would keep it from starting."""
        self._pid_file.unlink(missing_ok=True)
        super().start()

    def _is_position(self, name: str) -> bool:
        return name.startswith("imfile-state")


class CarefulRsyslog(Rsyslog):
    """The same, noting after each line how far it is."""

    name = "rsyslog, state saved for each line"
    imfile = f'{Rsyslog.imfile} persistStateInterval="1"'


SHIPPERS: list[type[Shipper]] = [Ingest, Rsyslog]
WHEN_KILLED: list[type[Shipper]] = [Ingest, Rsyslog, CarefulRsyslog]
