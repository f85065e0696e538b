"""One bound on what all topic partitions of a worker hold in memory, with hysteresis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.sink.open_files import OpenFile, OpenFiles

LOW = 0.5
"""Relief goes on down to this part of the limit, so that it comes in few large steps."""

MAX_WRITERS = 32
"""Parquet files written early, all partitions together: an open writer of 18 columns costs 100 to 250 kB."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How the one number is divided; bytes.

    Attributes:
        fetch: what one poll may bring. A fetched byte lives several times while it is decompressed, decoded and parsed.
        partition_fetch: what one partition may bring to a poll.
        rows: what may wait in open files.
        row_group: what is worth a row group.
    """

    fetch: int
    partition_fetch: int
    rows: int
    row_group: int

    @classmethod
    def of(cls, memory: int) -> Shares:
        """Divide `memory`."""
        return cls(
            fetch=max(memory // 32, 1 << 20),
            partition_fetch=max(min(memory // 64, 2 << 20), 256 << 10),
            rows=memory // 2,
            row_group=max(min(memory // 16, 16 << 20), 1 << 20),
        )


def to_set_aside(partitions: Sequence[OpenFiles], limit: int) -> list[tuple[int, OpenFile]]:
    """Return which files give back their memory, each with the index of its partition: none while it is enough.

    Where more than `limit` bytes are held, those are the largest, until no more than half of it would be.
    """
    held = sum(files.held for files in partitions)
    if held <= limit:
        return []
    waiting = [(file.waiting, index, file) for index, files in enumerate(partitions) for file in files]
    waiting.sort(key=lambda entry: entry[0], reverse=True)
    chosen: list[tuple[int, OpenFile]] = []
    for size, index, file in waiting:
        if held <= limit * LOW:
            break
        chosen.append((index, file))
        held -= size
    return chosen
