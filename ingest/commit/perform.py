"""The trivial interpreter: performs on a real filesystem what a job asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ingest.api import Filesystem
from ingest.commit.actions import (
    Action,
    Create,
    Delete,
    List,
    Mkdir,
    Move,
    Outcome,
    Read,
    Reply,
    Resolve,
    Steps,
    Upload,
)
from ingest.commit.chain import Start
from ingest.errors import FileExists, FileMissing, OutcomeUnknown, StateDamaged

T = TypeVar("T")


def run(filesystem: Filesystem[Any], steps: Steps[T], resolve: Callable[[], Start] | None = None) -> T:
    """Perform a job to its end and return its result.

    Raises:
        Unavailable: from the filesystem, at any step; run the job again from its start.
        IngestError: what the job decided, or the filesystem refused.
    """
    try:
        action = next(steps)
        while True:
            action = steps.send(perform(filesystem, action, resolve))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def perform(filesystem: Filesystem[Any], action: Action, resolve: Callable[[], Start] | None = None) -> Reply:
    """Perform one action; what the filesystem answers by an error of its contract becomes an outcome."""
    match action:
        case Read(path, start, length):
            try:
                return filesystem.read(path, start, length)
            except FileMissing:
                return None
        case List(path):
            return tuple(filesystem.list(path))
        case Resolve():
            if resolve is None:
                raise StateDamaged("the chain is gone, though it was there before. Run `ingest verify`")
            return resolve()
        case _:
            return _change(filesystem, action)


def _change(filesystem: Filesystem[Any], action: Create | Upload | Move | Mkdir | Delete) -> Outcome:
    try:
        match action:
            case Create(path, content):
                filesystem.create(path, content)
            case Upload(path, source):
                filesystem.create(path, source)
            case Move(source, target):
                filesystem.move(source, target)
            case Mkdir(path):
                filesystem.mkdir(path)
            case Delete(path):
                return Outcome.DONE if filesystem.delete(path) else Outcome.MISSING
    except FileExists:
        return Outcome.EXISTS
    except (FileMissing, FileNotFoundError):
        return Outcome.MISSING
    except OutcomeUnknown:
        return Outcome.UNKNOWN
    return Outcome.DONE
