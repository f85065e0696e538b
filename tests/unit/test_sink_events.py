"""What is counted and said of single partitions."""

from types import SimpleNamespace

import pytest

from ingest.errors import Unavailable
from ingest.service.metrics import Metrics
from ingest.sink.events import WAITING_AGAIN, SinkEvents
from ingest.sink.stops import Stop
from ingest.testing.clock import ManualClock
from tests.builders.chains import staged
from tests.builders.sink import draft_to, tail_at

PARTITION = SimpleNamespace(key=("t", 0), topic="t", partition=0)


class Lines:
    def __init__(self):
        self.said = []

    def __getattr__(self, level):
        return lambda event, **fields: self.said.append((level, event, fields))


class Bench:
    def __init__(self):
        self.lines, self.metrics, self.clock = Lines(), Metrics(), ManualClock()
        self.events = SinkEvents(self.lines, self.metrics, self.clock.now, self.clock.monotonic)

    def value(self, name):
        return {key: value for key, value in self.metrics.snapshot().items() if key.startswith(f"ingest_sink_{name}")}


@pytest.fixture
def bench():
    return Bench()


def retention(first, end):
    return Stop("retention", "lost", 3, first, end)


def test_a_commit_is_one_line_and_counts_what_became_visible(bench):
    files = [staged(range(5, 8)), staged(range(8, 10), kind="quarantine")]
    bench.events.committed(PARTITION, draft_to(10, files), tail_at(10))
    ((level, event, fields),) = bench.lines.said
    assert (level, event, fields["rows"], fields["quarantined"], fields["files"]) == ("info", "committed", 3, 2, 2)
    assert list(bench.value("rows").values()) == [3]
    assert list(bench.value("files").values()) == [2]


def test_what_is_waited_for_is_said_once_a_minute_unless_it_changes(bench):
    for _ in range(5):
        bench.events.waiting(PARTITION, Unavailable("no answer"))
    bench.events.waiting(PARTITION, Unavailable("safe mode"))
    bench.clock.advance(WAITING_AGAIN)
    bench.events.waiting(PARTITION, Unavailable("safe mode"))
    assert [fields["reason"] for _, _, fields in bench.lines.said] == ["no answer", "safe mode", "safe mode"]


def test_a_stop_shows_until_the_partition_is_open_again(bench):
    bench.events.stopped(PARTITION, retention(5, 9))
    assert list(bench.value("stopped")) == ["ingest_sink_stopped{'topic': 't', 'partition': '0', 'why': 'retention'}"]
    bench.events.stopped(PARTITION, Stop("failed", "no", 1))
    assert [name for name in bench.value("stopped") if "retention" in name] == []
    bench.events.opened(PARTITION, tail_at(9))
    assert bench.value("stopped") == {}


def test_lost_offsets_are_counted_once(bench):
    for stop in (retention(5, 9), retention(5, 12), retention(12, 12), retention(10, 15)):
        bench.events.stopped(PARTITION, stop)
    assert list(bench.value("lost_offsets").values()) == [10]


def test_offsets_of_a_new_era_are_counted_anew(bench):
    bench.events.stopped(PARTITION, retention(100, 110))
    bench.events.opened(PARTITION, tail_at(0))
    bench.events.stopped(PARTITION, retention(0, 5))
    assert list(bench.value("lost_offsets").values()) == [15]


def test_of_a_partition_that_others_have_no_figures_are_left(bench):
    bench.events.stopped(PARTITION, retention(5, 9))
    bench.events.committed(PARTITION, draft_to(10), tail_at(10))
    bench.events.released(PARTITION)
    assert (bench.value("stopped"), bench.value("last_commit")) == ({}, {})
