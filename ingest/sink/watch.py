"""Looks after what concerns all partitions, every few seconds: lag, readiness, the list of stopped partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ingest.clock import Clock
from ingest.errors import IngestError
from ingest.service.health import Health
from ingest.service.metrics import Metrics
from ingest.sink.assignment import Assignment, Phase
from ingest.sink.commits import CommitPool, Job
from ingest.sink.stops import StoppedPartition, write_stops

EVERY = 5.0
"""Seconds between looks: two fit into the 20 s for which a report on readiness holds, with room."""

BEAT = 120.0
"""Seconds within which the loop promises to come round; a turn decodes, parses and encodes one poll's records."""


class SinkWatch:
    """See `worker.Watch`.

    Args:
        end_offsets: asks Kafka for the ends of partitions; raises Retriable when it does not answer.
        probe: touches the destination; raises when it does not answer. Runs on a thread of the pool.
        stopped_file: where the stopped partitions are listed for whoever looks at the state directory.
    """

    def __init__(
        self,
        end_offsets: Callable[[list[tuple[str, int]]], Mapping[tuple[str, int], int]],
        probe: Callable[[], None],
        pool: CommitPool,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        stopped_file: Path,
    ) -> None:
        self._end_offsets = end_offsets
        self._probe = probe
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._stopped_file = stopped_file
        self._stopped: list[StoppedPartition] | None = None
        self._next = float("-inf")
        self._probing: Job[None] | None = None

    def turn(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        """Say that the loop moves; every few seconds look at everything."""
        self._health.beat("sink", BEAT)
        self._metrics.sink_buffered_bytes.set(
            sum(each.range.files.held for each in assignments.values() if each.range is not None)
        )
        self._metrics.sink_open_files.set(
            sum(each.range.files.writers for each in assignments.values() if each.range is not None)
        )
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + EVERY
        self._look_at_kafka(assignments)
        self._look_at_destination()
        self._look_at_partitions(assignments)

    def _look_at_kafka(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        try:
            ends = self._end_offsets(list(assignments))
        except IngestError as error:
            self._health.report("kafka", False, str(error))
            return
        self._health.report("kafka", True)
        for (topic, partition), end in ends.items():
            committed = assignments[topic, partition].committed_offset
            if committed is not None:
                self._metrics.sink_lag.labels(topic, partition).set(max(0, end - committed))

    def _look_at_destination(self) -> None:
        """Begin a probe unless one is still on its way: then the last report is left to grow stale."""
        if self._probing is None or self._probing.future.done():
            self._probing = self._pool.submit(self._probe)

    def _look_at_partitions(self, assignments: Mapping[tuple[str, int], Assignment]) -> None:
        stops = self.note_stops(assignments)
        self._health.report("partitions", not stops, "; ".join(each.stop.message for each in stops[:3]))

    def note_stops(self, assignments: Mapping[tuple[str, int], Assignment]) -> list[StoppedPartition]:
        """Write down which partitions stand still, where that changed; return them."""
        stops = [
            StoppedPartition(each.topic, each.partition, each.committed_offset, each.stop)
            for each in assignments.values()
            if each.phase is Phase.STOPPED and each.stop is not None
        ]
        if stops != self._stopped:
            write_stops(self._stopped_file, stops)
            self._stopped = stops
        return stops
