import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from ingest import __version__
from ingest.service.metrics import Metrics, describe

PROMISED = [
    "ship_lines",
    "ship_bytes",
    "ship_acked_bytes",
    "ship_dropped",
    "ship_inflight_bytes",
    "ship_streams",
    "ship_unread",
    "ship_deleted",
    "ship_restarts",
    "checkpoint_seconds",
    "sink_records",
    "sink_rows",
    "sink_bytes",
    "sink_duplicates",
    "sink_quarantined",
    "sink_counted",
    "sink_commits",
    "sink_files",
    "sink_fenced",
    "sink_buffered_bytes",
    "sink_open_files",
    "sink_lag",
    "sink_stopped",
    "sink_lost_offsets",
    "sink_last_commit",
]


@pytest.mark.parametrize("attribute", PROMISED)
def test_the_attributes_that_the_wings_rely_on_exist(attribute):
    assert isinstance(getattr(Metrics(), attribute), Counter | Gauge)


def test_every_metric_is_described_as_it_is_exported():
    metrics = Metrics(CollectorRegistry())
    held = [value for value in vars(metrics).values() if isinstance(value, Counter | Gauge)]
    exported = {(f.name + ("_total" if f.type == "counter" else ""), f.type) for m in held for f in m.describe()}

    assert {(description.name, description.type) for description in describe()} == exported
    assert len(describe()) == len(held)


@pytest.mark.parametrize("description", describe(), ids=lambda description: description.name)
def test_a_metric_has_a_name_by_the_rules_and_help_for_a_person(description):
    assert re.fullmatch(r"ingest_[a-z]+(_[a-z]+)*", description.name)
    assert description.name.endswith("_total") == (description.type == "counter")
    assert re.fullmatch(r"[A-Z0-9].{10,}\.", description.help)
    assert set(description.labels) <= {"source", "topic", "partition", "reason", "why", "version", "schedule"}


def test_the_exposition_can_be_read_by_prometheus():
    metrics = Metrics()
    metrics.sink_rows.labels('odd"topic\n').inc(3)
    metrics.sink_lag.labels(topic="t", partition=1).set(5)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}

    (sample,) = families["ingest_sink_rows"].samples
    assert (sample.name, sample.labels, sample.value) == ("ingest_sink_rows_total", {"topic": 'odd"topic\n'}, 3)
    assert "process_resident_memory_bytes" in families
    assert not [name for name in families if name.endswith("_created")]


def test_two_sets_of_metrics_do_not_share_values():
    one, other = Metrics(), Metrics()
    one.ship_restarts.inc()

    assert one.snapshot()["ingest_ship_restarts_total"] == 1
    assert list(other.snapshot()) == ["ingest_build_info" + str({"version": __version__})]


def test_a_partition_given_away_leaves_no_stale_gauges():
    metrics = Metrics()
    for topic, partition in (("a", 1), ("a", 11), ("b", 1)):
        metrics.sink_lag.labels(topic, partition).set(1)
        metrics.sink_stopped.labels(topic, partition, "loss").set(1)
    metrics.sink_rows.labels("a").inc()
    metrics.forget_partition("a", 1)
    metrics.forget_partition("never", 0)

    left = metrics.snapshot()
    assert len(left) == 6
    assert not [series for series in left if "'topic': 'a', 'partition': '1'" in series]
