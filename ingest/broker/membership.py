"""How a consumer is set up: its place in the group, what it subscribes to, how much it fetches at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer
from kafka import errors as kafka
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

from ingest.broker.failures import translated
from ingest.broker.seams import ClientFactory
from ingest.broker.security import Connection

EVERYTHING = 1 << 31
"""As many records as there are: what one poll returns is bounded by bytes."""


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """Membership in the consumer group.

    Attributes:
        group: its name.
        member: this worker's own name in it, stable over restarts: a worker that comes back within `session_timeout`
            gets its partitions back at once. None = a stranger at each start.
        returning: a worker of this name was in the group before.
        session_timeout: seconds of silence after which the group goes on without this worker.
        max_poll_interval: seconds between two polls after which it does so too, heartbeats or not.
        cooperative: move only the partitions that must move; False = all are revoked at each rebalance. All members of
            a group must agree.
    """

    group: str
    member: str | None = None
    returning: bool = False
    session_timeout: float = 30.0
    max_poll_interval: float = 300.0
    cooperative: bool = True


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How much is fetched at a time: what one poll returns is at most about `total_bytes` for each broker, compressed.

    Attributes:
        total_bytes: of one fetch from one broker; the first batch comes whole however large it is.
        partition_bytes: of one partition in it.
        wait: seconds for which a broker holds an answer back while it has nothing. Questions on the same connection,
            such as for a topic's id before each commit, wait behind it.
        timeout: seconds after which a request without an answer is repeated on a new connection.
    """

    total_bytes: int = 16 << 20
    partition_bytes: int = 2 << 20
    wait: float = 0.1
    timeout: float = 15.0


def join(connection: Connection, group: GroupOptions, fetch: FetchOptions, factory: ClientFactory) -> KafkaConsumer:
    """Return a consumer that is connected and subscribes to nothing yet.

    It never decides by itself where to read: `auto_offset_reset` "none" turns an offset that is not there, and a log
    that was cut, into errors.

    Raises:
        Unavailable: no broker answered within `connection.timeout`.
        Refused: user, password or certificate are not accepted.
    """
    session_ms = int(group.session_timeout * 1000)
    with translated(f"connecting to {connection}"):
        try:
            return KafkaConsumer(
                group_id=group.group,
                group_instance_id=group.member,
                session_timeout_ms=session_ms,
                heartbeat_interval_ms=min(3_000, session_ms // 3),
                max_poll_interval_ms=int(group.max_poll_interval * 1000),
                partition_assignment_strategy=(
                    CooperativeStickyAssignor if group.cooperative else RangePartitionAssignor,
                ),
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                check_crcs=True,
                max_poll_records=EVERYTHING,
                fetch_max_bytes=fetch.total_bytes,
                max_partition_fetch_bytes=fetch.partition_bytes,
                fetch_max_wait_ms=int(fetch.wait * 1000),
                request_timeout_ms=int(fetch.timeout * 1000),
                metrics_enabled=False,
                kafka_client=factory,
                **connection.arguments(),
            )
        except kafka.KafkaError:
            factory.discard()
            raise


def pattern_of(topics: Sequence[str], patterns: Sequence[str]) -> str | None:
    """Return one regular expression for names and patterns together, for `re.match`; None: names only."""
    if not patterns:
        return None
    names = [rf"(?:{re.escape(topic)})\Z" for topic in topics]
    return "|".join([*names, *(f"(?:{pattern})" for pattern in patterns)])
