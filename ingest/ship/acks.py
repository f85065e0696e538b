"""Which bytes of a generation are in Kafka without a hole before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands once a block is in Kafka: as in `LineBlock`, `end`, `positions[-1]` and `state`."""

    position: int
    sent: int
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Ticket:
    """One block that is on its way."""

    progress: Progress
    done: bool = False


class Acks:
    """The blocks of one generation that are on their way, in the order in which they were read."""

    def __init__(self) -> None:
        self._open: deque[Ticket] = deque()

    def __len__(self) -> int:
        """Return how many blocks hold the position back, those done out of order included."""
        return len(self._open)

    def track(self, progress: Progress) -> Ticket:
        """Add a block behind all others."""
        ticket = Ticket(progress)
        self._open.append(ticket)
        return ticket

    def resolve(self, ticket: Ticket) -> Progress | None:
        """Take note that a block is in Kafka, in any order; return the new contiguous progress if it moved."""
        ticket.done = True
        reached = None
        while self._open and self._open[0].done:
            reached = self._open.popleft().progress
        return reached
