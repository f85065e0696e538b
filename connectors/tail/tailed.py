"""One generation of one file: where reading stands, and what was last seen of the file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ingest.api import Framing, StateDamaged, StreamState
from ingest.connectors.marks.mark import Mark

from .handles import Key
from .survey import Version
from .unpacked import Unpacked

_TRAIL: Final = 16  # reads, so at least a tenth of a second: a copy is truncated sooner after it was made


def shown(path: str) -> str:
    """Return a path as text that any encoder takes: bytes that are not UTF-8 become escapes."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(slots=True, eq=False)
class TailedFile:
    """A generation: reading goes from `position` to the file's end.

    Attributes:
        generation: its random id.
        name: the file's path when the generation was born, for people; stays through renames.
        path: where the file is now, or was last.
        key: device and inode, where it was last seen.
        serial: generations of a source are numbered; of two that knew one inode the later is right.
        framing: for life.
        position: next byte to hand out, always the first of a line (or of what follows a boundary).
        sent: end of the last record handed out, <= position.
        head: mark of the file's first bytes, as many of them as were handed out.
        tail: mark of the bytes before `position`.
        proof: mark of bytes that an earlier process handed out beyond `position`: they must still be there.
        trail: the tails before, the latest last; of this process only.
        boundaries: positions > `position` at each of which a record must end again.
        decision: why it was last resumed or reread.
        acked: everything below is in Kafka.
        known: the checkpoint knows of it, or will: something of it was handed out.
        gone: wall-clock time when the file was found to be gone; None while it is there.
        size: as last seen.
        modified: mtime in ns, as last seen.
        grown_at: monotonic time when the file last grew, as far as seen.
        read_to: end of the bytes looked at; those from `position` on are held back.
        searched: an over-long line was searched for its end up to here; 0 = there is none.
        due: there may be something to read.
        unsettled: it changed so lately that an equal stat at the next look proves nothing.
        listed: the last scan saw it.
        deleted: bytes of disk that it holds though it has no name any more.
        rotated: renamed, deleted, or of a rotated name: its last line may be given out soon.
        closing: it is finished: an unterminated last line may be given out.
        settled: its last event will not go on any more: it may be given out.
        until: with `once`, where to stop.
        reframe_at: from this position on a new generation with the options' framing may begin; None = no need.
        served: when it last had its turn.
        compressed: the file that it was last seen in is gzip; `size` and all positions are of its content.
        length: of its content, and
        version: what the file was, when it was surveyed; None where it was not whole.
        packed: how such a file is read, while it is live.
    """

    generation: int
    name: str
    path: str
    key: Key
    serial: int
    framing: Framing
    position: int
    sent: int
    head: Mark
    tail: Mark
    decision: str
    proof: Mark | None = None
    trail: deque[Mark] = field(default_factory=lambda: deque(maxlen=_TRAIL))
    boundaries: deque[int] = field(default_factory=deque)
    acked: int = 0
    known: bool = False
    gone: float | None = None
    size: int = 0
    modified: int = -1
    grown_at: float = 0.0
    read_to: int = 0
    searched: int = 0
    due: bool = False
    unsettled: bool = False
    listed: bool = True
    deleted: int = 0
    rotated: bool = False
    closing: bool = False
    settled: bool = False
    until: int | None = None
    reframe_at: int | None = None
    served: int = 0
    compressed: bool = False
    length: int = 0
    version: Version | None = None
    packed: Unpacked | None = None

    @property
    def goal(self) -> int:
        """Return the position up to which there is something to read."""
        return self.size if self.until is None else min(self.size, self.until)

    @property
    def handed_out(self) -> int:
        """Return the greatest position that the file is known to have had."""
        return max(self.position, self.evidence.end, *self.boundaries)

    @property
    def evidence(self) -> Mark:
        """Return the mark that tells the file from others: the farthest."""
        return self.proof or self.tail

    @property
    def held(self) -> bool:
        """Whether bytes without a newline are held back."""
        return self.position < self.read_to

    @property
    def finished(self) -> bool:
        """Whether its end, once nobody writes any more, is the end of its content: not so where it is damaged."""
        return self.packed is None or self.packed.seen.ending.whole

    def unchanged(self, path: str, found: os.stat_result) -> bool:
        """Whether a stat says nothing new of the file, as of most of many."""
        if self.modified != found.st_mtime_ns or self.size != found.st_size or self.unsettled:
            return False
        return path == self.path and self.listed and not self.compressed

    def look(self, size: int, modified: int, now: float) -> None:
        """Take note of a stat; decide whether to read. Of a gzip file it says nothing: a survey does."""
        if self.packed is not None:
            return
        changed = (size, modified) != (self.size, self.modified)
        if size != self.size:
            self.grown_at, self.closing, self.settled = now, False, False
        if changed or self.unsettled:
            self.due = True
        # Two writes within one tick of the file system's clock leave the same mtime: look once more.
        self.unsettled = changed
        self.size, self.modified = size, modified

    def advance(self, position: int, sent: int, head: Mark, tail: Mark) -> None:
        """Move on to `position`, with the marks as of there."""
        self.trail.append(self.tail)
        self.position, self.sent, self.head, self.tail = position, sent, head, tail
        self.searched = 0
        self.read_to = max(self.read_to, position)
        self.known = True
        if self.proof is not None and self.proof.end <= position:
            self.proof = None
        while self.boundaries and self.boundaries[0] <= position:
            self.boundaries.popleft()

    def state(self) -> dict[str, Any]:
        """Return the snapshot that goes with a block."""
        state: dict[str, Any] = {
            "path": shown(self.path),
            "device": self.key[0],
            "inode": self.key[1],
            "serial": self.serial,
            **self.framing.to_json(),
            "head": self.head.to_json(),
            "tail": self.evidence.to_json(),
        }
        if self.compressed:
            state["compressed"] = None if self.version is None else [self.length, *self.version.to_json()]
        if self.gone is not None:
            state["gone"] = self.gone
        return state


def _surveyed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is remembered of a gzip file; raises TypeError or ValueError for what `state` did not make."""
    if "compressed" not in state:
        return {}
    if state["compressed"] is None:
        return {"compressed": True}
    length, *version = state["compressed"]
    return {"compressed": True, "length": int(length), "version": Version.from_json(version)}


def restore(saved: StreamState) -> TailedFile:
    """Return the generation that the checkpoint remembers; its file is yet to be found.

    Raises:
        StateDamaged: the state is not one that `TailedFile.state` returned.
    """
    state: Mapping[str, Any] = saved.state or saved.birth
    try:
        evidence = Mark.from_json(state["tail"])
        return TailedFile(
            generation=saved.generation,
            name=saved.path,
            path=str(state["path"]),
            key=(int(state["device"]), int(state["inode"])),
            serial=int(state["serial"]),
            framing=Framing.from_json(state),
            position=saved.position,
            sent=saved.sent,
            head=Mark.from_json(state["head"]),
            tail=evidence,
            decision="not found yet",
            proof=evidence if evidence.end > saved.position else None,
            boundaries=deque(saved.boundaries),
            acked=saved.position,
            known=True,
            gone=None if state.get("gone") is None else float(state["gone"]),
            read_to=saved.position,
            listed=False,
            **_surveyed(state),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateDamaged(
            f"the checkpoint's state of {saved.path} (generation {saved.generation:016x}) can't be understood: "
            f"{error!r}; restore the state directory from before, or move it away to read everything anew"
        ) from error
