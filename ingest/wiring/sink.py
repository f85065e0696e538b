"""Builds the job "sink"."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Callable
from typing import Any

from ingest import __version__
from ingest.api import Filesystem
from ingest.broker.admin import ClusterAdmin
from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.membership import FetchOptions, GroupOptions
from ingest.commit.beginning import Beginning, agree
from ingest.commit.chain import iso
from ingest.commit.committer import ChainKey, Committer, Tail
from ingest.commit.root import Root, join_root, read_root
from ingest.errors import Retriable, Unavailable
from ingest.service.log import logger
from ingest.service.ownership import private_directory
from ingest.service.schedule import Ticks
from ingest.sink.assignment import Assignment, Ports
from ingest.sink.begin import open_range
from ingest.sink.chain import PartitionChain
from ingest.sink.commits import CommitPool
from ingest.sink.events import SinkEvents
from ingest.sink.loss import Bounds
from ingest.sink.memory import MAX_WRITERS, Shares
from ingest.sink.open_range import OpenRange
from ingest.sink.plan import TopicPlan
from ingest.sink.watch import SinkWatch
from ingest.sink.worker import SinkWorker
from ingest.wiring.plan import topic_plan
from ingest.wiring.surroundings import Surroundings, connection, filesystem, worker_name

COMMIT_THREADS = 4
RETRY = 2.0
"""Seconds between attempts to reach Kafka and the warehouse at the start."""


class SinkJob:
    """The job "sink" of one process: reaches Kafka and the warehouse, then works until told to stop.

    Make it while holding the state directory's part "sink".
    """

    def __init__(self, around: Surroundings, *, once: bool) -> None:
        self._around = around
        self._once = once
        self._sink = around.config.require_sink()
        self._log = logger(part="sink")
        self._directory = around.state / "sink"
        private_directory(self._directory)
        self._spool = self._directory / "spool"
        self._name = worker_name(self._directory)
        self._shares = Shares.of(self._sink.memory)
        self._worker: SinkWorker | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; with `once` until everything is committed.

        Raises:
            IngestError: see `SinkWorker.run`; Unavailable only with `once`.
        """
        # What a dead worker left open is read again from Kafka.
        shutil.rmtree(self._spool, ignore_errors=True)
        private_directory(self._spool)
        warehouse = filesystem(self._around.config, self._sink)
        pool = CommitPool(COMMIT_THREADS, self._report_destination)
        try:
            consumer = self._reach(stop, "kafka", self._consumer)
            if consumer is None:
                return
            if self._reach(stop, "destination", lambda: self._join(warehouse, consumer)) is None:
                consumer.close()
                return
            self._work(stop, warehouse, pool, consumer)
        finally:
            pool.close()
            warehouse.close()

    def status(self) -> list[dict[str, Any]]:
        """Return one mapping for each topic partition in hand; from any thread.

        Raises:
            Unavailable: the loop does not answer.
        """
        worker = self._worker
        if worker is None:
            return []
        try:
            return worker.ask(lambda: [each.describe() for each in worker.assignments.values()]).result(10)
        except TimeoutError:
            raise Unavailable("the sink's loop does not answer: it is busy, or hangs") from None

    def flush(self, timeout: float) -> None:
        """Commit everything read so far; from any thread.

        Raises:
            Unavailable: it takes longer than `timeout` seconds; it goes on in the background.
        """
        worker = self._worker
        if worker is None:
            return
        try:
            flush = worker.ask(worker.flush).result(10)
        except TimeoutError:
            raise Unavailable("the sink's loop does not answer: it is busy, or hangs") from None
        if not flush.done.wait(timeout):
            raise Unavailable(f"not everything was committed within {timeout:g} s; it goes on in the background")

    # ── starting ──────────────────────────────────────────────────────────────────

    def _reach(self, stop: threading.Event, part: str, attempt: Callable[[], Any]) -> Any:
        """Return what `attempt` returns, trying until it answers; None = told to stop first."""
        while not stop.is_set():
            try:
                reached = attempt()
            except Retriable as error:
                self._around.health.report(part, False, str(error))
                if self._once:
                    raise
                self._log.warning("waiting", part=part, reason=str(error))
                self._around.health.beat("sink", 60)
                stop.wait(RETRY)
            else:
                self._around.health.report(part, True)
                return reached
        return None

    def _consumer(self) -> KafkaBlockConsumer:
        sink = self._sink
        return KafkaBlockConsumer(
            connection(self._around.config),
            GroupOptions(sink.group, self._name, sink.session_timeout, sink.max_poll_interval),
            FetchOptions(total_bytes=self._shares.fetch, partition_bytes=self._shares.partition_fetch),
        )

    def _join(self, warehouse: Filesystem[Any], consumer: KafkaBlockConsumer) -> Root:
        """Prove that the warehouse keeps its promises and is ours; remember that we were here."""
        warehouse.check()
        known = self._directory / "root.json"
        own = Root(
            cluster_id=consumer.cluster_id(),
            group=self._sink.group,
            worker=self._name,
            created_at=iso(self._around.clock.now()),
            version=__version__,
        )
        here = {"root": self._sink.destination.root, "type": self._sink.destination.type}
        expected = known.exists() and json.loads(known.read_text()) == here
        root = join_root(warehouse, own, expected=expected)
        if not expected:
            known.write_text(json.dumps(here) + "\n")
        return root

    def _report_destination(self, error: Exception | None) -> None:
        self._around.health.report("destination", error is None, "" if error is None else str(error))

    # ── working ──────────────────────────────────────────────────────────────────

    def _work(
        self, stop: threading.Event, warehouse: Filesystem[Any], pool: CommitPool, consumer: KafkaBlockConsumer
    ) -> None:
        around, sink = self._around, self._sink
        events = SinkEvents(self._log, around.metrics, around.clock.now, around.clock.monotonic)
        plans = _Plans(lambda topic: topic_plan(around.config, topic, warehouse, self._name))
        ports = Ports(consumer, pool, around.clock, events)
        admin = ClusterAdmin(connection(around.config))
        ticks = Ticks(around.clock, lambda name: around.metrics.ticks_coalesced.labels(name).inc())

        def assign(topic: str, partition: int) -> Assignment:
            plan = plans[topic]
            if plan.cron is not None and topic not in ticks.next_due():
                ticks.add(topic, plan.cron, plan.cron_timezone)

            def bounds() -> Bounds:
                pair = (topic, partition)
                return Bounds(
                    consumer.beginning_offsets([pair])[pair],
                    consumer.end_offsets([pair])[pair],
                    consumer.topic_id(topic),
                )

            def beginning() -> Beginning:
                return agree(
                    warehouse,
                    Beginning(
                        topic=topic,
                        partitions=admin.topic(topic).partitions,
                        start_at=sink.start_at,
                        worker=self._name,
                        created_at=iso(around.clock.now()),
                        version=__version__,
                    ),
                )

            chain = PartitionChain(self._committer(warehouse, topic, partition), partition, beginning)
            finder = self._committer(warehouse, topic, partition)
            return Assignment(
                topic,
                partition,
                chain=chain,
                bounds=bounds,
                topic_id=lambda: consumer.topic_id(topic),
                begin=lambda tail: self._begin(plan, tail, finder),
                limits=plan.limits,
                ports=ports,
            )

        watch = SinkWatch(
            consumer.end_offsets,
            lambda: _probe(warehouse),
            pool,
            around.clock,
            around.metrics,
            around.health,
            self._directory / "stopped.json",
        )
        worker = SinkWorker(
            consumer,
            sink.topics,
            sink.patterns,
            assign,
            watch,
            around.clock,
            due_topics=lambda: [topic for topic in ticks.next_due() if ticks.take(topic)],
            rows_limit=self._shares.rows,
            once=self._once,
        )
        self._worker = worker
        ticks.start()
        try:
            worker.run(stop)
        finally:
            ticks.stop()
            self._worker = None

    def _committer(self, warehouse: Filesystem[Any], topic: str, partition: int) -> Committer:
        return Committer(
            warehouse,
            ChainKey(topic, partition),
            worker=self._name,
            version=__version__,
            now=self._around.clock.now,
            new_id=lambda: uuid.uuid4().hex,
        )

    def _begin(self, plan: TopicPlan, tail: Tail, finder: Committer) -> OpenRange:
        return open_range(
            plan,
            tail,
            finder,
            spool=self._spool,
            row_group=self._shares.row_group,
            may_write=self._may_write,
            clock=self._around.clock,
            metrics=self._around.metrics,
        )

    def _may_write(self) -> bool:
        worker = self._worker
        if worker is None:
            return False
        ranges = [each.range for each in worker.assignments.values() if each.range is not None]
        return sum(opened.files.writers for opened in ranges) < MAX_WRITERS


class _Plans(dict[str, TopicPlan]):
    """Topic → plan, made when a topic is first met."""

    def __init__(self, make: Callable[[str], TopicPlan]) -> None:
        self._make = make

    def __missing__(self, topic: str) -> TopicPlan:
        self[topic] = plan = self._make(topic)
        return plan


def _probe(warehouse: Filesystem[Any]) -> None:
    """Look whether the warehouse answers, and is still the one that it was."""
    if read_root(warehouse) is None:
        raise Unavailable("_ingest/root.json is gone: is the disk mounted? Nothing is written until it is back")
