"""What is durable of one generation."""

from __future__ import annotations

from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One generation.

    Attributes:
        generation: its id, 16 hex digits.
        source: the name of the source that reads it.
        topic: where it goes; together with `source` it says whose state this is.
        path: `Stream.path`.
        partition: for life.
        topic_id: of the topic when the partition was chosen; "" = unknown.
        begin: its first position.
        position: first byte that is not in Kafka.
        sent: end of the last record that is, <= position.
        boundaries: positions > `position` at which a record ends that the bytes alone don't decide; ascending.
        state: the source's, as of `position`; {} = nothing is in Kafka yet.
        birth: the source's, as of the end of the first block.
    """

    generation: str
    source: str
    topic: str
    path: str
    partition: int
    begin: int
    position: int
    sent: int
    boundaries: tuple[int, ...] = ()
    state: dict[str, Any] = {}
    birth: dict[str, Any] = {}
    topic_id: str = ""

    @property
    def id(self) -> int:
        """Return the generation's id as a number."""
        return int(self.generation, 16)

    def renewed(self, generation: int, partition: int, topic_id: str) -> Entry:
        """Return a new generation that goes on where this one stands; repeats of this one can't be told any more."""
        return msgspec.structs.replace(
            self,
            generation=f"{generation:016x}",
            partition=partition,
            topic_id=topic_id,
            begin=self.position,
            sent=self.position,
            boundaries=(),
        )
