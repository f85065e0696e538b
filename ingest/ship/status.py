"""Where each stream is, for `ingest status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.api import StreamStatus
from ingest.ship.entry import Entry


@dataclass(frozen=True, slots=True)
class ShippedStream:
    """One stream.

    Attributes:
        source: name of its source.
        path: of the stream.
        generation: 16 hex digits; empty for a file that is not read.
        position: up to where it was read.
        acknowledged: up to where it is in Kafka.
        size: of the file; None = unknown.
        behind: bytes not yet in Kafka; None = unknown.
        decision: why it was last resumed or reread, or is not read.
    """

    source: str
    path: str
    generation: str
    position: int
    acknowledged: int
    size: int | None
    behind: int | None
    decision: str


def shipped(source: str, streams: Iterable[StreamStatus], entries: Mapping[int, Entry]) -> list[ShippedStream]:
    """Join what a source says with what is acknowledged."""
    rows = []
    for stream in streams:
        entry = entries.get(stream.generation)
        acknowledged = 0 if entry is None else entry.position
        rows.append(
            ShippedStream(
                source,
                stream.path,
                f"{stream.generation:016x}" if stream.generation else "",
                stream.position,
                acknowledged,
                stream.size,
                None if stream.size is None else max(0, stream.size - acknowledged),
                stream.decision,
            )
        )
    return rows
