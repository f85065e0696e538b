"""What is told of the sink as a whole: readiness, lag, the list of stopped partitions; never waiting for anybody."""

from types import SimpleNamespace

import pytest

from ingest.errors import Unavailable
from ingest.service.health import Health
from ingest.service.metrics import Metrics
from ingest.sink.assignment import Phase
from ingest.sink.stops import Stop, read_stops
from ingest.sink.watch import BEAT, EVERY, SILENT, SinkWatch
from ingest.testing.clock import ManualClock
from tests.builders.sink import StepPool

KEY = ("t", 0)
STOP = Stop("retention", "lost [5, 9)", 3, 5, 9)


def partition(phase=Phase.OPEN, stop=None, waiting=None, committed=5):
    files = SimpleNamespace(held=100, writers=2)
    return SimpleNamespace(
        topic="t",
        partition=0,
        phase=phase,
        stop=stop,
        waiting=waiting,
        committed_offset=committed,
        range=SimpleNamespace(files=files) if phase is Phase.OPEN else None,
        leaving=None,
    )


class Bench:
    def __init__(self, directory):
        self.clock = ManualClock()
        self.health = Health(self.clock)
        self.metrics = Metrics()
        self.pool = StepPool()
        self.age = 0.0
        self.ends = {KEY: 12}
        self.broken = None
        self.path = directory / "stopped.json"
        self.watch = SinkWatch(
            lambda: self.age,
            lambda keys: self._answer({key: self.ends[key] for key in keys}),
            lambda: self._answer(None),
            self.pool,
            self.clock,
            self.metrics,
            self.health,
            self.path,
        )

    def _answer(self, usual):
        if self.broken is not None:
            raise self.broken
        return usual

    def look(self, *partitions, seconds=EVERY):
        self.clock.advance(seconds)
        self.watch.turn({(each.topic, each.partition): each for each in partitions})

    def ready(self):
        return {name: part["ok"] for name, part in self.health.ready()["parts"].items()}

    def gauge(self, name):
        return next(
            (value for key, value in self.metrics.snapshot().items() if key.startswith(f"ingest_sink_{name}")), 0
        )


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_while_all_is_well_everything_is_ready_and_nothing_is_waited_for(bench):
    bench.look(partition())
    assert len(bench.pool.waiting) == 2
    bench.pool.run()
    bench.look(partition())
    assert bench.ready() == {"kafka": True, "partitions": True, "destination": True}
    assert (bench.gauge("lag"), bench.gauge("buffered"), bench.gauge("open_files")) == (7, 100, 2)


def test_a_kafka_that_is_silent_is_told_within_30_seconds(bench):
    bench.look(partition())
    bench.age = SILENT + 1
    bench.look(partition())
    assert bench.ready()["kafka"] is False
    assert SILENT + 2 * EVERY < 30


def test_a_destination_that_does_not_answer_is_told_and_one_that_hangs_too(bench):
    bench.look(partition())
    bench.broken = Unavailable("safe mode")
    bench.pool.run()
    bench.look(partition())
    assert bench.health.ready()["parts"]["destination"]["why"] == "safe mode"
    bench.broken = None
    bench.pool.run()
    bench.look(partition())
    assert bench.ready()["destination"] is True
    for _ in range(5):
        bench.look(partition())
    assert "no report" in bench.health.ready()["parts"]["destination"]["why"]
    assert len(bench.pool.waiting) <= 2


def test_the_lag_stays_what_it_was_while_kafka_does_not_answer(bench):
    bench.look(partition())
    bench.pool.run()
    bench.look(partition())
    bench.broken = Unavailable("no broker")
    bench.pool.run()
    bench.look(partition())
    assert bench.gauge("lag") == 7


def test_answers_about_partitions_that_went_away_or_were_never_opened_are_left_out(bench):
    bench.look(partition())
    bench.pool.run()
    bench.look(partition(committed=None))
    bench.pool.run()
    bench.look()
    assert bench.gauge("lag") == 0


def test_partitions_that_stand_still_or_are_tried_again_and_again_are_told(bench):
    bench.look(partition(Phase.STOPPED, STOP))
    assert bench.health.ready()["parts"]["partitions"]["why"] == "lost [5, 9)"
    bench.look(partition(waiting="no space"))
    assert bench.health.ready()["parts"]["partitions"]["why"] == "no space"
    bench.look(partition())
    assert bench.ready()["partitions"] is True


def test_stopped_partitions_are_listed_in_the_state_directory_until_they_go_on(bench):
    bench.look(partition(Phase.STOPPED, STOP))
    (found,) = read_stops(bench.path)
    assert (found.topic, found.partition, found.next_offset, found.stop) == ("t", 0, 5, STOP)
    bench.look(partition())
    assert read_stops(bench.path) == []


def test_a_state_directory_that_is_full_stops_nothing_and_is_tried_again(bench, monkeypatch):
    def full(path, stops):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ingest.sink.watch.write_stops", full)
        bench.look(partition(Phase.STOPPED, STOP))
        assert bench.ready()["partitions"] is False
    bench.look(partition(Phase.STOPPED, STOP))
    assert len(read_stops(bench.path)) == 1


def test_it_looks_every_few_seconds_and_beats_at_every_turn(bench):
    bench.look(partition())
    looked = len(bench.pool.waiting)
    bench.pool.run()
    bench.look(partition(), seconds=EVERY / 2)
    assert len(bench.pool.waiting) == 0
    assert looked == 2
    bench.clock.advance(BEAT - 1)
    assert bench.health.alive()["alive"]
    bench.clock.advance(2)
    assert not bench.health.alive()["alive"]
