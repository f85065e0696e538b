"""Whose warehouse this is: one Kafka cluster and one consumer group write below a root.

Only sinks publish `root.json`. A backfill belongs to no cluster and writes none: a warehouse that backfills alone have
filled is adopted by the first sink that comes, and backfills work beside any sink.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ingest.api import Filesystem
from ingest.commit import chain, names, protocol
from ingest.commit.perform import run
from ingest.errors import Fatal, FileMissing, UsageError


class Root(chain.Record, frozen=True, kw_only=True):
    """What `root.json` holds; cluster and group must match, the rest is for people."""

    cluster_id: str
    group: str
    worker: str
    created_at: str
    version: str
    format: int = msgspec.field(default_factory=lambda: chain.FORMAT)


def read_root(filesystem: Filesystem[Any]) -> Root | None:
    """Return whose warehouse this is, None if no sink has written here yet.

    Raises:
        StateDamaged: it can't be read, or a newer version wrote it.
    """
    try:
        return chain.decode(filesystem.read(names.ROOT), Root, names.ROOT)
    except FileMissing:
        return None


def join_root(filesystem: Filesystem[Any], own: Root, *, expected: bool = False) -> Root:
    """Make sure that this sink belongs here, publishing `own` where nobody was before; return what is there.

    Args:
        filesystem: the warehouse.
        own: this sink's cluster and group.
        expected: a sink of this state directory was here before, so the record must be there.

    Raises:
        Fatal: it was there before and is gone: a disk that is not mounted, another root. It is never made anew.
        UsageError: another cluster or group writes here.
        Unavailable: try again.
    """
    found = read_root(filesystem)
    if found is None and expected:
        raise Fatal(
            f"{names.ROOT} is gone, though this sink wrote here before: is the disk mounted, is `root` still right? "
            "Nothing is written until it is back"
        )
    if found is None:
        content = run(filesystem, protocol.publish_or_obey(names.ROOT, chain.encode(own)))
        found = chain.decode(content, Root, names.ROOT)
    if (found.cluster_id, found.group) != (own.cluster_id, own.group):
        raise UsageError(
            f"this warehouse belongs to the Kafka cluster {found.cluster_id} and the group {found.group}; "
            f"this sink is of the cluster {own.cluster_id} and the group {own.group}. Use a root of its own"
        )
    return found
