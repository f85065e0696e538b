"""The command `ingest`: puts the commands together and turns errors into exit codes.

0  done                    2  wrong usage or configuration      4  verification found a difference
1  failed while running    3  stopped on a data-loss event      130  interrupted (Ctrl-C)
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import ingest
from ingest.cli import accept_loss, backfill, check, connectors, console, flush, jobs, offsets, status, verify
from ingest.cli.demo import command as demo
from ingest.errors import IngestError

GROUPS = (demo, check, jobs, backfill, flush, status, offsets, accept_loss, verify, connectors)
"""The modules of commands, in the order of the help; each has `register(app)`."""


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print_line(f"ingest {ingest.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Application logs to Kafka to Parquet on HDFS or a local disk: every line exactly once."""


def application() -> typer.Typer:
    """Return the command with all its subcommands."""
    app = typer.Typer(
        name="ingest",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        callback=_options,
    )
    for group in GROUPS:
        group.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Args:
        arguments: without the program's name; None = the process's.
    """
    console.suit_any_locale()
    try:
        application()(args=None if arguments is None else list(arguments), prog_name="ingest")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except IngestError as error:
        console.print_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    # A reader that left early (`| head`) is no reason for a traceback, but what it did not get was not done.
    return code if console.flush() else code or 1


def command() -> NoReturn:
    """Be the program `ingest`: run a command and end the process at once.

    Everything was closed and written when `main` returns. Taking the interpreter down under the threads that Arrow and
    the Kafka client still wind down was seen to abort a process whose work was done, with an exit code that lied.
    """
    code = main()
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    command()
