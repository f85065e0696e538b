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
    """The batches that are not full yet, one for each partition.

    Args:
        most: bytes that all of them may hold together. Many partitions that each wait for company would else take up
            the bound on bytes in flight, and nothing would move until they have lingered.
        limit: bytes at which a batch leaves at once.
    """

    def __init__(self, most: int, limit: int = LIMIT) -> None:
        self._limit = limit
        self._most = most
        self._held = 0
        self._open: dict[tuple[str, int], Batch] = {}

    def add(self, parcel: Parcel, now: float) -> Batch | None:
        """Put a parcel behind those of its partition; return the batch that is to leave now, if there is one.

        That is the parcel's own once it is large enough, or the largest where all together hold too much.
        """
        key = (parcel.topic, parcel.partition)
        batch = self._open.setdefault(key, Batch(*key, due=now + parcel.linger))
        batch.due = min(batch.due, now + parcel.linger)
        batch.parcels.append(parcel)
        batch.nbytes += parcel.block.nbytes
        self._held += parcel.block.nbytes
        if batch.nbytes >= self._limit:
            return self._take(key)
        if self._held > self._most:
            return self._take(max(self._open, key=lambda each: self._open[each].nbytes))
        return None

    def take_due(self, now: float) -> list[Batch]:
        """Return the batches whose time has come; infinity = all."""
        due = [key for key, batch in self._open.items() if batch.due <= now]
        return [self._take(key) for key in due]

    def next_due(self) -> float:
        """Return when the next batch must leave; infinity = there is none."""
        return min((batch.due for batch in self._open.values()), default=float("inf"))

    def _take(self, key: tuple[str, int]) -> Batch:
        batch = self._open.pop(key)
        self._held -= batch.nbytes
        return batch
