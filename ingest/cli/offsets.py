"""`ingest offsets`: how far the warehouse is, beside what Kafka has; works with and without running services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ingest.cli import console
from ingest.cli.arguments import ConfigFile, StateDir
from ingest.cli.cells import text
from ingest.config.load import load

if TYPE_CHECKING:
    from ingest.wiring.look import PartitionLook

HEADERS = [
    "topic",
    "partition",
    "era",
    "next_offset",
    "group_offset",
    "log_start",
    "log_end",
    "lag",
    "headroom",
    "note",
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("offsets")(offsets)


def offsets(config: ConfigFile, state: StateDir = None) -> None:
    """Show for each topic partition how far the warehouse is, and what Kafka has.

    next_offset is the chain's: the first offset not yet in the warehouse. lag = log_end - next_offset: records still to
    be written. headroom = next_offset - log_start: records that retention may yet delete before one is lost.
    """
    # Imported here, so that the small commands start quickly.
    from ingest.wiring.look import Look, warehouse_of

    loaded = load(config, state=state)
    with warehouse_of(loaded) as warehouse, console.working("asking Kafka and the warehouse"):
        found = Look(loaded, warehouse).partitions()
    if not found:
        console.print_line("Neither Kafka nor the warehouse knows a partition of the sink's topics.")
        return
    console.print_table(HEADERS, [_row(each) for each in found])


def _row(each: PartitionLook) -> list[str]:
    tail, bounds = each.tail, each.bounds
    next_offset = None if tail is None else tail.next_offset
    lag = headroom = None
    if next_offset is not None and bounds is not None:
        lag, headroom = bounds.end - next_offset, next_offset - bounds.beginning
    figures = [
        each.partition,
        None if tail is None else tail.era,
        next_offset,
        each.group_offset,
        None if bounds is None else bounds.beginning,
        None if bounds is None else bounds.end,
        lag,
        headroom,
    ]
    return [each.topic, *map(text, figures), "; ".join(notes(each))]


def notes(each: PartitionLook) -> list[str]:
    """Return what a person should know of a partition, the worst first."""
    from ingest.sink.loss import loss_of

    if each.problem is not None:
        return [f"the chain can't be read: {each.problem}"]
    if each.bounds is None:
        return ["Kafka has no such partition"]
    if each.tail is None:
        return ["not begun: the first sink begins it"]
    next_offset, told = each.tail.next_offset, each.group_offset
    found = []
    loss = loss_of(each.topic, each.partition, next_offset, each.tail.topic_id, each.bounds)
    if loss is not None:
        lost = f", {loss.next - next_offset} offsets" if loss.next is not None else ""
        found.append(f"LOSS ({loss.kind}{lost}): see ingest accept-loss")
    if told is None:
        found.append("the group was told nothing yet: harmless, the chain decides")
    elif told != next_offset:
        where = "behind" if told < next_offset else "ahead"
        found.append(f"the group's offset is {abs(told - next_offset)} {where}: harmless, the chain decides")
    return found
