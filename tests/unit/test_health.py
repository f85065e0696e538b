import pytest

from ingest.service.health import Health


class Hand:
    def __init__(self):
        self.passed = 100.0

    def monotonic(self):
        return self.passed

    def now(self):
        raise AssertionError("ages are not measured by the wall clock")


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def health(clock):
    return Health(clock)


def test_nobody_has_said_anything_yet_is_alive_and_not_ready(health):
    assert health.alive() == {"alive": True, "parts": {}}
    assert health.ready() == {"ready": False, "parts": {}}


def test_ready_needs_every_part_and_says_which_is_not(health, clock):
    health.report("kafka", True)
    health.report("destination", False, "nn1:9870 is in safe mode")
    clock.passed += 1.5

    assert health.ready() == {
        "ready": False,
        "parts": {
            "destination": {"ok": False, "why": "nn1:9870 is in safe mode", "age": 1.5},
            "kafka": {"ok": True, "why": "", "age": 1.5},
        },
    }
    health.report("destination", True)
    assert health.ready()["ready"]


@pytest.mark.parametrize(("passed", "ready"), [(0, True), (20, True), (20.5, False), (3600, False)])
def test_a_report_grows_stale_before_half_a_minute(health, clock, passed, ready):
    health.report("kafka", True)
    clock.passed += passed

    assert health.ready()["ready"] is ready
    assert bool(health.ready()["parts"]["kafka"]["why"]) is not ready


def test_a_report_can_hold_for_longer_or_for_good(health, clock):
    health.report("slow", True, within=100)
    health.report("fixed", True, within=None)
    clock.passed += 99
    assert health.ready()["ready"]
    clock.passed += 2

    parts = health.ready()["parts"]
    assert parts["slow"] == {"ok": False, "why": "unknown: no report for 101 s", "age": 101}
    assert parts["fixed"]["ok"]


def test_a_part_that_does_not_beat_as_promised_is_dead_until_it_beats(health, clock):
    health.beat("sink", within=10)
    health.beat("ship", within=60)
    clock.passed += 10
    assert health.alive()["alive"]
    clock.passed += 1
    assert health.alive() == {
        "alive": False,
        "parts": {
            "ship": {"ok": True, "why": "", "age": 11},
            "sink": {"ok": False, "why": "has not moved for 11 s, promised 10 s", "age": 11},
        },
    }
    health.beat("sink", within=10)

    assert health.alive()["alive"]


def test_a_part_that_ended_is_expected_to_do_nothing(health, clock):
    health.beat("sink", within=10)
    health.report("sink", False, "draining")
    health.report("kafka", True)
    health.forget("sink")
    health.forget("never there")
    clock.passed += 15

    assert health.alive() == {"alive": True, "parts": {}}
    assert health.ready()["ready"]
