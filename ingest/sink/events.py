"""What the sink tells people and metrics: one line for each commit, nothing else while all is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingest.commit.committer import CommitDraft, Tail
from ingest.errors import Fenced, IngestError
from ingest.service.metrics import Metrics
from ingest.sink.assignment import Assignment
from ingest.sink.stops import Stop

WAITING_AGAIN = 60.0
"""Seconds in which the same trouble of the same partition is said once."""


class SinkEvents:
    """See `ports.Events`. `now` is wall-clock, `monotonic` measures."""

    def __init__(self, log: Any, metrics: Metrics, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._log = log
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._said: dict[tuple[str, int], tuple[str, float]] = {}
        self._stopped: dict[tuple[str, int], Stop] = {}
        self._lost: dict[tuple[str, int], int] = {}

    def opened(self, assignment: Assignment, tail: Tail) -> None:
        """Say where reading goes on."""
        self._said.pop(assignment.key, None)
        self._clear_stop(assignment)
        if tail.next_offset < self._lost.get(assignment.key, 0):
            del self._lost[assignment.key]  # a new era: its offsets are others
        self._log.info(
            "partition opened",
            topic=assignment.topic,
            partition=assignment.partition,
            era=tail.era,
            next_offset=tail.next_offset,
        )

    def committed(self, assignment: Assignment, draft: CommitDraft, tail: Tail) -> None:
        """Count and say what became visible."""
        topic, metrics = assignment.topic, self._metrics
        self._said.pop(assignment.key, None)
        rows = sum(file.rows for file in draft.files if file.kind == "data")
        metrics.sink_rows.labels(topic).inc(rows)
        metrics.sink_bytes.labels(topic).inc(sum(file.bytes for file in draft.files))
        metrics.sink_files.labels(topic).inc(len(draft.files))
        metrics.sink_commits.labels(topic, draft.reason).inc()
        metrics.sink_last_commit.labels(topic, assignment.partition).set(self._now())
        self._log.info(
            "committed",
            topic=topic,
            partition=assignment.partition,
            first_offset=tail.newest.first_offset if tail.newest else None,
            next_offset=tail.next_offset,
            rows=rows,
            quarantined=sum(file.rows for file in draft.files if file.kind == "quarantine"),
            duplicates=draft.duplicates,
            files=len(draft.files),
            reason=str(draft.reason),
        )

    def fenced(self, assignment: Assignment, error: Fenced) -> None:
        """Say that another worker was first."""
        self._metrics.sink_fenced.labels(assignment.topic).inc()
        self._log.warning(
            "fenced: reading again after what another worker committed",
            topic=assignment.topic,
            partition=assignment.partition,
            reason=str(error),
        )

    def waiting(self, assignment: Assignment, error: IngestError) -> None:
        """Say what does not answer, once a minute."""
        said, at = self._said.get(assignment.key, ("", float("-inf")))
        if said == str(error) and self._monotonic() - at < WAITING_AGAIN:
            return
        self._said[assignment.key] = (str(error), self._monotonic())
        self._log.warning("waiting", topic=assignment.topic, partition=assignment.partition, reason=str(error))

    def stopped(self, assignment: Assignment, stop: Stop) -> None:
        """Say that a person must decide."""
        self._clear_stop(assignment)
        self._stopped[assignment.key] = stop
        self._metrics.sink_stopped.labels(assignment.topic, assignment.partition, stop.kind).set(1)
        self._count_lost(assignment, stop)
        self._log.error(
            "partition stopped",
            topic=assignment.topic,
            partition=assignment.partition,
            kind=stop.kind,
            first_offset=stop.first,
            next_offset=stop.next,
            reason=stop.message,
        )

    def released(self, assignment: Assignment) -> None:
        """Forget a partition that is another worker's now."""
        self._said.pop(assignment.key, None)
        self._stopped.pop(assignment.key, None)
        self._metrics.forget_partition(assignment.topic, assignment.partition)

    def _count_lost(self, assignment: Assignment, stop: Stop) -> None:
        """Count each lost offset once, however often the partition stops over it."""
        if stop.first is None or stop.next is None:
            return
        first = max(stop.first, self._lost.get(assignment.key, stop.first))
        if stop.next > first:
            self._metrics.sink_lost_offsets.labels(assignment.topic, assignment.partition).inc(stop.next - first)
            self._lost[assignment.key] = stop.next

    def _clear_stop(self, assignment: Assignment) -> None:
        before = self._stopped.pop(assignment.key, None)
        if before is not None:
            self._metrics.sink_stopped.labels(assignment.topic, assignment.partition, before.kind).set(0)
