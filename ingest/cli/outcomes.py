"""What a backfill says of its files: the plan of a dry run, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingest.backfill.files import File
from ingest.backfill.intake import Tally
from ingest.backfill.outcome import Ending, Outcome
from ingest.cli import console
from ingest.errors import IngestError


def print_plan(files: Sequence[File], outcomes: Sequence[Outcome], refused: Mapping[str, str]) -> None:
    """Print what would become of each file; those without an outcome are refused."""
    planned = {outcome.file.path: outcome for outcome in outcomes}
    rows = []
    for file in files:
        outcome = planned.get(file.path)
        if outcome is None:
            rows.append([file.name, f"{file.size:_}", "", "", "refused"])
            continue
        generation = outcome.decision.generation if outcome.decision else None
        lines = "" if outcome.lines is None else f"{outcome.lines:_}"
        name = "" if generation is None else f"{generation:016x}"
        rows.append([file.name, f"{file.size:_}", lines, name, outcome.words])
    console.print_table(["file", "size", "lines", "generation", "decision"], rows)
    for outcome in outcomes:
        if outcome.problem:
            console.print_error(IngestError(outcome.problem))


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print a table with what was brought into the warehouse, and an error for each file that is not done."""
    rows = [[outcome.file.name, *_figures(outcome.tally), outcome.words] for outcome in outcomes]
    total = Tally()
    for outcome in outcomes:
        total.add(outcome.tally)
    rows.append(["total", *_figures(total), ""])
    console.print_table(["file", "lines", "rows", "quarantined", "bytes", "decision"], rows)
    for outcome in outcomes:
        if outcome.ending is Ending.FAILED:
            console.print_error(IngestError(outcome.problem))
    stopped = [outcome for outcome in outcomes if outcome.ending is Ending.STOPPED]
    if stopped:
        text = f"ended before it was done: {stopped[0].problem}. What was committed stays; run again to go on there"
        console.print_error(IngestError(text))


def _figures(tally: Tally) -> list[str]:
    return [f"{tally.lines:_}", f"{tally.rows:_}", f"{tally.quarantined:_}", f"{tally.bytes:_}"]
