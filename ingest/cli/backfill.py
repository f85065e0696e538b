"""`ingest backfill files`: files straight into the warehouse, once, with an end."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from ingest.cli.arguments import ConfigFile, StateDir
from ingest.cli.interrupts import Interrupts
from ingest.config.load import load
from ingest.service.redaction import escape_controls

INTERRUPTED = 130

Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="The files, plain or gzip, oldest taken first.")]
SourceName = Annotated[
    str, typer.Option("--source", metavar="NAME", help="The source of the configuration as which they are read.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help="Fill the warehouse once."
    )
    group.command("files")(files)
    group.callback()(_group)
    app.add_typer(group, name="backfill")


def _group() -> None:
    """Write to the warehouse without Kafka."""


def files(
    paths: Paths,
    config: ConfigFile,
    source: SourceName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Take the files also where their content is in the warehouse already.")
    ] = False,
    accept_quarantine: Annotated[
        bool, typer.Option("--accept-quarantine", help="Go on however many lines can't be parsed.")
    ] = False,
    state: StateDir = None,
) -> None:
    """Write files to the warehouse, each content once: a second run adds nothing, one that was killed is completed.

    Exit code 0 only if every line of every file is in the warehouse. Files that a source ships are refused.
    """
    # Imported here, so that the small commands start quickly.
    from ingest.backfill.claims import refuse
    from ingest.backfill.outcome import exit_code
    from ingest.backfill.patience import Patience
    from ingest.cli.outcomes import print_outcomes, print_plan
    from ingest.cli.progress import FileProgress
    from ingest.service.tuning import tune
    from ingest.wiring import backfill
    from ingest.wiring.surroundings import Surroundings

    tune()
    around = Surroundings(load(config, state=state))
    around.begin_log()
    request = backfill.Request(source, paths, again, accept_quarantine)
    surveyed = backfill.look(around, request)
    if dry_run:
        allowed = [file for file in surveyed.files if file.path not in surveyed.refused]
        outcomes = backfill.dry_run(around, request, allowed, _warn)
        print_plan(surveyed.files, outcomes, surveyed.refused)
        refuse(surveyed.refused)
        raise typer.Exit(exit_code(outcomes))
    refuse(surveyed.refused)
    with Interrupts(around.clock) as signals, FileProgress(surveyed.files, around.clock.monotonic) as progress:
        patience = Patience(around.clock, signals.wait, lambda text: _warn(f"waiting: {text}"))
        outcomes = backfill.take(around, request, surveyed.files, patience, progress, signals.stopping)
    print_outcomes(outcomes)
    code = exit_code(outcomes)
    raise typer.Exit(INTERRUPTED if code and signal.SIGINT in signals.caught else code)


def _warn(text: str) -> None:
    sys.stderr.write(f"{escape_controls(text)}\n")
