"""How far a run over files is: a bar on a terminal, a line now and then elsewhere, nothing where it is quickly done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ingest.backfill.files import File
from ingest.backfill.outcome import Outcome
from ingest.service.redaction import escape_controls

SILENT: Final = 1.0
"""Seconds in which nothing is shown."""

EVERY: Final = 10.0
"""Seconds between two lines about one file."""


class FileProgress:
    """Shows the bytes of files that were read, on stderr; see `ingest.backfill.run.Watcher`. A context manager.

    Args:
        files: all that the run is about.
        monotonic: measures.
    """

    def __init__(self, files: Sequence[File], monotonic: Callable[[], float]) -> None:
        self._total = sum(file.size for file in files)
        self._monotonic = monotonic
        self._begun = monotonic()
        self._said = self._begun
        self._before = 0
        self._file: File | None = None
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, file: File) -> None:
        """See `Watcher.begin`."""
        self._file = file
        self.moved(0)

    def moved(self, consumed: int) -> None:
        """See `Watcher.moved`."""
        if self._file is None or self._monotonic() - self._begun < SILENT:
            return
        if sys.stderr.isatty():
            self._draw(self._before + consumed)
        elif self._monotonic() - self._said >= EVERY:
            self._said = self._monotonic()
            part = 100 * consumed // max(1, self._file.size)
            sys.stderr.write(f"{escape_controls(self._file.name)}: {part} %\n")

    def end(self, outcome: Outcome) -> None:
        """See `Watcher.end`."""
        self._before += outcome.file.size
        self._file = None
        if self._bar is not None:
            self._bar.update(self._task, completed=self._before)
        elif self._monotonic() - self._begun >= SILENT and not sys.stderr.isatty():
            self._said = self._monotonic()
            sys.stderr.write(f"{escape_controls(outcome.file.name)}: {escape_controls(outcome.words)}\n")

    def _draw(self, completed: int) -> None:
        assert self._file is not None
        name = escape(escape_controls(os.path.basename(self._file.name)))
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(name, total=self._total)
            self._bar.start()
        self._bar.update(self._task, description=name, completed=completed)
