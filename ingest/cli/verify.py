"""`ingest verify`: do the files hold what the chains say?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ingest.cli import console
from ingest.cli.arguments import AsJson
from ingest.clock import Clock, SystemClock
from ingest.config.load import load
from ingest.errors import UsageError

if TYPE_CHECKING:
    from ingest.commit.report import Finding, Report

DIFFERENT = 4
"""The exit code when a difference was found."""

PATIENCE = 1.0
"""Seconds after which a person at a terminal wants to see that something goes on."""

COUNTS = {
    "chains": "chains",
    "eras": "eras",
    "commits": "commits",
    "files": "files",
    "bytes": "bytes",
    "rows": "rows",
    "quarantined": "quarantined",
    "duplicates": "duplicates dropped",
    "lost_offsets": "lost offsets, accepted",
    "streams": "source streams",
    "staged": "staged leftovers",
}
"""The report's counts in the order and the words in which people read them; others follow."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    root: Annotated[
        Path | None, typer.Argument(help="A warehouse in a local directory; instead of --config.", metavar="ROOT")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="The configuration file; its destination.", metavar="FILE")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read the rows too, not only bytes and footers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hold the files of a warehouse against its commit chains; works beside running services.

    Exit code 0: they hold exactly what the chains say; 4: every difference is listed.
    """
    # Imported here, so that the small commands start quickly.
    from ingest.commit import verify as verification
    from ingest.wiring.look import require_warehouse, warehouse_at, warehouse_of

    if (root is None) == (config is None):
        raise UsageError("give a warehouse's directory, or a configuration with -c: one of the two")
    if root is not None:
        opened, where = warehouse_at(root), str(root)
    else:
        assert config is not None
        loaded = load(config)
        opened, where = warehouse_of(loaded), loaded.require_sink().destination.root
    with opened as warehouse, _progress(SystemClock()) as progress:
        require_warehouse(warehouse, where)
        report = verification.verify(warehouse, deep, progress)
    if as_json:
        console.print_line(json.dumps(report.as_dict()))
    else:
        _print(report, where)
    if not report.ok:
        raise typer.Exit(DIFFERENT)


def _print(report: Report, where: str) -> None:
    console.print_line(f"warehouse {where}")
    words = COUNTS | {name: name.replace("_", " ") for name in sorted(set(report.counts) - set(COUNTS))}
    width = max(map(len, words.values()))
    for name, word in words.items():
        console.print_line(f"  {word.ljust(width)}  {report.counts[name]:_}")
    _print_findings("for information", report.notes)
    _print_findings("differences", report.differences)
    console.print_line()
    if report.ok:
        console.print_line("verified: the files hold what the chains say")
    else:
        console.print_line(f"NOT VERIFIED: {len(report.differences)} differences")


def _print_findings(title: str, findings: list[Finding]) -> None:
    if findings:
        console.print_line()
        console.print_line(title)
    for finding in findings:
        console.print_line(f"  {finding.kind}: {finding.path}: {finding.detail}")


@contextmanager
def _progress(clock: Clock) -> Iterator[Any]:
    """Give what is told after every file, shown on a terminal once it takes longer; gone at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[path]}"))
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    task = bar.add_task("", path="")
    patient_until = clock.monotonic() + PATIENCE

    def tell(done: int, total: int, path: str) -> None:
        if clock.monotonic() >= patient_until:
            bar.start()
            bar.update(task, completed=done, total=total, path=Path(path).name)

    try:
        yield tell
    finally:
        bar.stop()
