"""The few files that are open, the oldest first and each in its turn, and what becomes of them then."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from ingest.api import Framing, LineBlock, SourceContext

from .content import Content, Damaged, OtherFile
from .examination import Examination
from .leaving import delete, move
from .mark import Key, Stamp
from .reading import Changed, Reading
from .roll import Roll
from .spooled import Seen, Spooled, shown

_OPEN: Final = 4  # at once
_QUANTUM: Final = 1 << 20  # bytes of one file in one turn
_LEAST: Final = 64 << 10
_TURN: Final = 4 << 10  # bytes that could be read in the time that a turn takes by itself


class Desk:
    """Examines files, reads them, takes them away.

    Args:
        context: the source's.
        roll: the generations.
        framing: for those that begin.
        when_done: what becomes of a file that Kafka has.
        done_dir: where it is moved then.
        failed_dir: where damaged files are moved; None = they stay.

    Attributes:
        notes: path → why the file is not read, or not taken away.
        begun: files that were opened since somebody cleared it.
    """

    def __init__(
        self,
        context: SourceContext,
        roll: Roll,
        framing: Framing,
        when_done: Literal["keep", "delete", "move"],
        done_dir: str | None,
        failed_dir: str | None,
    ) -> None:
        self.notes: dict[str, str] = {}
        self.begun: set[Key] = set()
        self._event = context.event
        self._roll = roll
        self._framing = framing
        self._when_done = when_done
        self._done_dir = done_dir
        self._failed_dir = failed_dir
        self._queue: deque[Seen] = deque()
        self._jobs: deque[Examination | Reading] = deque()
        self._passed: dict[Key, Stamp] = {}
        """Files of which nothing is to be read unless they change."""

    @property
    def busy(self) -> bool:
        """Whether a turn may bring something."""
        return bool(self._queue or self._jobs)

    @property
    def opened(self) -> set[Key]:
        """Return the files that are open."""
        return {job.seen.key if isinstance(job, Examination) else job.file.key for job in self._jobs}

    def plan(self, settled: Sequence[Seen]) -> None:
        """Take note of all files that are finished, in the order in which they are to be read."""
        opened = self.opened
        self._queue.clear()
        for seen in settled:
            file = self._roll.known(seen.key)
            if seen.key in opened or self._passed.get(seen.key) == seen.stamp:
                continue
            if file is None or not file.verified or file.stamp != seen.stamp or not file.read:
                self._queue.append(seen)
            elif file.done:
                self.leave(file)

    def unread(self, seen: Seen) -> bool:
        """Whether the file is known to nobody yet: were it gone now, it would be lost."""
        return seen.key not in self.opened and seen.key not in self._passed and self._roll.known(seen.key) is None

    def forget(self, seen: Mapping[Key, Seen]) -> None:
        """Forget what was noted of files that are no longer there."""
        paths = {file.path for file in seen.values()}
        self.notes = {path: note for path, note in self.notes.items() if path in paths}
        self._passed = {key: stamp for key, stamp in self._passed.items() if key in seen}

    def turn(self, budget: int) -> tuple[list[LineBlock], int]:
        """Give one file its turn; return its lines, and what the turn took, in bytes that could be read meanwhile."""
        while self._queue and len(self._jobs) < _OPEN:
            self._open(self._queue.popleft())
        if not self._jobs:
            return [], _TURN
        job = self._jobs.popleft()
        seen = job.seen if isinstance(job, Examination) else Seen(job.file.path, job.file.key, job.file.stamp)
        next_job: Examination | Reading | None = None
        blocks: list[LineBlock] = []
        used = 0
        try:
            size = min(_QUANTUM, max(_LEAST, budget))
            if isinstance(job, Examination):
                used = job.step(size)
                next_job = self._take_up(job) if job.over else job
            else:
                blocks, used = job.step(size)
                next_job = None if job.file.read else job
        except Changed as change:
            self._event(
                "file changes while it is read: looked at again once it rests", path=shown(seen.path), why=str(change)
            )
        except Damaged as damage:
            self._put_aside(seen, damage)
        except OSError as error:
            self._note(seen.path, "file can't be read", error)
        if next_job is None:
            job.content.close()
        else:
            self._jobs.append(next_job)
        return blocks, used + _TURN

    def leave(self, file: Spooled) -> None:
        """Kafka has all of the file."""
        if self._when_done == "keep":
            file.decision = "done"
        elif (names := self._take_away(Seen(file.path, file.key, file.stamp))) == 1:
            self._roll.end(file)
        elif names:
            file.decision = "done, and still there under another name"

    def close(self) -> None:
        """Let go of all files."""
        while self._jobs:
            self._jobs.pop().content.close()

    # ── one file ──

    def _open(self, seen: Seen) -> None:
        try:
            content = Content(seen.path, seen.key)
        except (OtherFile, FileNotFoundError):
            return  # renamed since the scan: the next one says where to
        except OSError as error:
            self._note(seen.path, "file can't be read", error)
            return
        if content.stamp() != seen.stamp:  # written to since the scan
            content.close()
            return
        self.begun.add(seen.key)
        keep = self._when_done == "keep"
        self._jobs.append(Examination(seen, content, self._roll.known(seen.key), keep))

    def _take_up(self, job: Examination) -> Reading | None:
        """Begin to read a file whose content was looked at, if there is something to read."""
        file = self._roll.admit(job, self._framing)
        self.notes.pop(job.seen.path, None)
        if not file.read:
            return Reading(file, job.content, self._roll.stream(file))
        if file.length == 0:
            self._passed[job.seen.key] = job.seen.stamp
            if self._when_done != "keep":
                self._take_away(job.seen)
        elif file.done:
            self.leave(file)
        return None

    def _take_away(self, seen: Seen) -> int:
        """Delete or move the file unless it changed; return how many names it had, 0 = it is where it was."""
        try:
            found = os.lstat(seen.path)
        except FileNotFoundError:
            return 0
        if (found.st_dev, found.st_ino) != seen.key or (found.st_size, found.st_mtime_ns) != seen.stamp:
            return 0
        try:
            if self._done_dir is None:
                delete(seen.path)
            else:
                move(seen.path, self._done_dir)
        except OSError as error:
            self._note(seen.path, "file is done and can't be taken away", error)
            return 0
        return found.st_nlink

    def _put_aside(self, seen: Seen, damage: Damaged) -> None:
        known = self._roll.known(seen.key)
        where = seen.path
        self._passed[seen.key] = seen.stamp
        if self._failed_dir is not None:
            try:
                where = move(seen.path, self._failed_dir)
            except OSError as error:
                self._note(seen.path, "file is damaged and can't be moved", error)
                return
            if known is not None:
                self._roll.end(known)
        else:
            self.notes[seen.path] = f"not read: {damage}"
        self._event(
            "file is damaged: what it holds is not sent",
            path=shown(seen.path),
            why=str(damage),
            sent=0 if known is None else known.position,
            now_at=shown(where),
        )

    def _note(self, path: str, what: str, error: OSError) -> None:
        """Say what went wrong, once while it stays so."""
        note = f"{what}: {error.strerror or error}"
        if self.notes.get(path) != note:
            self._event(what, path=shown(path), why=error.strerror or str(error))
        self.notes[path] = note
