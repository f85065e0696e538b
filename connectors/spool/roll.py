"""All generations of a spool source: which file each of them is, and when it may be forgotten."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ingest.api import Framing, LineBlock, SourceContext, Stream, StreamState, StreamStatus
from ingest.connectors.marks.mark import Mark

from .examination import Examination
from .mark import Key, decide
from .spooled import Seen, Spooled, restore, shown

_FORGETTABLE: Final = 1 << 16  # generations that the house is told of; it asks every few seconds


class Roll:
    """Generations by (device, inode).

    Args:
        context: the source's.
        source: its name.
        labels: its labels.
    """

    def __init__(self, context: SourceContext, source: str, labels: Mapping[str, str]) -> None:
        self._context = context
        self._source = source
        self._labels = labels
        self._files: dict[Key, Spooled] = {}
        self._by_generation: dict[int, Spooled] = {}
        self._by_inode: dict[int, Key] = {}
        self._over: deque[int] = deque(maxlen=_FORGETTABLE)
        self._news: list[Spooled] = []

    def resume(self, states: Sequence[StreamState]) -> None:
        """Take up what the checkpoint remembers; raises StateDamaged."""
        # Of two that have one inode number the later is right: the process ended before the other was forgotten.
        for file in sorted(map(restore, states), key=lambda each: (each.gone is None, each.stamp[1])):
            older = self._files.get(file.key)
            if older is not None:
                self.end(older)
            self._add(file)
            self._by_inode[file.key[1]] = file.key

    def known(self, key: Key) -> Spooled | None:
        """Return the generation that a file with this key may be; perhaps one of another device."""
        file = self._files.get(key)
        if file is None and (other := self._by_inode.get(key[1])) is not None:
            file = self._files.get(other)
            # Two devices that are both there have nothing in common.
            if file is not None and file.verified:
                file = None
        return file

    def admit(self, seen: Examination, framing: Framing) -> Spooled:
        """Return the generation of a file whose content was looked at: the known one, or a new one."""
        known, evidence = seen.known, seen.evidence
        decision = decide(evidence) if evidence is not None else None
        if known is not None and decision is not None and decision.same:
            if known.stamp != seen.seen.stamp:
                self._context.event(
                    "file grew after it was taken for finished: what was added is read",
                    **_about(known),
                    bytes=seen.length - known.length,
                )
                known.over = False
            self._drop(known)
            file = known
            file.path, file.key, file.gone = seen.seen.path, seen.seen.key, None
            file.stamp, file.length, file.head = seen.seen.stamp, seen.length, seen.head
            file.decision = decision.reason
        else:
            if known is not None and known.key == seen.seen.key:
                self._replaced(known, evidence is not None and evidence.over)
            reason = decision.reason if decision is not None else "new"
            file = self._new(seen, framing, reason)
        file.verified = True
        if file.length:
            self._add(file)
        return file

    def acknowledged(self, generation: int, position: int) -> Spooled | None:
        """Take note; return the generation if it is still here."""
        file = self._by_generation.get(generation)
        if file is not None:
            file.acked = max(file.acked, position)
        return file

    def look(self, seen: Mapping[Key, Seen], knows: Callable[[str], bool], opened: Collection[Key]) -> None:
        """Take note of which files are there.

        Args:
            seen: those that were seen.
            knows: whether a file at a path would have been seen.
            opened: files that are open: they are read to their end, wherever they are.
        """
        inodes = {inode for _, inode in seen}
        for file in self._files.values():
            there = seen.get(file.key)
            if there is not None:
                if there.stamp == file.stamp:  # else its name is one of the signs whether it is the same
                    file.path = there.path
                if file.gone is not None:
                    file.gone = None
                    self._news.append(file)
            elif not file.verified and file.key[1] in inodes:
                continue  # mounted again, perhaps: its content will tell
            elif file.gone is None and file.key not in opened and knows(file.path):
                file.gone = self._context.clock.now()
                self._news.append(file)
                if not file.read:
                    self._context.event("file is gone before it was read to its end", **_about(file))

    def end(self, file: Spooled) -> None:
        """Nothing more is to be read of the file: the house may forget it."""
        self._drop(file)
        self._over.append(file.generation)

    def forgettable(self, patience: float) -> Iterable[int]:
        """Return generations whose file was taken away or replaced, or is gone for `patience` seconds."""
        now = self._context.clock.now()
        for file in list(self._files.values()):
            if file.gone is not None and now - file.gone >= patience and file.acked >= file.position:
                self.end(file)
        return list(self._over)

    def news(self) -> list[LineBlock]:
        """Return blocks without lines, for generations whose state alone must become durable."""
        files, self._news = self._news, []
        nothing = np.empty(0, np.int64)
        return [
            LineBlock(
                self.stream(file),
                b"",
                nothing,
                nothing,
                np.array([file.sent], np.int64),
                file.position,
                state=file.state(),
            )
            for file in files
            if file.position and self._by_generation.get(file.generation) is file
        ]

    def stream(self, file: Spooled) -> Stream:
        """Return whose lines a file's are."""
        return Stream(file.generation, self._context.host, file.name, self._source, self._labels)

    def status(self) -> list[StreamStatus]:
        """Return where each generation is."""
        return [
            StreamStatus(file.generation, shown(file.path), file.position, file.length, file.decision)
            for file in self._files.values()
        ]

    def _new(self, seen: Examination, framing: Framing, reason: str) -> Spooled:
        return Spooled(
            generation=self._context.new_generation(),
            name=shown(seen.seen.path),
            path=seen.seen.path,
            key=seen.seen.key,
            stamp=seen.seen.stamp,
            length=seen.length,
            head=seen.head,
            tail=Mark.of(b"", 0),
            framing=framing,
            position=0,
            sent=0,
            decision=reason,
        )

    def _replaced(self, file: Spooled, over: bool) -> None:
        if not over:  # else it was taken away, and its inode number was used again
            self._context.event(
                "file was replaced or written anew: it is read from its beginning, as a new generation",
                **_about(file),
                read_to_its_end=file.read,
            )
        self.end(file)

    def _add(self, file: Spooled) -> None:
        self._files[file.key] = file
        self._by_generation[file.generation] = file

    def _drop(self, file: Spooled) -> None:
        if self._files.get(file.key) is file:
            del self._files[file.key]
        self._by_generation.pop(file.generation, None)


def _about(file: Spooled) -> dict[str, object]:
    """Return what a message says of a file."""
    return {"path": shown(file.path), "generation": f"{file.generation:016x}", "position": file.position}
