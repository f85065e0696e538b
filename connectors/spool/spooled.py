"""One generation: the content of one finished file, and how far it was handed out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.api import Framing, StateDamaged, StreamState
from ingest.connectors.marks.mark import Mark

from .mark import Key, Stamp


def shown(path: str) -> str:
    """Return a path as text that any encoder takes: bytes that are not UTF-8 become escapes."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a file: its name, what it is, and how it was."""

    path: str
    key: Key
    stamp: Stamp


@dataclass(slots=True, eq=False)
class Spooled:
    """A generation; positions are those of the decompressed content.

    Attributes:
        generation: its random id.
        name: the file's path when the generation was born, for people.
        path: where the file is now, or was last.
        key: device and inode.
        stamp: size and mtime of the file when its content was looked at.
        length: of the content then.
        head: mark of the content's first bytes.
        tail: mark of the bytes read last; they end at `position` or behind it.
        framing: for life.
        position: next byte to hand out.
        sent: end of the last record handed out, <= position.
        decision: why it was last resumed or begun.
        boundaries: positions > `position` at each of which a record must end again.
        acked: everything below is in Kafka, and the checkpoint says so.
        over: all of it was when the process began.
        verified: this process looked at its content.
        gone: wall-clock time when the file was found to be gone; None while it is there.
    """

    generation: int
    name: str
    path: str
    key: Key
    stamp: Stamp
    length: int
    head: Mark
    tail: Mark
    framing: Framing
    position: int
    sent: int
    decision: str
    boundaries: deque[int] = field(default_factory=deque)
    acked: int = 0
    over: bool = False
    verified: bool = False
    gone: float | None = None

    @property
    def read(self) -> bool:
        """Whether all of it was handed out."""
        return self.position >= self.length

    @property
    def done(self) -> bool:
        """Whether all of it is in Kafka."""
        return self.read and self.acked >= self.length

    def state(self) -> dict[str, Any]:
        """Return the snapshot that goes with a block."""
        state: dict[str, Any] = {
            "path": shown(self.path),
            "device": self.key[0],
            "inode": self.key[1],
            "size": self.stamp[0],
            "mtime": self.stamp[1],
            "length": self.length,
            **self.framing.to_json(),
            "head": self.head.to_json(),
            "tail": self.tail.to_json(),
        }
        if self.gone is not None:
            state["gone"] = self.gone
        return state


def restore(saved: StreamState) -> Spooled:
    """Return the generation that the checkpoint remembers; its file is yet to be found.

    Raises:
        StateDamaged: the state is not one that `Spooled.state` returned.
    """
    state: Mapping[str, Any] = saved.state or saved.birth
    try:
        length = int(state["length"])
        return Spooled(
            generation=saved.generation,
            name=saved.path,
            path=str(state["path"]),
            key=(int(state["device"]), int(state["inode"])),
            stamp=(int(state["size"]), int(state["mtime"])),
            length=length,
            head=Mark.from_json(state["head"]),
            tail=Mark.from_json(state["tail"]),
            framing=Framing.from_json(state),
            position=saved.position,
            sent=saved.sent,
            decision="not found yet",
            boundaries=deque(saved.boundaries),
            acked=saved.position,
            over=saved.position >= length,
            gone=None if state.get("gone") is None else float(state["gone"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateDamaged(
            f"the checkpoint's state of {saved.path} (generation {saved.generation:016x}) can't be understood: "
            f"{error!r}; restore the state directory from before, or move it away to read everything anew"
        ) from error
