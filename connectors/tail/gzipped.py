"""The gzip files that no generation reads yet: each is surveyed before it is decided on, some at a time.

A file that is still being written ends in the middle. It is left alone while it changes, and looked at again when it
has changed; only one that stays as it is counts as damaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .handles import Handles, Key, OtherFile
from .survey import Span, Survey, Surveyed

_AT_ONCE: Final = 4  # surveys: the smallest files first, so that a huge one does not hold up the others


@dataclass(frozen=True, slots=True)
class Refuse:
    """The file is not gzip, or nothing of it is proven."""

    reason: str


Step: TypeAlias = Literal["wait", "survey"] | Refuse | Surveyed
"""What comes next for a file; what a survey has seen: decide whose content it is."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file must have been left as it is, in seconds.

    Attributes:
        survey: before it is worth a look.
        damaged: before one that is not whole counts as damaged.
        once: what can't be looked at now is not tried again.
    """

    survey: float
    damaged: float
    once: bool = False


@dataclass(slots=True, eq=False)
class Gzip:
    """One file.

    Attributes:
        path: where it is.
        key: device and inode.
        found: its stat, as of the scan before.
        changed_at: monotonic time when it last changed, as far as seen.
        early: the first scan after a start saw it.
        survey: at work on it.
        seen: what came of it.
        trouble: why the last survey came to nothing.
    """

    path: str
    key: Key
    found: os.stat_result
    changed_at: float
    early: bool
    survey: Survey | None = None
    seen: Surveyed | None = None
    trouble: str = ""

    def look(self, path: str, found: os.stat_result, now: float) -> None:
        """Take note of what a scan saw; a file that changed is yet to be surveyed."""
        if _version(found) != _version(self.found):
            self.changed_at, self.survey, self.seen, self.trouble = now, None, None, ""
        self.path, self.found = path, found


def next_step(one: Gzip, now: float, patience: Patience) -> Step:
    """Decide what to do with a file; `now` is monotonic time."""
    idle, seen = now - one.changed_at, one.seen
    if seen is None and one.survey is None and one.trouble and patience.once:
        return Refuse(one.trouble)
    if seen is None:
        return "survey" if one.survey is not None or idle >= patience.survey else "wait"
    if seen.ending.foreign:
        return Refuse(seen.ending.reason)
    if not seen.ending.whole and idle < patience.damaged:
        return "wait"
    return seen if seen.ending.whole or seen.length else Refuse(seen.ending.reason)


class Gzipped:
    """All of them.

    Args:
        handles: open files.
        wants: told a file's path, key and head, says of which spans marks are needed.
    """

    def __init__(self, handles: Handles, wants: Callable[[str, Key, bytes], Iterable[Span]]) -> None:
        self._handles = handles
        self._wants = wants
        self._files: dict[Key, Gzip] = {}
        self.finished = False
        """A survey came to its end since the last scan."""

    @property
    def busy(self) -> bool:
        """Whether a survey is under way."""
        return any(one.survey is not None for one in self._files.values())

    @property
    def undecided(self) -> bool:
        """Whether it is still open of a file that was there at the start whose content it is."""
        return any(one.early and one.seen is None and not one.trouble for one in self._files.values())

    def see(self, path: str, key: Key, found: os.stat_result, now: float, idle: float, early: bool) -> None:
        """Take note that a scan saw a file; `idle` seconds ago it was written, as far as its mtime tells."""
        if key in self._files:
            self._files[key].look(path, found, now)
        else:
            self._files[key] = Gzip(path, key, found, now - idle, early)

    def keep(self, keys: Iterable[Key]) -> None:
        """A scan saw these files and no others: forget the others."""
        self.finished = False
        kept = set(keys)
        for key in [key for key in self._files if key not in kept]:
            self.drop(key)

    def drop(self, key: Key) -> None:
        """Forget a file: it is gone, or a generation reads it."""
        del self._files[key]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Gzip]:
        return iter(list(self._files.values()))

    def survey(self, one: Gzip) -> None:
        """Have a file surveyed, anew if need be; one that is under way goes on."""
        one.seen = None
        one.survey = one.survey or Survey(lambda head: self._wants(one.path, one.key, head))

    def turn(self, quantum: int) -> int:
        """Give some surveys a turn of about `quantum` bytes each; return how many bytes it was, 0 = none is under way.

        A file that can't be read waits for the next scan to try again.
        """
        waiting = [one for one in self._files.values() if one.survey is not None]
        return sum(self._step(one, quantum) for one in sorted(waiting, key=lambda one: one.found.st_size)[:_AT_ONCE])

    def _step(self, one: Gzip, quantum: int) -> int:
        survey, work = one.survey, 1
        try:
            fd = self._handles.open(one.key, one.path)
            while survey is not None and survey.outcome() is None and work < quantum:
                work += survey.step(fd)
            over = None if survey is None else survey.outcome()
            if over is not None:
                fresh = _version(os.fstat(fd)) == _version(one.found)
                one.seen, one.trouble = (over, "") if fresh else (None, "it was written to while it was looked through")
                one.survey, self.finished = None, True
                self._handles.close(one.key)
        except (OtherFile, FileNotFoundError):  # renamed or deleted since the last scan
            one.survey = None
        except OSError as error:
            one.survey, one.trouble = None, error.strerror or str(error)
        return work


def _version(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
