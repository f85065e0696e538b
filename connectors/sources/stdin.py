"""Reads standard input until its end; what a crash swallows is lost, since no byte of it can be read twice."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from ingest.api import (
    Assembler,
    LineBlock,
    Source,
    SourceContext,
    SourceOptions,
    Stream,
    StreamState,
    StreamStatus,
)

_CHUNK: Final = 1 << 20
_LEAST: Final = 64 << 10  # as much as a pipe holds
_NAP: Final = 0.02  # seconds


class StdinOptions(SourceOptions):
    """Options of the source "stdin"."""


class StdinSource(Source[StdinOptions]):
    """One stream, one generation for each process; at the end of the input the source is finished, also without `once`.

    An unterminated last line is given out, flagged "partial".
    """

    Options: ClassVar[type[SourceOptions]] = StdinOptions
    rereadable = False

    descriptor: int = 0
    """Where to read; file descriptor 0 but in tests."""

    def __init__(self, options: StdinOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._lines = Assembler(options.framing(context.max_line))
        self._stream = Stream(context.new_generation(), context.host, "stdin", options.name, options.labels)
        self._before: list[int] = []
        self._ended = False
        self._event_patience = options.multiline.timeout if options.multiline is not None else None
        self._read_at = context.clock.monotonic()

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`: what earlier processes read is over."""
        self._before = [state.generation for state in states]

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        blocks: list[LineBlock] = []
        taken = 0
        while taken < max_bytes and not self._ended and self._readable():
            data = os.read(self.descriptor, min(_CHUNK, max(_LEAST, max_bytes - taken)))
            self._read_at = self.context.clock.monotonic()
            self._ended = not data
            taken += len(data)
            blocks += self._lines.feed(self._stream, data, closing=self._ended)
        if self._event_is_over():
            blocks += self._lines.feed(self._stream, b"", settled=True)
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        return 0.0 if not self._ended and self._readable() else _NAP

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`."""

    def finished(self) -> bool:
        """See `Source.finished`."""
        return self._ended

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return [*self._before, self._stream.generation] if self._ended else self._before

    def status(self) -> list[StreamStatus]:
        """See `Source.status`."""
        decision = "at its end" if self._ended else "open"
        return [StreamStatus(self._stream.generation, "stdin", self._lines.position, None, decision)]

    def close(self) -> None:
        """See `Source.close`: standard input stays open, it is not ours."""

    def _event_is_over(self) -> bool:
        """Whether so much time has passed that an event which is held back will not go on."""
        if self._event_patience is None or not self._lines.holds:
            return False
        return self.context.clock.monotonic() - self._read_at >= self._event_patience

    def _readable(self) -> bool:
        """Whether a read returns at once, be it with the end."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))
