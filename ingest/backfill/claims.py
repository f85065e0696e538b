"""Files that belong to a live source: ship reads them, or has read them, and a backfill would double their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ingest.api import FileFacts, SourceOptions, StreamState
from ingest.config.load import Config
from ingest.errors import Refused, StateDamaged, UsageError
from ingest.ship.entry import Entry
from ingest.ship.recovery import FILES, choose


def claimed(config: Config, wanted: SourceOptions, files: Sequence[FileFacts], state: Path) -> dict[str, str]:
    """Return path → why, for the files that a source of the configuration or ship's checkpoint says are its own.

    What the checkpoint remembers of a source that is no longer configured is shown to the connector of `wanted`, which
    is most likely of the same kind.

    Args:
        config: all its sources are asked.
        wanted: the source whose topic the files are to go to.
        files: what is asked about.
        state: the state directory; nothing there is changed.

    Raises:
        StateDamaged, Refused: ship's checkpoint can't be read, so that nothing can be promised.
    """
    states = states_by_source(remembered(state / "ship"))
    found: dict[str, str] = {}
    for options in config.source:
        for path, why in _asked(config, options, states.pop(options.name, []), files).items():
            found.setdefault(path, f'{why}: the source "{options.name}" ships it')
    for name, left in states.items():
        for path, why in _asked(config, wanted, left, files).items():
            found.setdefault(path, f'{why}: the source "{name}" shipped it')
    return found


def _asked(
    config: Config, options: SourceOptions, states: Sequence[StreamState], files: Sequence[FileFacts]
) -> dict[str, str]:
    return dict(config.registry.source(options.type).claimed(options, states, files))


def states_by_source(entries: Sequence[Entry]) -> dict[str, list[StreamState]]:
    """Return what each source left in the checkpoint."""
    found: defaultdict[str, list[StreamState]] = defaultdict(list)
    for entry in entries:
        found[entry.source].append(
            StreamState(
                entry.id, entry.path, entry.position, entry.sent, entry.boundaries, dict(entry.state), dict(entry.birth)
            )
        )
    return dict(found)


def remembered(directory: Path) -> list[Entry]:
    """Return the entries of ship's checkpoint, none where there is none; a running ship is not disturbed.

    Raises:
        StateDamaged: neither copy can be trusted.
        Refused: it may not be read.
    """
    try:
        found = choose(*(_bytes(directory / name) for name in FILES))
    except StateDamaged as error:
        raise StateDamaged(f"ship's checkpoint in {directory} says which files are shipped: {error}") from error
    return [] if found.content is None else found.content.entries


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Refused(
            f"{path} says which files are shipped, and can't be read: {error.strerror}; run as the user of ship"
        ) from error


def refuse(found: dict[str, str]) -> None:
    """Raise UsageError that names every claimed file, if there are any."""
    if found:
        lines = [f"{path} {why}" for path, why in sorted(found.items())]
        raise UsageError(
            "\n".join([*lines, "refused, nothing was written: their lines would be in the warehouse twice"])
        )
