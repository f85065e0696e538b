"""Builds what the sink needs for one topic partition."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest import __version__
from ingest.api import Filesystem
from ingest.broker.admin import ClusterAdmin
from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.failures import TopicMissing
from ingest.commit import names
from ingest.commit.beginning import Beginning, agree
from ingest.commit.chain import iso
from ingest.commit.committer import ChainKey, Committer, Tail
from ingest.errors import Unavailable
from ingest.service.schedule import Ticks
from ingest.sink.assignment import Assignment
from ingest.sink.background import Encoder
from ingest.sink.begin import open_range
from ingest.sink.chain import PartitionChain
from ingest.sink.memory import MAX_WRITERS, Shares
from ingest.sink.open_range import OpenRange
from ingest.sink.plan import TopicPlan
from ingest.sink.ports import Events, Ports
from ingest.sink.threads import Pool
from ingest.wiring.logs import Logs
from ingest.wiring.plan import topic_plan
from ingest.wiring.surroundings import Surroundings, connection


class Partitions:
    """Makes assignments for the partitions that the group gives.

    Args:
        around: the process.
        warehouse: the destination.
        consumer: of the group.
        ticks: gets the cron schedule of each topic that is met.
        pool: threads for what may wait.
        encoder: writes Parquet beside the loop.
        events: see `ports.Events`.
        name: of this worker.
        spool: local directory for what is not committed.
        writers: returns how many Parquet files are being written in all.
        once: see `Assignment`.
    """

    def __init__(
        self,
        around: Surroundings,
        warehouse: Filesystem[Any],
        consumer: KafkaBlockConsumer,
        ticks: Ticks,
        pool: Pool,
        encoder: Encoder,
        events: Events,
        *,
        name: str,
        spool: Path,
        writers: Callable[[], int],
        once: bool,
    ) -> None:
        self._around = around
        self._sink = around.config.require_sink()
        self._warehouse = warehouse
        self._logs = Logs(consumer, around.clock.monotonic)
        self._ticks = ticks
        self._ports = Ports(consumer, pool, around.clock, events, random.random)
        self._encoder = encoder
        self._name = name
        self._spool = spool
        self._writers = writers
        self._once = once
        self._shares = Shares.of(self._sink.memory)
        self._admin = ClusterAdmin(connection(around.config))
        self._plans: dict[str, TopicPlan] = {}
        self._beginnings: dict[str, Beginning] = {}

    @property
    def topics(self) -> set[str]:
        """Return the topics of which this worker ever had a partition."""
        return set(self._plans)

    def assign(self, topic: str, partition: int) -> Assignment:
        """Return the assignment of a partition.

        Raises:
            ConfigError: nothing says what parser the topic needs.
        """
        plan = self._plan(topic)
        chain = PartitionChain(
            self._committer(topic, partition),
            partition,
            log=self._logs.of(topic, partition),
            beginning=lambda: self._beginning(topic),
            begin=lambda tail, topic_id: self._begin(plan, tail, topic_id),
            require_root=lambda: require_root(self._warehouse),
        )
        return Assignment(topic, partition, chain=chain, limits=plan.limits, ports=self._ports, once=self._once)

    def released(self, assignment: Assignment) -> None:
        """A partition is another worker's now."""
        self._logs.forget(*assignment.key)
        self._ports.events.released(assignment)

    def _plan(self, topic: str) -> TopicPlan:
        plan = self._plans.get(topic)
        if plan is None:
            plan = self._plans[topic] = topic_plan(self._around.config, topic, self._warehouse, self._name)
            if plan.cron is not None:
                self._ticks.add(topic, plan.cron, plan.cron_timezone)
        return plan

    def _beginning(self, topic: str) -> Beginning:
        """Return what all workers agreed on, which never changes; on a thread of the pool."""
        if (known := self._beginnings.get(topic)) is not None:
            return known
        try:
            partitions = self._admin.topic(topic).partitions
        except TopicMissing as error:
            raise Unavailable(str(error)) from error  # being deleted: the group will take it away
        own = Beginning(
            topic=topic,
            partitions=partitions,
            start_at=self._sink.start_at,
            worker=self._name,
            created_at=iso(self._around.clock.now()),
            version=__version__,
        )
        self._beginnings[topic] = agreed = agree(self._warehouse, own)
        return agreed

    def _committer(self, topic: str, partition: int) -> Committer:
        return Committer(
            self._warehouse,
            ChainKey(topic, partition),
            worker=self._name,
            version=__version__,
            now=self._around.clock.now,
            new_id=lambda: uuid.uuid4().hex,
        )

    def _begin(self, plan: TopicPlan, tail: Tail, topic_id: str) -> OpenRange:
        assert isinstance(tail.key.partition, int)
        return open_range(
            plan,
            tail,
            self._committer(plan.topic, tail.key.partition),
            spool=self._spool,
            row_group=self._shares.row_group,
            may_write=lambda: self._writers() < MAX_WRITERS,
            clock=self._around.clock,
            metrics=self._around.metrics,
            encoder=self._encoder,
            topic_id=topic_id,
        )


def require_root(warehouse: Filesystem[Any]) -> None:
    """Make sure that the warehouse answers, and is still the one that it was at the start.

    Raises:
        Unavailable: it isn't, or does not.
    """
    if not warehouse.list(names.ROOT):
        raise Unavailable("_ingest/root.json is gone: is the disk mounted? Nothing is written until it is back")
