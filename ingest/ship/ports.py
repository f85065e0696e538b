"""What shipping needs of the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ingest.api import Source
from ingest.blocks import LineBlock
from ingest.errors import IngestError


class Producer(Protocol):
    """Sends blocks to Kafka, each partition in order, without repeats of its own."""

    @property
    def broken(self) -> bool:
        """Whether nothing more will come of this producer: close it and make another."""
        ...

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has.

        Raises:
            Unavailable: no broker answers.
            IngestError: there is no such topic, or it may not be looked at.
        """
        ...

    def topic_id(self, topic: str) -> str:
        """Return the topic's id, another one after it was made anew; "" = unknown. Errors as `partitions`."""
        ...

    def contact_age(self) -> float:
        """Return seconds since a broker was last heard; never waits."""
        ...

    def max_record_bytes(self, topic: str) -> int:
        """Return how long a line may be so that the topic takes it, headers and all; errors as `partitions`."""
        ...

    def ensure_topic(self, topic: str, partitions: int | None, replication: int) -> None:
        """Make the topic if it is missing; errors as `partitions`."""
        ...

    def send(
        self,
        topic: str,
        partition: int,
        segments: Sequence[tuple[LineBlock, bytes]],
        on_done: Callable[[IngestError | None], None],
    ) -> None:
        """Hand over blocks; never waits for the network, and retries for ever while Kafka does not answer.

        Args:
            topic: where to.
            partition: where to.
            segments: blocks, each with the value of its header `ingest-src`.
            on_done: called exactly once, on another thread, in order within a partition: None = all records are in
                Kafka, else why they are not.
        """
        ...

    def close(self, timeout: float) -> None:
        """Let go of everything; what is still on its way after `timeout` seconds has an unknown outcome."""
        ...


class Health(Protocol):
    """Where a part says how it is."""

    def report(self, part: str, ok: bool, why: str = "") -> None:
        """Say whether the part can do its work."""
        ...

    def beat(self, part: str, within: float) -> None:
        """Say that the part moves, and will say so again within so many seconds."""
        ...


class Log(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: Any) -> Any:
        """Log what a person may want to know."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Log what a person should look at."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Log what a person must look at."""
        ...


@dataclass(frozen=True, slots=True)
class Connections:
    """What one session works with; built anew for each."""

    sources: Sequence[Source[Any]]
    producer: Producer
