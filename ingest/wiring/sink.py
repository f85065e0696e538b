"""Builds the job "sink"."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ingest import __version__
from ingest.api import Filesystem
from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.membership import FetchOptions, GroupOptions
from ingest.commit.chain import iso
from ingest.commit.root import Root, join_root
from ingest.errors import ConfigError, Retriable, Unavailable, UsageError
from ingest.service.log import logger
from ingest.service.ownership import private_directory
from ingest.service.schedule import Ticks
from ingest.sink.assignment import held_by
from ingest.sink.background import Encoder
from ingest.sink.description import describe
from ingest.sink.events import SinkEvents
from ingest.sink.memory import Shares
from ingest.sink.spool import emptied
from ingest.sink.threads import Threads
from ingest.sink.watch import BEAT, SinkWatch
from ingest.sink.worker import REVOKE, SinkWorker
from ingest.wiring.partitions import Partitions, require_root
from ingest.wiring.surroundings import Surroundings, connection, filesystem, worker_name

COMMIT_THREADS = 4
ENCODERS = 2
"""Threads that write Parquet."""
WATCH_THREADS = 2
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
        self._name, self._returning = worker_name(self._directory)
        self._shares = Shares.of(self._sink.memory)
        self._worker: SinkWorker | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; with `once` until everything is committed.

        Raises:
            IngestError: see `SinkWorker.run`; Unavailable only with `once`, or where the state directory is full.
        """
        # What a dead worker left open is read again from Kafka.
        emptied(self._directory / "spool")
        with ExitStack() as stack:
            warehouse = filesystem(self._around.config, self._sink)
            stack.callback(warehouse.close)
            consumer = self._reach(stop, "kafka", self._consumer)
            if consumer is None:
                return
            unstarted = stack.enter_context(ExitStack())
            unstarted.callback(consumer.close)
            if self._reach(stop, "destination", lambda: self._join(warehouse, consumer)) is None:
                return
            encoders = Threads("encode", ENCODERS)
            stack.callback(encoders.close)
            pool = Threads("commit", COMMIT_THREADS)
            stack.callback(pool.close)
            watch_pool = Threads("watch", WATCH_THREADS)
            stack.callback(watch_pool.close)
            self._work(
                stop,
                warehouse,
                consumer,
                Encoder(encoders, ENCODERS),
                pool,
                watch_pool,
                unstarted,
            )

    def status(self) -> list[dict[str, Any]]:
        """Return one mapping for each topic partition in hand; from any thread.

        Raises:
            Unavailable: the loop does not answer.
        """
        worker = self._worker
        if worker is None:
            return []
        try:
            return worker.ask(lambda: [describe(each) for _, each in sorted(worker.assignments.items())]).result(10)
        except TimeoutError:
            raise Unavailable("the sink's loop does not answer: it is busy, or hangs") from None

    def flush(self, timeout: float) -> None:
        """Commit everything read so far; from any thread.

        Raises:
            Unavailable: it takes longer than `timeout` seconds, and goes on in the background; or the worker ends.
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
        if not flush.complete:
            raise Unavailable("the sink ended before everything was committed; the rest will be read again")

    # ── starting ──────────────────────────────────────────────────────────────────

    def _reach(self, stop: threading.Event, part: str, attempt: Callable[[], Any]) -> Any:
        """Return what `attempt` returns, trying until it answers; None = told to stop first."""
        while not stop.is_set():
            self._around.health.beat("sink", BEAT)
            try:
                reached = attempt()
            except Retriable as error:
                self._around.health.report(part, False, str(error))
                if self._once:
                    raise
                self._log.warning("waiting", part=part, reason=str(error))
                stop.wait(RETRY)
            else:
                self._around.health.report(part, True)
                return reached
        return None

    def _consumer(self) -> KafkaBlockConsumer:
        sink = self._sink
        return KafkaBlockConsumer(
            connection(self._around.config),
            GroupOptions(sink.group, self._name, self._returning, sink.session_timeout, sink.max_poll_interval),
            FetchOptions(total_bytes=self._shares.fetch, partition_bytes=self._shares.partition_fetch),
        )

    def _join(self, warehouse: Filesystem[Any], consumer: KafkaBlockConsumer) -> Root:
        """Prove that the warehouse keeps its promises and is ours; remember that we were here."""
        warehouse.check()
        own = Root(
            cluster_id=consumer.cluster_id(),
            group=self._sink.group,
            worker=self._name,
            created_at=iso(self._around.clock.now()),
            version=__version__,
        )
        known = self._directory / "root.json"
        here = json.dumps({"root": self._sink.destination.root, "type": self._sink.destination.type}) + "\n"
        expected = known.exists() and known.read_text() == here
        try:
            root = join_root(warehouse, own, expected=expected)
        except UsageError as error:
            raise ConfigError("sink.destination.root", str(error)) from error
        if not expected:
            scratch = known.with_suffix(".tmp")
            scratch.write_text(here)
            os.replace(scratch, known)
        return root

    # ── working ──────────────────────────────────────────────────────────────────

    def _work(
        self,
        stop: threading.Event,
        warehouse: Filesystem[Any],
        consumer: KafkaBlockConsumer,
        encoder: Encoder,
        pool: Threads,
        watch_pool: Threads,
        unstarted: ExitStack,
    ) -> None:
        around, sink = self._around, self._sink
        events = SinkEvents(self._log, around.metrics, around.clock.now, around.clock.monotonic)
        ticks = Ticks(around.clock, lambda name: around.metrics.ticks_coalesced.labels(name).inc())
        partitions = Partitions(
            around,
            warehouse,
            consumer,
            ticks,
            pool,
            encoder,
            events,
            name=self._name,
            spool=self._directory / "spool",
            writers=self._writers,
            once=self._once,
        )
        watch = SinkWatch(
            consumer.contact_age,
            consumer.end_offsets,
            lambda: require_root(warehouse),
            watch_pool,
            around.clock,
            around.metrics,
            around.health,
            self._directory / "stopped.json",
        )
        self._worker = SinkWorker(
            consumer,
            sink.topics,
            sink.patterns,
            partitions.assign,
            watch,
            around.clock,
            released=partitions.released,
            due_topics=lambda: [topic for topic in partitions.topics if ticks.take(topic)],
            rows_limit=self._shares.rows,
            once=self._once,
            # Half of what the group has patience for.
            revoke=min(REVOKE, sink.max_poll_interval / 2),
        )
        unstarted.pop_all()  # from here on the worker closes the consumer
        ticks.start()
        try:
            self._worker.run(stop)
        finally:
            ticks.stop()
            self._worker = None
            self._say_what_was_not_read(partitions)

    def _say_what_was_not_read(self, partitions: Partitions) -> None:
        if not self._once:
            return
        for topic in sorted(set(self._sink.topics) - partitions.topics):
            self._log.warning(
                "nothing was read of a topic: it does not exist, or other workers of the group have its partitions",
                topic=topic,
            )

    def _writers(self) -> int:
        worker = self._worker
        return 0 if worker is None else sum(files.writers for files in held_by(worker.assignments.values()))
