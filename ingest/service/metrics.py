"""Every metric of the program, declared once: what is counted, under which name, with which labels.

Names are `ingest_<wing>_<thing>_<unit>`, counters end in `_total`; all labels have few values (sources, topics,
partitions, reasons), never a path or anything that a record holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ingest import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what `Metrics.exposition` returns."""

_M = TypeVar("_M", Counter, Gauge)


@dataclass(frozen=True, slots=True)
class Description:
    """One metric for the documentation; `name` as it is exported, `help` one or more sentences."""

    name: str
    type: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str


class _Declared:
    """Makes metrics in a registry and remembers what they are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.descriptions: list[Description] = []

    def counter(self, name: str, help: str, *labels: str) -> Counter:
        return self._declare(Counter, f"ingest_{name}_total", "counter", help, labels)

    def gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return self._declare(Gauge, f"ingest_{name}", "gauge", help, labels)

    def _declare(
        self, make: type[_M], name: str, kind: Literal["counter", "gauge"], help: str, labels: tuple[str, ...]
    ) -> _M:
        self.descriptions.append(Description(name, kind, labels, help))
        return make(name, help, labels, registry=self._registry)


class Metrics:
    """The metrics as attributes; with labels, `metric.labels(…)` or `metric.labels(topic=…)` first.

    Counters are of this process: they begin at 0 when it starts. Attributes that name seconds are gauges holding
    unix seconds. All may be used from any thread.

    Args:
        registry: where they are registered; by default one of their own, with the process's memory, CPU and files.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter brings a second series
        self.registry = registry or CollectorRegistry()
        if registry is None:
            ProcessCollector(registry=self.registry)
        declared = _Declared(self.registry)
        self._declare_process(declared)
        self._declare_ship(declared)
        self._declare_sink(declared)
        self._descriptions = declared.descriptions

    def _declare_process(self, new: _Declared) -> None:
        self.build_info = new.gauge("build_info", "Always 1; its label says which version runs.", "version")
        self.build_info.labels(__version__).set(1)
        self.log_dropped = new.gauge(
            "log_dropped_lines", "Lines of our own log that stderr did not take since the process started."
        )
        self.ticks_coalesced = new.counter(
            "schedule_coalesced_ticks", "Cron ticks merged into one before that was still being worked on.", "schedule"
        )

    def _declare_ship(self, new: _Declared) -> None:
        self.ship_lines = new.counter("ship_lines", "Lines read and handed to the producer.", "source")
        self.ship_bytes = new.counter("ship_read_bytes", "Bytes of those lines, without newlines.", "source")
        self.ship_acked_bytes = new.counter(
            "ship_acked_bytes", "Bytes that Kafka has acknowledged, newlines included.", "source"
        )
        self.ship_dropped = new.counter(
            "ship_dropped_lines", "Lines not sent or cut, on purpose or by a limit.", "source", "reason"
        )
        self.ship_inflight_bytes = new.gauge("ship_inflight_bytes", "Bytes read and not yet acknowledged.")
        self.ship_streams = new.gauge("ship_streams", "Streams (files, sockets) being read.", "source")
        self.ship_unread = new.gauge(
            "ship_unread_files", "Files that a source should read and does not: they wait, or can't be read.", "source"
        )
        self.ship_deleted = new.gauge(
            "ship_deleted_bytes", "Disk that deleted files hold until they are read to their end.", "source"
        )
        self.ship_restarts = new.counter("ship_restarts", "Times that sending began anew from the checkpoint.")
        self.checkpoint_seconds = new.gauge(
            "ship_checkpoint_timestamp_seconds", "When the checkpoint was last made durable, unix time."
        )

    def _declare_sink(self, new: _Declared) -> None:
        partition = ("topic", "partition")
        self.sink_records = new.counter("sink_records", "Records fetched from Kafka.", "topic")
        self.sink_rows = new.counter("sink_rows", "Rows in committed files.", "topic")
        self.sink_bytes = new.counter("sink_written_bytes", "Bytes of committed files.", "topic")
        self.sink_duplicates = new.counter(
            "sink_duplicate_records", "Records dropped because their line was written before.", "topic"
        )
        self.sink_quarantined = new.counter(
            "sink_quarantined_records", "Records that went to the quarantine.", "topic", "reason"
        )
        self.sink_counted = new.counter(
            "sink_counted_records", "Records kept, but with something worth knowing.", "topic", "reason"
        )
        self.sink_commits = new.counter("sink_commits", "Commits published, by what caused them.", "topic", "reason")
        self.sink_files = new.counter("sink_files", "Files committed.", "topic")
        self.sink_fenced = new.counter("sink_fenced_commits", "Commits that another worker had made first.", "topic")
        self.sink_buffered_bytes = new.gauge("sink_buffered_bytes", "Memory held by rows that are not committed.")
        self.sink_open_files = new.gauge("sink_open_files", "Parquet files being written.")
        self.sink_lag = new.gauge("sink_lag_records", "High watermark minus next offset.", *partition)
        self.sink_stopped = new.gauge(
            "sink_stopped", "1 while the partition waits for a person, by why.", *partition, "why"
        )
        self.sink_lost_offsets = new.counter(
            "sink_lost_offsets", "Offsets that were gone before they were read.", *partition
        )
        self.sink_last_commit = new.gauge(
            "sink_last_commit_timestamp_seconds", "When the partition last committed, unix time.", *partition
        )

    def forget_partition(self, topic: str, partition: int) -> None:
        """Drop the gauges of a partition that this worker no longer owns, so that no stale lag is reported."""
        for gauge in (self.sink_lag, self.sink_stopped, self.sink_last_commit):
            for labels in list(_label_sets(gauge)):
                if (labels["topic"], labels["partition"]) == (topic, str(partition)):
                    gauge.remove(*labels.values())

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def snapshot(self) -> dict[str, float]:
        """Return the value of each of our own series that is not 0, by name and labels; for reports and tests."""
        return {
            sample.name + (str(sample.labels) if sample.labels else ""): sample.value
            for family in self.registry.collect()
            if family.name.startswith("ingest_")
            for sample in family.samples
            if sample.value and not math.isnan(sample.value)
        }


def describe() -> list[Description]:
    """Return every metric of the program, for the documentation."""
    return list(Metrics(CollectorRegistry())._descriptions)


def _label_sets(gauge: Gauge) -> Iterator[dict[str, Any]]:
    """Yield the labels of each series, in the order in which they were declared."""
    for family in gauge.collect():
        for sample in family.samples:
            yield sample.labels
