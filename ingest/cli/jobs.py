"""`ingest ship`, `ingest sink`, `ingest run`: the work itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Literal

import typer

from ingest.cli import console
from ingest.cli.arguments import ConfigFile, Listen, StateDir
from ingest.config.load import load


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ship")(ship)
    app.command("sink")(sink)
    app.command("run")(run)


def ship(
    config: ConfigFile,
    once: Annotated[
        bool, typer.Option("--once", help="Read to the ends seen at the start, wait for the acknowledgements, end.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over the checkpoint of another machine whose files moved here.")
    ] = False,
    state: StateDir = None,
    listen: Listen = None,
) -> None:
    """Ship log lines to Kafka."""
    _run(config, "ship", ["ship"], once=once, adopt=adopt, state=state, listen=listen)


def sink(
    config: ConfigFile,
    once: Annotated[
        bool, typer.Option("--once", help="Read to the end offsets seen at the start, commit everything, end.")
    ] = False,
    state: StateDir = None,
    listen: Listen = None,
) -> None:
    """Write Kafka topics to the warehouse."""
    _run(config, "sink", ["sink"], once=once, adopt=False, state=state, listen=listen)


def run(config: ConfigFile, state: StateDir = None, listen: Listen = None) -> None:
    """Ship and sink in one service, for a single machine."""
    _run(config, "run", ["ship", "sink"], once=False, adopt=False, state=state, listen=listen)


def _run(
    config: ConfigFile,
    job: Literal["ship", "sink", "run"],
    jobs: Sequence[Literal["ship", "sink"]],
    *,
    once: bool,
    adopt: bool,
    state: StateDir,
    listen: Listen,
) -> None:
    # Imported here, so that the small commands start quickly.
    from ingest.service.tuning import tune
    from ingest.wiring.jobs import run_jobs
    from ingest.wiring.surroundings import Surroundings

    tune()
    loaded = load(config, state=state, listen=listen)
    loaded.require(job)
    around = Surroundings(loaded)
    around.begin_log()
    # A service speaks through its log alone; a run with an end shows a person at a terminal that it goes on.
    with console.working(f"{job} --once: {around.config.path}") if once else nullcontext():
        code = run_jobs(around, jobs, once=once, adopt=adopt)
    raise typer.Exit(code)
