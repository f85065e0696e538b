"""`ingest connectors`: what is installed, and which distribution brought it."""

from __future__ import annotations

import dataclasses
import json

import typer

from ingest.cli import console
from ingest.cli.arguments import AsJson
from ingest.config.registry import Registry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("connectors")(connectors)


def connectors(as_json: AsJson = False) -> None:
    """List the connectors that are installed, with the distribution that each comes from.

    Nothing of a connector is imported for this: one that can't be loaded is listed as well.
    """
    installed = Registry().installed()
    if as_json:
        console.print_line(json.dumps([dataclasses.asdict(plugin) for plugin in installed]))
        return
    console.print_table(
        ["kind", "name", "origin", "target"],
        [[plugin.kind, plugin.name, f"{plugin.origin} {plugin.version}", plugin.target] for plugin in installed],
    )
