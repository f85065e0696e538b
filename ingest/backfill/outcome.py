"""What became of the files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.backfill.decision import Decision, Kind
from ingest.backfill.files import File
from ingest.backfill.intake import Tally


class Ending(StrEnum):
    """How a file came out."""

    DONE = "done"
    """All of it is in the warehouse, now or since before."""
    FAILED = "failed"
    STOPPED = "stopped"
    """The run ended before the file did."""


@dataclass(slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        file: which.
        ending: how it came out.
        decision: what was decided; None = nothing was.
        tally: what was brought into the warehouse.
        problem: why it is not done.
        lines: of content not yet in the warehouse; only known in a dry run, and there where it is cheap.
    """

    file: File
    ending: Ending = Ending.DONE
    decision: Decision | None = None
    tally: Tally = field(default_factory=Tally)
    problem: str = ""
    lines: int | None = None

    @property
    def words(self) -> str:
        """Return the decision, or how the file failed, as people read it."""
        if self.decision is not None and self.decision.kind is Kind.UNCLEAR:
            return str(Kind.UNCLEAR)
        if self.ending is not Ending.DONE:
            return str(self.ending)
        return "" if self.decision is None else decided(self.decision)


def decided(decision: Decision) -> str:
    """Return a decision as people read it."""
    place = decision.place.path if decision.place else ""
    if decision.kind is Kind.RESUME:
        return f"resume at {decision.at}" + (f", begun as {place}" if place else "")
    return f"{decision.kind} {place}" if decision.kind is Kind.SAME_AS else str(decision.kind)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return what the process ends with: 0 only if all of every file is in the warehouse."""
    return int(any(outcome.ending is not Ending.DONE for outcome in outcomes))
