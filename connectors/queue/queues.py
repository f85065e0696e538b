"""All that a source keeps on disk: for each stream the generation that grows, and older ones until they are drained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.api import (
    LineBlock,
    SourceContext,
    SourceOptions,
    StateDamaged,
    Stream,
    StreamState,
    StreamStatus,
    Unavailable,
)

from .frame import lines_of
from .log import Log, mend, read_acknowledged
from .piece import Piece
from .segment import Found, find

_TORN: Final = "torn_append"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the checkpoint remembers of a directory."""

    state: StreamState
    queue: str
    stream: str


class Queues:
    """Logs by stream, and by generation.

    Args:
        context: the house; everything is below its `spool`.
        options: the source's, for its name and labels.
        limit: bytes that one stream may have on disk.
    """

    def __init__(self, context: SourceContext, options: SourceOptions, limit: int) -> None:
        self._context = context
        self._options = options
        self._limit = limit
        self._live: dict[str, Log] = {}
        self._draining: list[Log] = []
        self._forgettable: list[int] = []
        self._decisions: dict[int, str] = {}
        self._troubled: set[int] = set()
        self._turn = 0

    def resume(self, states: Sequence[StreamState], streams: Collection[str]) -> None:
        """Take up what the checkpoint and the disk remember; see `Source.resume`.

        Args:
            states: the checkpoint's.
            streams: those that may grow; what is left of others is handed out and then forgotten.

        Raises:
            StateDamaged: a state can't be understood, or a newer version wrote the files.
        """
        known = {one.queue: one for one in map(_understood, states)}
        if len(known) < len(states):
            raise StateDamaged(f"two generations of {self._options.name} go on from one queue; restore the state")
        for directory in self._directories():
            self._take_up(directory, known.pop(directory.name, None), streams)
        for lost in known.values():
            self._event(
                "queue is gone: lines that were kept there and not acknowledged are lost",
                lost.stream,
                lost.state.generation,
                position=lost.state.position,
                directory=str(self._context.spool / lost.queue),
            )
            self._forgettable.append(lost.state.generation)

    def log(self, stream: str) -> Log:
        """Return the log of a stream that grows; a new generation, where there is none yet."""
        if stream not in self._live:
            self._live[stream] = self._new(stream)
            self._decisions[self._live[stream].stream.generation] = "new"
        return self._live[stream]

    def room(self, stream: str) -> bool:
        """Whether more may be taken from the stream's sender."""
        log = self._live.get(stream)
        return log is None or not log.full

    def add(self, stream: str, piece: Piece) -> None:
        """Append lines with the next `commit`."""
        self.log(stream).add(piece)

    def commit(self) -> None:
        """Make everything that was added durable, one append for each stream; what finds no room waits.

        Raises:
            Unavailable: the disk fails.
        """
        for stream, log in self._live.items():
            generation = log.stream.generation
            if log.commit():
                if generation in self._troubled:
                    self._troubled.discard(generation)
                    self._event("queue has room again", stream, generation)
            elif generation not in self._troubled:
                self._troubled.add(generation)
                self._event("queue can't be written, nothing more is read", stream, generation, why=log.trouble)

    def take(self, max_bytes: int) -> list[LineBlock]:
        """Hand out about `max_bytes` of what is durable, every stream in its turn; at least a block if there is one."""
        blocks: list[LineBlock] = []
        taken = 0
        while taken < max_bytes and (turns := self._turns()):
            for log in turns:
                block = log.take()
                if block is not None:
                    blocks.append(block)
                    taken += block.nbytes
                if taken >= max_bytes:
                    break
        return blocks

    @property
    def pending(self) -> bool:
        """Whether `take` would return something."""
        return any(log.pending for log in self._logs())

    @property
    def waiting(self) -> bool:
        """Whether something was added that is not durable yet."""
        return any(log.waiting for log in self._live.values())

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`."""
        for log in self._logs():
            if log.stream.generation == generation:
                log.acknowledge(position)
        self._sweep()

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return list(self._forgettable)

    def status(self) -> list[StreamStatus]:
        """See `Source.status`."""
        return [
            StreamStatus(
                log.stream.generation,
                log.stream.path,
                log.position,
                log.end,
                log.trouble or self._decisions[log.stream.generation],
            )
            for log in self._logs()
        ]

    def close(self) -> None:
        """Let go of the files."""
        for log in self._logs():
            log.close()

    # ── beginning ──

    def _directories(self) -> list[Path]:
        spool = self._context.spool
        return sorted(path for path in spool.iterdir() if path.is_dir()) if spool.is_dir() else []

    def _take_up(self, directory: Path, known: _Known | None, streams: Collection[str]) -> None:
        """Go on with what an earlier process kept."""
        found = find(directory)
        stream = found.stream or (known.stream if known else "")
        generation = known.state.generation if known else self._context.new_generation()
        begin, end = (found.segments[0].begin, found.segments[-1].end) if found.segments else (0, 0)
        position = known.state.position if known else min(end, max(begin, read_acknowledged(directory)))
        if found.torn:
            self._event("queue: the last append was cut off by a crash", stream, generation, bytes=found.torn)
        if found.damage:
            self._rescue(found, stream, generation, max(end, position))
        mend(directory, found)
        log = Log(directory, self._stream(generation, stream), found, position, self._limit)
        if known:
            log.go_on_from(position, known.state.sent)
        if found.torn:
            log.count(_TORN, 1)
        if position > end and not found.damage:
            self._event(
                "queue ends before what was read of it: a new one begins", stream, generation, position=position
            )
        self._decisions[generation] = "resumed" if known else "resumed: the checkpoint did not know it yet"
        if found.damage or position > end or not found.segments or stream in self._live or stream not in streams:
            log.ended = True
            self._draining.append(log)
            self._sweep()
        else:
            self._live[stream] = log

    def _rescue(self, found: Found, stream: str, generation: int, position: int) -> None:
        """Keep what is whole behind damage in another generation, before anything is taken away.

        Args:
            found: what is there.
            stream: whose it is.
            generation: the damaged one.
            position: all below is acknowledged, or whole.
        """
        rescued = [frame for frame in found.rescued if int(frame.head["end"]) > position]
        behind = int(rescued[0].head["begin"]) if rescued else None
        self._event(
            "queue is damaged: what is whole behind it goes on in another generation",
            stream,
            generation,
            where=found.damage,
            lost_from=position,
            lost_to="unknown" if behind is None else max(position, behind),
            appends_rescued=len(rescued),
        )
        log = self._new(stream)
        self._decisions[log.stream.generation] = "new: what was behind damage"
        for frame in rescued:
            log.add(lines_of(frame)[0])
            if not log.commit():
                log.remove()
                raise Unavailable(f"{log.trouble}: what is left of a damaged queue can't be kept; make room")
        log.ended = True
        self._draining.append(log)

    def _new(self, stream: str) -> Log:
        generation = self._context.new_generation()
        directory = self._context.spool / f"{generation:016x}"
        return Log(directory, self._stream(generation, stream), None, 0, self._limit)

    def _stream(self, generation: int, path: str) -> Stream:
        return Stream(generation, self._context.host, path, self._options.name, self._options.labels)

    # ── the rest ──

    def _logs(self) -> list[Log]:
        return [*self._draining, *self._live.values()]

    def _turns(self) -> list[Log]:
        """Return the logs that have something, each call beginning with another one."""
        logs = [log for log in self._logs() if log.pending]
        self._turn += 1
        first = self._turn % len(logs) if logs else 0
        return logs[first:] + logs[:first]

    def _sweep(self) -> None:
        """Remove what has ended and is acknowledged."""
        for log in [log for log in self._draining if log.done]:
            self._draining.remove(log)
            log.remove()
            self._forgettable.append(log.stream.generation)

    def _event(self, text: str, stream: str, generation: int, **fields: object) -> None:
        self._context.event(text, stream=stream, generation=f"{generation:016x}", **fields)


def _understood(state: StreamState) -> _Known:
    said = state.state or state.birth
    queue, stream = said.get("queue"), said.get("stream")
    if not isinstance(queue, str) or not isinstance(stream, str) or not queue or "/" in queue:
        raise StateDamaged(
            f"the checkpoint's state of {state.path} (generation {state.generation:016x}) can't be understood; "
            "restore the state directory from before, or move it away to begin anew"
        )
    return _Known(state, queue, stream)
