"""Why a topic partition stands still, and what that means for the process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from ingest.errors import DataLoss, IngestError, QuarantineBudget, StateDamaged

FAILED = "failed"


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

    @property
    def acceptable(self) -> bool:
        """Return whether a person can let it go on while the worker runs; a failure stays until it is started anew."""
        return self.kind != FAILED


def stop_of(error: IngestError) -> Stop:
    """Return the stop that an error stands for."""
    if isinstance(error, DataLoss):
        return Stop(error.kind, str(error), error.exit_code, error.first, error.next)
    if isinstance(error, QuarantineBudget):
        return Stop("quarantine", str(error), error.exit_code)
    return Stop(FAILED, str(error), error.exit_code)


class PartitionsStopped(IngestError):
    """The worker ended while partitions wait for a person; the exit code is the gravest: data loss above failure."""

    def __init__(self, stops: list[Stop]) -> None:
        super().__init__("\n".join(stop.message for stop in stops))
        self.exit_code = max(stop.exit_code for stop in stops)


@dataclass(frozen=True, slots=True)
class StoppedPartition:
    """A partition that stands still, as its worker notes it in the state directory.

    `next_offset` is the chain's, as the worker knew it; None = it never got so far.
    """

    topic: str
    partition: int
    next_offset: int | None
    stop: Stop


def write_stops(path: Path, stops: Iterable[StoppedPartition]) -> None:
    """Put the list in the place of the one before, for whoever looks at the state directory."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps([asdict(stop) for stop in stops], indent=2) + "\n")
    os.replace(scratch, path)


def read_stops(path: Path) -> list[StoppedPartition]:
    """Return what a worker noted last; nothing where none ever ran.

    Raises:
        StateDamaged: the file can't be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[StoppedPartition])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise StateDamaged(f"{path} can't be read: {error}. Delete it: a running sink writes it anew") from error
