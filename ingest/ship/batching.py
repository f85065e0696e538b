"""Gathers small blocks of several streams that go to one partition, so that a trickle makes few batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ingest.ship.ledger import Parcel

LIMIT: Final = 1 << 20
"""Bytes at which a batch leaves at once."""


@dataclass(slots=True)
class Batch:
    """Parcels for one partition, in order. `due` is the monotonic time at which it must leave."""

    topic: str
    partition: int
    due: float
    parcels: list[Parcel] = field(default_factory=list)
    nbytes: int = 0


class Gathering:
    """The batches that are not full yet, one for each partition."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._open: dict[tuple[str, int], Batch] = {}

    def add(self, parcel: Parcel, now: float) -> Batch | None:
        """Put a parcel behind those of its partition; return the batch if it is large enough to leave."""
        key = (parcel.topic, parcel.partition)
        batch = self._open.setdefault(key, Batch(*key, due=now + parcel.linger))
        batch.due = min(batch.due, now + parcel.linger)
        batch.parcels.append(parcel)
        batch.nbytes += parcel.block.nbytes
        return self._open.pop(key) if batch.nbytes >= self._limit else None

    def take_due(self, now: float) -> list[Batch]:
        """Return the batches whose time has come; infinity = all."""
        due = [key for key, batch in self._open.items() if batch.due <= now]
        return [self._open.pop(key) for key in due]

    def next_due(self) -> float:
        """Return when the next batch must leave; infinity = there is none."""
        return min((batch.due for batch in self._open.values()), default=float("inf"))
