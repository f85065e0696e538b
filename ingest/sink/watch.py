"""Looks after what concerns all partitions, every few seconds: lag, readiness, the list of stopped partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from ingest.clock import Clock
from ingest.errors import IngestError
from ingest.service.health import Health
from ingest.service.log import logger
from ingest.service.metrics import Metrics
from ingest.sink.assignment import Assignment, Phase, held_by
from ingest.sink.stops import StoppedPartition, write_stops
from ingest.sink.threads import Pool

EVERY = 5.0
"""Seconds between looks: two fit into the 20 s for which a report on readiness holds, with room."""

SILENT = 12.0
"""Seconds without a word from any broker after which Kafka counts as gone."""

BEAT = 120.0
"""Seconds within which the loop promises to come round; a turn decodes, parses and encodes one poll's records."""

Key = tuple[str, int]


class SinkWatch:
    """See `worker.Watch`. Never waits: what may take long is asked on threads, and answered in a later look.

    Args:
        contact_age: seconds since a broker was last heard.
        end_offsets: asks Kafka for the ends of partitions; raises Retriable when it does not answer.
        probe: touches the destination; raises when it does not answer.
        pool: threads for both.
        clock: for the time between looks.
        metrics: gauges.
        health: readiness and the loop's beat.
        stopped_file: where the stopped partitions are listed for whoever looks at the state directory.
    """

    def __init__(
        self,
        contact_age: Callable[[], float],
        end_offsets: Callable[[list[Key]], Mapping[Key, int]],
        probe: Callable[[], None],
        pool: Pool,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        stopped_file: Path,
    ) -> None:
        self._contact_age = contact_age
        self._end_offsets = end_offsets
        self._probe = probe
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._stopped_file = stopped_file
        self._stopped: list[StoppedPartition] | None = None
        self._next = float("-inf")
        self._asking: Future[Mapping[Key, int]] | None = None
        self._probing: Future[None] | None = None

    def turn(self, assignments: Mapping[Key, Assignment]) -> None:
        """Say that the loop moves; every few seconds look at everything."""
        self.beat()
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + EVERY
        self._look_at_memory(assignments)
        self._look_at_kafka(assignments)
        self._look_at_destination()
        self._look_at_partitions(assignments)

    def beat(self) -> None:
        """Say that the loop moves."""
        self._health.beat("sink", BEAT)

    def note_stops(self, assignments: Mapping[Key, Assignment]) -> list[StoppedPartition]:
        """Write down which partitions stand still, where that changed; return them."""
        stops = [
            StoppedPartition(each.topic, each.partition, each.committed_offset, each.stop)
            for each in assignments.values()
            if each.phase is Phase.STOPPED and each.stop is not None
        ]
        if stops != self._stopped:
            try:
                write_stops(self._stopped_file, stops)
            except OSError as error:  # the work goes on; tried again at the next look
                logger().error("the state directory does not take the list of stopped partitions", error=error)
            else:
                self._stopped = stops
        return stops

    def _look_at_memory(self, assignments: Mapping[Key, Assignment]) -> None:
        files = held_by(assignments.values())
        self._metrics.sink_buffered_bytes.set(sum(each.held for each in files))
        self._metrics.sink_open_files.set(sum(each.writers for each in files))

    def _look_at_kafka(self, assignments: Mapping[Key, Assignment]) -> None:
        age = self._contact_age()
        self._health.report("kafka", age < SILENT, "" if age < SILENT else f"no broker was heard for {age:.0f} s")
        if self._asking is not None and self._asking.done():
            asking, self._asking = self._asking, None
            self._take_in(asking, assignments)
        if self._asking is None and assignments:
            keys = list(assignments)
            self._asking = self._pool.submit(lambda: self._end_offsets(keys))

    def _take_in(self, asking: Future[Mapping[Key, int]], assignments: Mapping[Key, Assignment]) -> None:
        try:
            ends = asking.result()
        except IngestError:
            return  # the age of the last contact tells; the lag stays what it was last
        for key, end in ends.items():
            each = assignments.get(key)
            if each is not None and each.committed_offset is not None:
                self._metrics.sink_lag.labels(*key).set(max(0, end - each.committed_offset))

    def _look_at_destination(self) -> None:
        """Take in the last probe and begin the next; while one is on its way the last report grows stale."""
        if self._probing is not None:
            if not self._probing.done():
                return
            try:
                self._probing.result()
            except IngestError as error:
                self._health.report("destination", False, str(error))
            else:
                self._health.report("destination", True)
        self._probing = self._pool.submit(self._probe)

    def _look_at_partitions(self, assignments: Mapping[Key, Assignment]) -> None:
        troubles = [each.stop.message for each in self.note_stops(assignments)]
        troubles += [each.waiting for each in assignments.values() if each.waiting is not None]
        self._health.report("partitions", not troubles, "; ".join(troubles[:3]))
