"""Which partition a new generation goes to. It stays there for life, so that a repeat meets its first copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now: how many partitions, > 0, and its id, "" where that is unknown."""

    partitions: int
    id: str = ""

    def still_has(self, partition: int, topic_id: str) -> bool:
        """Whether a partition chosen in the topic with that id is still the same one."""
        return partition < self.partitions and (not topic_id or not self.id or topic_id == self.id)


def choose(partitions: int, streams: Mapping[int, int], generation: int) -> int:
    """Return the partition with the fewest live streams of this shipper; ties are decided by the generation's id.

    Args:
        partitions: how many the topic has, > 0.
        streams: partition → its live streams; left out = none.
        generation: the new one's id.
    """
    fewest = min(streams.get(partition, 0) for partition in range(partitions))
    tied = [partition for partition in range(partitions) if streams.get(partition, 0) == fewest]
    return tied[generation % len(tied)]
