"""The local disk on which rows wait until they are committed. Nothing on it must survive the process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.commit.committer import CommitDraft
from ingest.errors import Unavailable


class SpoolFailed(Unavailable):
    """The local disk did not take rows, or does not give them back: the range must be read again from Kafka."""


@contextmanager
def spooling() -> Iterator[None]:
    """Raise SpoolFailed for what the system says about the local disk within.

    Raises:
        SpoolFailed: full, read-only, broken: whatever it is, other partitions may free space, or a person does.
    """
    try:
        yield
    except OSError as error:
        raise SpoolFailed(f"the local spool: {_text(error)}; free space there, or look at that disk") from error


def remove(paths: Iterable[Path]) -> None:
    """Delete local files, all that can be; one that is not there is fine.

    Raises:
        SpoolFailed: one could not be deleted; it takes space until the next start.
    """
    failure: OSError | None = None
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            failure = error
    if failure is not None:
        with spooling():
            raise failure


def local_files(draft: CommitDraft) -> list[Path]:
    """Return the files of a draft that lie on the local disk, there or consumed already."""
    return [file.local for file in draft.files if isinstance(file.local, Path)]


def emptied(directory: Path) -> Path:
    """Make the directory, or empty what a dead worker left in it.

    Raises:
        SpoolFailed: it can't be emptied or made.
    """
    with spooling():
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(mode=0o700)
    return directory


def _text(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
