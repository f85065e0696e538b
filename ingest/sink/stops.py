"""Why a topic partition stands still, and what that means for the process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ingest.errors import DataLoss, IngestError, QuarantineBudget


@dataclass(frozen=True, slots=True)
class Stop:
    """A partition that goes on only after a person decided.

    Attributes:
        kind: "retention", "recreated", "truncated", "went back" for data loss; "quarantine" for the budget; "failed".
        message: for the log and `ingest status`: what, where, what to do.
        exit_code: what `--once` ends with when nothing worse happened.
        first, next: the lost range [first, next) of offsets, where there is one.
    """

    kind: str
    message: str
    exit_code: int
    first: int | None = None
    next: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for status and state files."""
        return asdict(self)


def stop_of(error: IngestError) -> Stop:
    """Return the stop that an error stands for."""
    if isinstance(error, DataLoss):
        return Stop(error.kind, str(error), error.exit_code, error.first, error.next)
    if isinstance(error, QuarantineBudget):
        return Stop("quarantine", str(error), error.exit_code)
    return Stop("failed", str(error), error.exit_code)


class PartitionsStopped(IngestError):
    """The worker ended while partitions wait for a person; the exit code is the gravest: data loss above failure."""

    def __init__(self, stops: list[Stop]) -> None:
        super().__init__("\n".join(stop.message for stop in stops))
        self.exit_code = max(stop.exit_code for stop in stops)
