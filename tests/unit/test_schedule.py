import threading
from datetime import UTC, datetime, timedelta

import pytest

from ingest.clock import SystemClock
from ingest.cron import Cron
from ingest.service.schedule import Ticks, VixieTrigger

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)


class SetClock:
    """A clock whose two hands are moved apart by hand."""

    def __init__(self):
        self.wall, self.passed = NOON, 0.0

    def now(self):
        return self.wall.timestamp()

    def monotonic(self):
        return self.passed

    def pass_time(self, **span):
        self.wall += timedelta(**span)
        self.passed += timedelta(**span).total_seconds()

    def set_wall(self, **span):
        self.wall += timedelta(**span)


@pytest.fixture
def clock(monkeypatch):
    """apscheduler reads the wall clock itself: give it ours."""
    clock = SetClock()

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock.wall.astimezone(tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)
    monkeypatch.setattr("apscheduler.executors.base.datetime", Now)
    return clock


@pytest.fixture
def ticks(clock, monkeypatch):
    """Ticks whose thread does nothing: tests turn the wheel themselves."""
    ticks = Ticks(clock)
    monkeypatch.setattr(ticks._wheel, "_loop", lambda: None)
    ticks.start()
    yield ticks
    ticks.stop()


def turn(ticks, *names):
    ticks._wheel.turn()
    return [name for name in names if ticks.take(name)]


def test_a_tick_waits_from_when_it_is_due_until_it_is_taken(ticks, clock):
    ticks.add("hour", "0 * * * *")

    assert turn(ticks, "hour") == []
    clock.pass_time(minutes=59, seconds=29)
    assert turn(ticks, "hour") == []
    clock.pass_time(seconds=1)
    ticks._wheel.turn()
    assert ticks.due("hour")
    assert ticks.take("hour")
    assert not ticks.take("hour")


def test_a_turn_says_when_to_come_again_and_looks_at_the_clock_often_enough(ticks, clock):
    ticks.add("hour", "0 * * * *")

    assert ticks._wheel.turn() == 15.0
    clock.pass_time(minutes=59, seconds=20)
    assert ticks._wheel.turn() == 10.0


def test_names_tick_on_their_own_and_in_their_zone(ticks, clock):
    ticks.add("utc", "0 13 * * *")
    ticks.add("berlin", "0 14 * * *", "Europe/Berlin")
    ticks.add("kathmandu", "45 17 * * *", "Asia/Kathmandu")
    ticks.add("later", "0 14 * * *")
    clock.pass_time(hours=1)

    assert turn(ticks, "utc", "berlin", "kathmandu", "later") == ["utc", "berlin"]
    assert ticks.next_due()["later"] == datetime(2026, 11, 23, 14, tzinfo=UTC).timestamp()


def test_a_tick_that_finds_the_one_before_not_taken_is_merged_and_counted(clock, monkeypatch):
    told, woken = [], []
    ticks = Ticks(clock, coalesced=told.append)
    monkeypatch.setattr(ticks._wheel, "_loop", lambda: None)
    ticks.start()
    ticks.add("minute", "* * * * *", wake=lambda: woken.append(clock.wall))
    for _ in range(3):
        clock.pass_time(minutes=1)
        ticks._wheel.turn()

    assert told == ["minute", "minute"]
    assert len(woken) == 1
    assert ticks.merged("minute") == 2
    assert turn(ticks, "minute", "minute") == ["minute"]
    ticks.stop()


def test_sleeping_over_three_ticks_makes_up_for_one(ticks, clock):
    ticks.add("hour", "0 * * * *")
    clock.pass_time(hours=3, minutes=20)

    assert turn(ticks, "hour") == ["hour"]
    assert ticks.merged("hour") == 0
    clock.pass_time(minutes=39)
    assert turn(ticks, "hour") == []
    clock.pass_time(minutes=1)
    assert turn(ticks, "hour") == ["hour"]


@pytest.mark.parametrize(
    ("since", "caught_up"),
    [
        (NOON - timedelta(hours=3), True),
        (NOON - timedelta(seconds=40), True),
        (NOON - timedelta(seconds=20), False),
        (NOON + timedelta(days=1), False),
    ],
)
def test_what_came_due_while_the_process_was_down_is_made_up_for_once(ticks, clock, since, caught_up):
    ticks.add("hour", "0 * * * *", since=since.timestamp())

    assert turn(ticks, "hour") == (["hour"] if caught_up else [])
    assert turn(ticks, "hour") == []


def test_a_clock_set_a_day_ahead_makes_one_tick_and_goes_on(ticks, clock):
    ticks.add("hour", "0 * * * *")
    clock.set_wall(days=1)

    assert turn(ticks, "hour") == ["hour"]
    clock.pass_time(hours=1)
    assert turn(ticks, "hour") == ["hour"]


def test_a_clock_set_a_day_back_makes_no_tick_and_does_not_stall(ticks, clock):
    ticks.add("hour", "0 * * * *")
    ticks._wheel.turn()
    clock.set_wall(days=-1)

    assert turn(ticks, "hour") == []
    clock.pass_time(hours=1)
    assert turn(ticks, "hour") == ["hour"]


def test_a_clock_that_slips_back_over_a_tick_does_not_tick_again(ticks, clock):
    ticks.add("hour", "0 * * * *")
    clock.pass_time(minutes=59, seconds=31)
    assert turn(ticks, "hour") == ["hour"]
    clock.set_wall(seconds=-3)
    clock.pass_time(seconds=5)

    assert turn(ticks, "hour") == []


def test_a_name_added_again_follows_the_new_expression(ticks, clock):
    ticks.add("a", "5 12 * * *")
    ticks.add("a", "10 12 * * *")
    clock.pass_time(minutes=6)
    assert turn(ticks, "a") == []
    clock.pass_time(minutes=6)

    assert turn(ticks, "a") == ["a"]


def test_a_removed_name_ticks_no_more(ticks, clock):
    ticks.add("a", "* * * * *")
    clock.pass_time(minutes=1)
    ticks._wheel.turn()
    ticks.remove("a")
    ticks.remove("never there")
    clock.pass_time(minutes=1)

    assert turn(ticks, "a") == []


def test_a_wrong_expression_or_zone_is_refused(ticks):
    with pytest.raises(ValueError, match="minute"):
        ticks.add("a", "99 * * * *")
    with pytest.raises(ValueError, match="Mars"):
        ticks.add("a", "* * * * *", "Mars/Olympus")


def test_the_trigger_is_always_later_than_now_and_than_the_run_before():
    trigger = VixieTrigger(Cron.parse("0 * * * *"), UTC)
    hour = timedelta(hours=1)
    one = NOON.replace(hour=13, minute=0, second=0)

    assert trigger.get_next_fire_time(None, NOON) == one
    assert trigger.get_next_fire_time(one, NOON) == one + hour
    assert trigger.get_next_fire_time(one - 5 * hour, NOON) == one


def test_the_thread_ticks_by_the_real_clock_and_stops():
    clock, ticked = SystemClock(), threading.Event()
    ticks = Ticks(clock)
    ticks.start()
    ticks.add("minute", "* * * * *", wake=ticked.set, since=clock.now() - 3600)

    assert ticked.wait(10)
    assert ticks.take("minute")
    ticks.stop()
    ticks.stop()
    assert "schedule" not in {thread.name for thread in threading.enumerate()}
