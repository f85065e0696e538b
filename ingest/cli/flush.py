"""`ingest flush`: everything read so far is committed when it returns."""

from __future__ import annotations

from pathlib import Path

import typer

from ingest.cli import console
from ingest.cli.arguments import ConfigFile, StateDir
from ingest.cli.cells import text
from ingest.config.load import load

MARGIN = 30.0
"""Seconds that the answer may take longer than the flush: the service gives up first, and says why."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("flush")(flush)


def flush(config: ConfigFile, state: StateDir = None) -> None:
    """Have the running sink commit everything read so far; what it printed as next_offset is durable and visible."""
    # Imported here, so that the small commands start quickly.
    from ingest.service.control import call
    from ingest.wiring.jobs import FLUSH_WITHIN

    loaded = load(config, state=state)
    loaded.require_sink()
    with console.working("waiting for the commits"):
        rows = call(Path(loaded.state.dir), "sink", "flush", FLUSH_WITHIN + MARGIN)
    if not rows:
        console.print_line("The sink has no partitions yet: nothing was read.")
        return
    headers = ["topic", "partition", "next_offset", "stopped"]
    console.print_table(headers, [[text(row[header]) for header in headers] for row in rows])
