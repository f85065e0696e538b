"""What the files of a checkpoint say together, after whatever happened to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.errors import StateDamaged
from ingest.ship.changes import Change, Journal, decode_journal
from ingest.ship.checkpoint_file import Content, Damaged, decode
from ingest.ship.entry import Entry

NAME: Final = "checkpoint.json"
PREVIOUS: Final = "checkpoint.previous.json"
CHANGES: Final = "checkpoint.changes"
COPY: Final = "checkpoint.changes.copy"
FILES: Final = (CHANGES, COPY, NAME, PREVIOUS)
"""In the order in which they are to be read while somebody may write them: what changes must not be newer than what it
changes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What `choose` made of the files.

    Attributes:
        content: what to go on with; None = there never was a checkpoint.
        warnings: what a person should know.
        damaged: the names of files to be put aside.
    """

    content: Content | None
    warnings: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def choose(changes: bytes | None, copy: bytes | None, newer: bytes | None, previous: bytes | None) -> Found:
    """Decide what to go on with; None = that file does not exist.

    Raises:
        StateDamaged: neither whole checkpoint can be trusted, or a newer version wrote one of the files.
    """
    found = _whole(newer, previous)
    if found.content is None:
        return found
    journals: dict[str, Journal] = {}
    for name, data in ((CHANGES, changes), (COPY, copy)):
        if data is not None:
            journals[name] = _told(name, lambda data=data: decode_journal(data))  # type: ignore[misc]
    damaged = [name for name, journal in journals.items() if journal.problem]
    late = [name for name, journal in journals.items() if journal.serial > found.content.serial]
    warnings = [f"{name} is damaged: {journals[name].problem}" for name in damaged]
    warnings += [f"{name} belongs to a newer checkpoint than the one that is here" for name in late]
    if found.content.serial and not journals:
        warnings.append(f"{CHANGES} and {COPY} are missing: files begun since then are read again as new ones")
    if warnings:
        warnings.append("lines since then are sent again, and dropped by the sink")
    fitting = [journal for journal in journals.values() if journal.serial == found.content.serial]
    changed = {change.number: change for each in fitting for change in each.changes}
    content = _changed(found.content, changed.values()) if changed else found.content
    return Found(content, (*found.warnings, *warnings), (*found.damaged, *damaged, *late))


def _whole(newer: bytes | None, previous: bytes | None) -> Found:
    """Decide which whole checkpoint to trust."""
    if newer is None and previous is None:
        return Found(None)
    problems = []
    for name, data in ((NAME, newer), (PREVIOUS, previous)):
        if data is None:
            if name == NAME:
                problems.append(f"{name} is missing")
            continue
        try:
            content = _told(name, lambda data=data: decode(data))  # type: ignore[misc]
        except Damaged as problem:
            problems.append(f"{name} is damaged: {problem}")
            continue
        if problems:
            problems.append(f"going on from {name}: lines since then are sent again, and dropped by the sink")
        return Found(content, tuple(problems), (NAME,) if problems and newer is not None else ())
    raise StateDamaged(
        f"{'; '.join(problems)}; there is nothing else to go on from. Restore the state directory from a backup, "
        "or move it away to read all files anew"
    )


def _told(name: str, read: Callable[[], T]) -> T:
    """Read a file; an error names it."""
    try:
        return read()
    except StateDamaged as error:
        raise StateDamaged(f"{name}: {error}") from error


def _changed(content: Content, changes: Iterable[Change]) -> Content:
    entries: dict[str, Entry] = {entry.generation: entry for entry in content.entries}
    for change in sorted(changes, key=lambda change: change.number):
        for entry in change.entries:
            entries[entry.generation] = entry
        for generation in change.forgotten:
            entries.pop(generation, None)
    return Content(content.machine, list(entries.values()), content.serial)
