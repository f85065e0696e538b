"""What the services of one state directory do: asked of them, or read from the disk where they don't run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.config.load import Config
from ingest.errors import Fatal, Unavailable
from ingest.service.control import NotRunning, call
from ingest.service.ownership import read_owner
from ingest.ship.entry import Entry
from ingest.ship.recovery import FILES, choose
from ingest.ship.status import ShippedStream
from ingest.sink.stops import StoppedPartition, read_stops


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part of the state directory.

    Attributes:
        running: whether a service answers for it.
        owner: what that service says of itself: pid, host, since, command; None = none runs.
        rows: of ship, streams as `ingest.ship.status.ShippedStream`; of sink, partitions as
            `ingest.sink.assignment.Assignment.describe`. Where no service runs, what the disk knows: figures that only
            a service has are None.
        problem: why there are no rows; None = there is none.
    """

    running: bool
    owner: dict[str, Any] | None
    rows: list[dict[str, Any]]
    problem: str | None = None


def ship_status(config: Config) -> PartStatus | None:
    """Return what ships; None = the configuration ships nothing. UsageError where another user's service runs."""
    return _status(config, "ship", _checkpoint) if config.source else None


def sink_status(config: Config) -> PartStatus | None:
    """Return what is written; None = the configuration has no sink. UsageError where another user's service runs."""
    return _status(config, "sink", _noted_stops) if config.sink is not None else None


def _status(config: Config, part: str, on_disk: Callable[[Path], list[dict[str, Any]]]) -> PartStatus:
    state = Path(config.state.dir)
    try:
        rows = call(state, part, "status")
    except NotRunning:
        return _from_disk(state / part, on_disk)
    except Unavailable as error:
        return PartStatus(True, read_owner(state / f"{part}.lock"), [], str(error))
    return PartStatus(True, read_owner(state / f"{part}.lock"), rows)


def _from_disk(directory: Path, on_disk: Callable[[Path], list[dict[str, Any]]]) -> PartStatus:
    try:
        return PartStatus(False, None, on_disk(directory))
    except Fatal as error:
        return PartStatus(False, None, [], str(error))
    except OSError as error:
        return PartStatus(False, None, [], f"{directory} can't be read: {error.strerror}")


def _checkpoint(directory: Path) -> list[dict[str, Any]]:
    found = choose(*(_content(directory / name) for name in FILES))
    entries = found.content.entries if found.content is not None else []
    return [dataclasses.asdict(_acknowledged(entry)) for entry in entries]


def _acknowledged(entry: Entry) -> ShippedStream:
    """How large the file is now can't be told: another one may be there under its path."""
    return ShippedStream(
        entry.source, entry.path, entry.generation, entry.position, entry.position, None, None, "in the checkpoint"
    )


def _noted_stops(directory: Path) -> list[dict[str, Any]]:
    return [_stopped(each) for each in read_stops(directory / "stopped.json")]


def _stopped(each: StoppedPartition) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "partition": each.partition,
        "phase": "stopped",
        "next_offset": each.next_offset,
        "read_offset": None,
        "open_rows": 0,
        "open_bytes": 0,
        "stopped": each.stop.message,
    }


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
