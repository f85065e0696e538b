"""Where the partitions of a topic begin, agreed by all workers before the first chain is begun.

    _ingest/<topic>/beginning.json

Without it a worker could not tell a partition that is new to everybody, which begins where `start_at` says, from one
that was added to the topic later, which begins at its first offset: with `start_at = "latest"` the records that were
sent between its making and its discovery would be lost.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ingest.api import Filesystem
from ingest.commit import chain, names
from ingest.commit.perform import run
from ingest.commit.protocol import publish_or_obey


class Beginning(chain.Record, frozen=True, kw_only=True):
    """What the first worker saw: how many partitions the topic had, and what its configuration said of them."""

    topic: str
    partitions: int
    start_at: str | int
    worker: str
    created_at: str
    version: str
    format: int = msgspec.field(default_factory=lambda: chain.FORMAT)

    def offset(self, partition: int, earliest: int, end: int) -> tuple[int, str]:
        """Return (offset, why) where a partition without a chain begins, given its log's first offset and end."""
        if partition >= self.partitions:
            return 0, "added later"
        if self.start_at == "earliest":
            return earliest, "earliest"
        if self.start_at == "latest":
            return end, "latest"
        return int(self.start_at), "configured offset"


def agree(filesystem: Filesystem[Any], own: Beginning) -> Beginning:
    """Publish `own`, or return what another worker published first."""
    path = names.beginning_path(own.topic)
    return chain.decode(run(filesystem, publish_or_obey(path, chain.encode(own))), Beginning, path)
