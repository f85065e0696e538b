"""What sources have in common whose bytes can't be read again: they read into a queue, and hand out what it holds."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Final, TypeVar

from ingest.api import LineBlock, Size, Source, SourceContext, SourceOptions, StreamStatus

from .queues import Queues

CHUNK: Final = 1 << 20
"""Bytes of one poll, made durable together."""
_LEAST: Final = 64 << 10
_FIRST_NAP: Final = 0.005  # seconds; doubled while nothing comes
_LONGEST_NAP: Final = 0.05  # seconds

S = TypeVar("S", bound=SourceOptions)


class QueuedSource(Source[S]):
    """Reads into `queues`; only what is durable there is handed out.

    Args:
        options: the source's.
        context: the house.
        limit: bytes that one stream may have on disk.
    """

    def __init__(self, options: S, context: SourceContext, limit: Size) -> None:
        super().__init__(options, context)
        self.queues = Queues(context, options, limit)
        self.nap = _FIRST_NAP
        """Seconds until it may be worth looking again."""

    @abc.abstractmethod
    def read(self, size: int) -> None:
        """Take about `size` bytes of what came, and make them durable."""

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        blocks = self.queues.take(max_bytes)
        left = max_bytes - sum(block.nbytes for block in blocks)
        if left > 0:
            self.read(min(CHUNK, max(_LEAST, left)))
            blocks += self.queues.take(left)
        self.nap = _FIRST_NAP if blocks else min(_LONGEST_NAP, 2 * self.nap)
        return blocks

    def absorb(self) -> None:
        """See `Source.absorb`."""
        self.read(CHUNK)

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`."""
        self.queues.acknowledged(generation, position)

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self.queues.forgettable()

    def status(self) -> list[StreamStatus]:
        """See `Source.status`."""
        return self.queues.status()
