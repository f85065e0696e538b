"""`ingest accept-loss`: lets partitions go on that stopped on a data-loss event, or over their quarantine budget."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.cli import console
from ingest.cli.arguments import ConfigFile, StateDir
from ingest.config.load import Config, load
from ingest.errors import Fenced, UsageError

if TYPE_CHECKING:
    from ingest.sink.acceptance import Acceptance
    from ingest.wiring.accept import AcceptLoss

HEADERS = ["topic", "partition", "kind", "first", "next", "lost", "by", "goes on at"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("accept-loss")(accept_loss)


def accept_loss(
    config: ConfigFile,
    quarantine: Annotated[
        bool,
        typer.Option("--quarantine", help="Not losses: let partitions go on where too much could not be parsed."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Accept what is shown without asking.")] = False,
    topic: Annotated[str | None, typer.Option("--topic", help="Of this topic alone.", metavar="TOPIC")] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", help="Of this partition of the topic alone.", metavar="NUMBER", min=0)
    ] = None,
    why: Annotated[str | None, typer.Option("--why", help="Goes into the record that stays.", metavar="TEXT")] = None,
    state: StateDir = None,
) -> None:
    """Show what was lost, ask, and let the stopped partitions go on.

    Exactly what is shown is accepted, with who, when and why, in a record that `ingest verify` reports. A running sink
    goes on within seconds. Should another worker have gone on meanwhile, nothing is accepted there: exit code 1.
    """
    # Imported here, so that the small commands start quickly.
    from ingest.wiring.accept import AcceptLoss
    from ingest.wiring.look import warehouse_of

    if partition is not None and topic is None:
        raise UsageError("--partition needs --topic: of which topic?")
    loaded = load(config, state=state)
    with warehouse_of(loaded) as warehouse:
        acceptance = AcceptLoss(loaded, warehouse)
        _require_known(acceptance, loaded, topic)
        found = acceptance.budgets() if quarantine else acceptance.losses()
        chosen = [each for each in found if topic in (None, each.topic) and partition in (None, each.partition)]
        _report_unreadable(acceptance)
        if not chosen:
            console.print_line("Nothing to accept: no partition is " + ("over its budget." if quarantine else "lost."))
            return
        _show(chosen)
        if not yes and not _ask():
            console.print_line("Nothing was accepted.")
            raise typer.Exit(1)
        if not _publish(acceptance, chosen, why):
            raise typer.Exit(1)


def _require_known(acceptance: AcceptLoss, config: Config, topic: str | None) -> None:
    known = {each.topic for each in acceptance.partitions()} | set(config.require_sink().topics)
    if topic is not None and topic not in known:
        raise UsageError(f'the sink has no topic "{topic}"; it has {", ".join(sorted(known))}')


def _report_unreadable(acceptance: AcceptLoss) -> None:
    """Name the chains that nothing can be said of; nothing of them is accepted."""
    for each in acceptance.partitions():
        if each.problem is not None:
            console.print_line(f"{each.topic}/{each.partition} is left out, its chain can't be read: {each.problem}")


def _show(chosen: Sequence[Acceptance]) -> None:
    console.print_table(HEADERS, [_row(each) for each in chosen])
    console.print_line()
    for each in chosen:
        console.print_line(f"{each.topic}/{each.partition}: {each.message}.")
    console.print_line()


def _row(each: Acceptance) -> list[str]:
    lost = "not known" if each.lost is None else f"{each.lost} offsets"
    closing = "loss" if each.kind != "quarantine" else "budget"
    by = f"{closing} commit" + (f", new era {each.era + 1}" if each.opens_era else "")
    return [each.topic, *map(str, (each.partition, each.kind, each.first, each.next, lost, by, each.resume))]


def _ask() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked: say --yes to accept what is shown above")
    sys.stdout.write("Accept this? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _publish(acceptance: AcceptLoss, chosen: Sequence[Acceptance], why: str | None) -> bool:
    """Return whether all was accepted; a partition that was not is named and does not hold up the others."""
    accepted = True
    for each in chosen:
        try:
            tail = acceptance.publish(each, _who(), why or each.message)
        except Fenced as error:
            console.print_error(error)
            accepted = False
        else:
            console.print_line(
                f"{each.topic}/{each.partition}: accepted, goes on at offset {tail.next_offset} of era {tail.era}."
            )
    return accepted


def _who() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number without a name, as in containers
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
