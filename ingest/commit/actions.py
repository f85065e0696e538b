"""What the protocol may ask for, and what comes back: the verbs of a filesystem as values.

Unavailable is no outcome: it ends the job, and the caller runs it again.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from ingest.api import Entry
from ingest.commit.chain import Start


@dataclass(frozen=True, slots=True)
class Create:
    """Make a whole file without overwriting → Outcome (DONE, EXISTS, UNKNOWN)."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """Make a staged file out of a local one → Outcome (DONE, EXISTS, UNKNOWN, MISSING = the local file is gone)."""

    path: str
    source: Path | bytes


@dataclass(frozen=True, slots=True)
class Move:
    """Rename a file → Outcome (DONE, EXISTS = the target, MISSING = the source, UNKNOWN)."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Mkdir:
    """Make a directory and its parents → Outcome (DONE, UNKNOWN)."""

    path: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a file → Outcome (DONE, MISSING, UNKNOWN)."""

    path: str


@dataclass(frozen=True, slots=True)
class List:
    """List a directory, a file alone, or nothing where nothing is → tuple of entries."""

    path: str


@dataclass(frozen=True, slots=True)
class Read:
    """Read a file or a part of it → bytes, None where there is no file."""

    path: str
    start: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find out where a chain that does not exist yet is to begin → Start."""


class Outcome(enum.Enum):
    """What became of a change."""

    DONE = "done"
    EXISTS = "exists"
    MISSING = "missing"
    UNKNOWN = "unknown"


T = TypeVar("T")
Action: TypeAlias = Create | Upload | Move | Mkdir | Delete | List | Read | Resolve
Reply: TypeAlias = Outcome | tuple[Entry, ...] | bytes | Start | None
Steps: TypeAlias = Generator[Action, Reply, T]


def change(action: Create | Upload | Move | Mkdir | Delete) -> Steps[Outcome]:
    """Ask for a change."""
    reply = yield action
    assert isinstance(reply, Outcome)
    return reply


def read(path: str, start: int = 0, length: int | None = None) -> Steps[bytes | None]:
    """Ask for a file's bytes."""
    reply = yield Read(path, start, length)
    assert reply is None or isinstance(reply, bytes)
    return reply


def entries(path: str) -> Steps[tuple[Entry, ...]]:
    """Ask for a directory's entries."""
    reply = yield List(path)
    assert isinstance(reply, tuple)
    return reply
