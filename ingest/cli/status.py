"""`ingest status`: what the running services do, or where they left off."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import typer

from ingest.cli import console
from ingest.cli.arguments import AsJson, ConfigFile, StateDir
from ingest.cli.cells import text
from ingest.config.load import load

STREAM = ("source", "path", "generation", "acknowledged", "size", "behind", "decision")
PARTITION = ("topic", "partition", "phase", "next_offset", "read_offset", "open_rows", "stopped")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(config: ConfigFile, as_json: AsJson = False, state: StateDir = None) -> None:
    """Show what the services on this state directory do: streams that are shipped, partitions that are written.

    Where a service does not run, shows what the state directory knows. JSON: an object with "state" (the directory),
    "ship" and "sink", each null or an object with "running", "owner", "problem" and "streams" or "partitions".
    """
    # Imported here, so that the small commands start quickly.
    from ingest.wiring.status import ship_status, sink_status

    loaded = load(config, state=state)
    parts = {"ship": ship_status(loaded), "sink": sink_status(loaded)}
    if as_json:
        document = {"state": loaded.state.dir} | {name: _document(name, part) for name, part in parts.items()}
        console.print_line(json.dumps(document))
    else:
        for name, part in parts.items():
            if part is not None:
                _print(name, part)
    if any(part is not None and part.problem for part in parts.values()):
        raise typer.Exit(1)


def _document(name: str, part: Any) -> dict[str, Any] | None:
    if part is None:
        return None
    document = dataclasses.asdict(part)
    document["streams" if name == "ship" else "partitions"] = document.pop("rows")
    return document


def _print(name: str, part: Any) -> None:
    if part.running:
        owner = part.owner or {}
        console.print_line(f"{name}: process {owner.get('pid', '?')} since {owner.get('since', '?')}")
    else:
        console.print_line(f"{name}: not running" + ("; what it noted last:" if part.rows else ""))
    if part.problem:
        console.print_line(f"  {part.problem}")
    elif part.rows:
        headers = STREAM if name == "ship" else PARTITION
        shown = [header for header in headers if part.running or header not in ("size", "behind", "read_offset")]
        console.print_table(shown, [[text(row[header]) for header in shown] for row in part.rows])
    elif part.running:
        console.print_line("  nothing in hand yet")
    console.print_line()
