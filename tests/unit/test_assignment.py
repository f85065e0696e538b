"""What becomes of one partition, as a table of what happens to it; every task is run by the test."""

from pathlib import Path

import pytest

from ingest.errors import (
    DataLoss,
    Fatal,
    Fenced,
    OutcomeUnknown,
    QuarantineBudget,
    Refused,
    StateDamaged,
    Unavailable,
)
from ingest.sink.assignment import LOOK, Assignment, Phase
from ingest.sink.dedup import StreamConflict
from ingest.sink.description import describe
from ingest.sink.patience import FIRST, LONGEST
from ingest.sink.ports import Committed, Ports
from ingest.sink.rotation import Limits, Reason
from ingest.sink.spool import SpoolFailed
from ingest.testing.clock import ManualClock
from tests.builders.partitions import FakeChain
from tests.builders.sink import NEVER, RecordingCursor, RecordingEvents, StepPool, block, empty_block, tail_at

KEY = ("t", 0)
LOST = DataLoss("lost", kind="retention", first=5, next=9)
AWAY = Unavailable("away")


class Bench:
    def __init__(self, spool, limits=NEVER, once=False):
        self.clock = ManualClock()
        self.cursor = RecordingCursor()
        self.pool = StepPool()
        self.events = RecordingEvents()
        self.spool = spool
        self.chain = FakeChain(self.clock, spool)
        ports = Ports(self.cursor, self.pool, self.clock, self.events, lambda: 0.999)
        self.assignment = Assignment(*KEY, chain=self.chain, limits=limits, ports=ports, once=once)

    def open(self):
        self.assignment.open()
        self.turn()
        return self

    def turn(self, seconds=0.0):
        """Let tasks end and time pass, and take a turn; then the same once more, so that all that can has happened."""
        self.clock.advance(seconds)
        for _ in range(2):
            self.pool.run()
            self.assignment.turn()

    def add(self, *offsets):
        self.assignment.add(block(offsets))

    @property
    def phase(self):
        return self.assignment.phase

    @property
    def range(self):
        return self.assignment.range

    @property
    def reading(self):
        return self.cursor.reading()

    def commits(self):
        return self.chain.done


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# ── opening ──────────────────────────────────────────────────────────────────


def test_opening_holds_the_partition_until_the_chain_is_read_and_places_it_there(bench):
    bench.assignment.open()
    assert (bench.phase, bench.reading, bench.cursor.calls) == (Phase.OPENING, False, [("pause", KEY)])
    bench.assignment.turn()
    assert bench.cursor.calls == [("pause", KEY)]
    bench.turn()
    assert bench.phase is Phase.OPEN
    assert bench.cursor.calls == [("pause", KEY), ("seek", KEY, 5, 7), ("resume", KEY)]
    assert (bench.assignment.committed_offset, bench.assignment.target) == (5, 100)
    assert bench.assignment.take_news() == 5
    assert bench.assignment.take_news() is None
    assert bench.events.told == [("opened", 5)]


def test_a_turn_asks_nothing_again_while_the_answer_is_awaited(bench):
    bench.assignment.open()
    for _ in range(5):
        bench.clock.advance(60)
        bench.assignment.turn()
    assert len(bench.pool.waiting) == 1


@pytest.mark.parametrize(
    "error", [AWAY, OutcomeUnknown("lost"), Fenced("changed under every look"), SpoolFailed("full")]
)
def test_what_can_not_be_opened_now_is_tried_again_with_growing_pauses(bench, error):
    bench.chain.openings = [error] * 12
    bench.assignment.open()
    pauses = []
    while bench.phase is Phase.OPENING:
        bench.pool.run()
        bench.assignment.turn()
        began = bench.clock.monotonic()
        while not bench.pool.waiting and bench.phase is Phase.OPENING:
            assert not bench.reading
            bench.clock.advance(0.05)
            bench.assignment.turn()
        pauses.append(bench.clock.monotonic() - began)
    assert pauses[0] == pytest.approx(FIRST, abs=0.06)
    assert max(pauses) == pytest.approx(LONGEST, abs=0.06)
    assert bench.reading
    assert bench.assignment.waiting is None


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (LOST, "retention", 3),
        (DataLoss("x", kind="recreated", first=5), "recreated", 3),
        (QuarantineBudget("too many"), "quarantine", 1),
        (StateDamaged("a hole"), "failed", 1),
        (Refused("no permission"), "failed", 1),
    ],
)
def test_what_must_not_be_opened_stops_the_partition(bench, error, kind, code):
    bench.chain.openings = [error]
    bench.open()
    assert (bench.phase, bench.reading) == (Phase.STOPPED, False)
    assert (bench.assignment.stop.kind, bench.assignment.stop.exit_code) == (kind, code)
    assert len(bench.events.of("stopped")) == 1
    assert bench.assignment.finished


# ── reading and committing ──────────────────────────────────────────────────────────────────


def test_what_is_due_is_committed_while_the_next_range_fills(bench):
    bench.open()
    bench.add(5, 6)
    bench.assignment.want(Reason.CRON)
    bench.assignment.turn()
    assert bench.assignment.committing
    assert bench.reading
    bench.add(7)
    bench.turn()
    assert bench.commits() == [(5, 7, "cron")]
    assert (bench.range.first_offset, bench.range.next_offset) == (7, 8)
    assert bench.assignment.take_news() == 7
    assert bench.events.of("committed") == [("committed", 7, "cron")]


def test_while_a_commit_is_on_its_way_and_the_next_is_due_nothing_more_is_fetched(tmp_path):
    bench = Bench(tmp_path, Limits(2, None, None, None)).open()
    bench.add(5, 6)
    bench.assignment.turn()
    assert bench.reading
    bench.add(7, 8)
    bench.assignment.turn()
    assert not bench.reading
    bench.turn()
    assert bench.reading
    assert bench.commits() == [(5, 7, "rows"), (7, 9, "rows")]


def test_local_files_go_once_they_are_committed(bench):
    bench.open()
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    assert len(list(bench.spool.iterdir())) == 1
    bench.turn()
    assert list(bench.spool.iterdir()) == []


@pytest.mark.parametrize("error", [AWAY, OutcomeUnknown("no answer")])
def test_a_commit_that_can_not_be_done_now_is_tried_again_and_nothing_is_dropped(bench, error):
    bench.open()
    bench.chain.commits = [error] * 5
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    bench.add(6)
    assert bench.assignment.waiting == str(error)
    for _ in range(10):
        bench.turn(LONGEST)
    assert bench.commits() == [(5, 6, "flush")]
    assert bench.range.next_offset == 7
    assert len(bench.chain.ranges) == 1
    assert bench.assignment.waiting is None


def test_a_commit_is_not_hammered_at_a_destination_that_is_away(bench):
    bench.open()
    bench.chain.commits = [AWAY] * 1000
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    for _ in range(600):
        bench.turn(0.1)
    assert 5 <= 1000 - len(bench.chain.commits) <= 15


def test_a_fenced_commit_drops_everything_and_reads_the_chain_again_at_once(bench):
    bench.open()
    bench.chain.commits = [Fenced("another was first")]
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.add(6)
    before = bench.range
    bench.chain.at = 20
    bench.turn()
    assert before.abandoned
    assert bench.phase is Phase.OPEN
    assert bench.cursor.placed[KEY] == 20
    assert bench.reading
    assert bench.events.of("fenced")
    assert list(bench.spool.iterdir()) == []
    bench.add(20)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    assert bench.commits() == [(20, 21, "flush")]


@pytest.mark.parametrize("error", [Refused("a file is in the way"), StateDamaged("changed by hand")])
def test_a_commit_that_must_not_be_done_stops_the_partition_until_a_restart(bench, error):
    bench.open()
    bench.chain.commits = [error]
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    assert bench.assignment.stop.kind == "failed"
    assert list(bench.spool.iterdir()) == []
    bench.chain.looks = [True] * 9
    for _ in range(5):
        bench.turn(LOOK)
    assert bench.phase is Phase.STOPPED
    assert len(bench.chain.looks) == 9
    assert len(bench.chain.ranges) == 1


def test_nothing_is_sealed_where_nothing_was_read(bench):
    bench.open()
    bench.assignment.want(Reason.CRON)
    bench.turn()
    assert bench.commits() == []
    bench.add(5)
    bench.turn()
    assert bench.commits() == [], "that tick is over"


def test_a_range_without_rows_is_due_by_age(tmp_path):
    bench = Bench(tmp_path, Limits(None, None, 60.0, 10.0)).open()
    bench.assignment.add(empty_block(9))
    bench.turn(30)
    assert bench.commits() == []
    bench.turn(30)
    assert bench.commits() == [(5, 9, "age")]


# ── the local disk ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["fail_add", "fail_seal", "set_aside"])
def test_a_full_local_disk_drops_the_range_and_reads_it_again_after_a_pause(bench, where):
    bench.open()
    before = bench.range
    if where == "set_aside":
        bench.add(5)
        bench.assignment.set_aside(None)
    else:
        setattr(before, where, SpoolFailed("full"))
        bench.add(5)
        before.next_offset = 6
        bench.assignment.want(Reason.FLUSH)
        bench.assignment.turn()
        bench.pool.run()  # files are finished by whoever commits
        bench.assignment.turn()
    assert before.abandoned
    assert (bench.phase, bench.range) == (Phase.OPENING, None)
    bench.assignment.turn()
    assert not bench.reading
    assert bench.assignment.waiting == "full"
    bench.turn(FIRST)
    assert (bench.phase, bench.reading, bench.cursor.placed[KEY]) == (Phase.OPEN, True, 5)


def test_pauses_grow_until_a_commit_shows_that_there_is_room_again(bench):
    bench.open()
    for _ in range(8):
        bench.range.fail_add = SpoolFailed("full")
        bench.add(5)
        bench.turn(LONGEST)
        assert bench.phase is Phase.OPEN
    bench.range.fail_add = SpoolFailed("full")
    bench.add(5)
    bench.turn(FIRST * 2)
    assert bench.phase is Phase.OPENING
    bench.turn(LONGEST)
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    bench.range.fail_add = SpoolFailed("full")
    bench.add(6)
    bench.turn(FIRST)
    assert bench.phase is Phase.OPEN


def test_local_files_that_can_not_be_read_are_made_again(bench):
    bench.open()
    bench.chain.commits = [SpoolFailed("input/output error")]
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    assert (bench.phase, bench.assignment.committing) == (Phase.OPENING, False)
    assert list(bench.spool.iterdir()) == []
    bench.turn(FIRST)
    assert bench.cursor.placed[KEY] == 5
    assert bench.reading


def test_dropping_work_leaves_a_commit_on_its_way_alone_and_waits_for_its_end(bench):
    """The chain is one task's at a time: two would mix up where it ends, and rows would be doubled."""
    bench.open()
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.range.fail_add = AWAY
    bench.add(6)
    bench.clock.advance(LONGEST)
    bench.assignment.turn()
    assert (bench.phase, len(bench.pool.waiting)) == (Phase.OPENING, 1)
    bench.turn()
    assert bench.commits() == [(5, 6, "flush")]
    assert bench.events.of("committed")
    assert (bench.phase, bench.range.first_offset) == (Phase.OPEN, 6)


# ── trouble, loss, budget ──────────────────────────────────────────────────────────────────


def test_trouble_that_passes_drops_the_range_and_places_the_consumer_anew(bench):
    bench.open()
    bench.add(5)
    bench.cursor.placed.clear()
    bench.assignment.trouble(AWAY)
    bench.turn(FIRST)
    assert (bench.phase, bench.reading) == (Phase.OPEN, True)
    assert bench.cursor.placed[KEY] == 5


@pytest.mark.parametrize("error", [LOST, Fatal("corrupt batch"), DataLoss("cut", kind="truncated", first=3)])
def test_trouble_that_stays_commits_what_is_in_hand_and_stops(bench, error):
    bench.open()
    bench.add(5, 6)
    bench.assignment.trouble(error)
    bench.assignment.turn()
    assert not bench.reading
    bench.turn()
    assert bench.commits() == [(5, 7, "stopped")]
    assert (bench.phase, bench.range) == (Phase.STOPPED, None)
    assert str(error) == bench.assignment.stop.message


def test_trouble_with_nothing_in_hand_stops_at_once(bench):
    bench.open()
    bench.assignment.trouble(LOST)
    bench.turn()
    assert (bench.phase, bench.commits()) == (Phase.STOPPED, [])


def test_a_stop_commits_both_ranges_that_are_in_hand(bench):
    """What was read may be all that is left of it."""
    bench.open()
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.add(6)
    bench.assignment.trouble(LOST)
    bench.turn()
    bench.turn()
    assert bench.commits() == [(5, 6, "flush"), (6, 7, "stopped")]
    assert bench.phase is Phase.STOPPED


def test_what_comes_after_the_reason_to_stop_is_not_taken(bench):
    bench.open()
    bench.range.excess = QuarantineBudget("too many")
    bench.add(5)
    bench.add(6)
    bench.turn()
    bench.turn()
    assert bench.commits() == [(5, 6, "stopped")]
    assert (bench.phase, bench.assignment.stop.kind) == (Phase.STOPPED, "quarantine")


def test_a_conflict_drops_what_is_not_committed_and_stops_until_a_restart(bench):
    bench.open()
    bench.add(5)
    before = bench.range
    before.fail_add = StreamConflict("other bytes")
    bench.add(6)
    bench.turn(LOOK)
    assert before.abandoned
    assert (bench.phase, bench.assignment.stop.kind, bench.commits()) == (Phase.STOPPED, "failed", [])
    bench.turn(LOOK)
    assert len(bench.chain.ranges) == 1


def test_a_conflict_lets_the_commit_before_it_be_done(bench):
    bench.open()
    bench.chain.commits = [AWAY]
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.range.fail_add = StreamConflict("other bytes")
    bench.add(6)
    assert (bench.phase, bench.assignment.finished) == (Phase.STOPPED, False)
    bench.turn(LONGEST)
    bench.turn(LONGEST)
    assert bench.commits() == [(5, 6, "flush")]
    assert (bench.phase, bench.assignment.finished) == (Phase.STOPPED, True)


def test_a_topic_made_again_is_noticed_by_the_commit_and_the_rest_in_hand_is_committed_too(bench):
    bench.open()
    lost = DataLoss("made again", kind="recreated", first=6)
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.add(6)
    bench.chain.at = 6
    bench.chain.commits = [Committed(tail_at(6), lost)]
    bench.turn()
    bench.turn()
    assert bench.commits() == [(6, 7, "stopped")]
    assert bench.assignment.stop.kind == "recreated"


@pytest.mark.parametrize("error", [LOST, QuarantineBudget("too many")])
def test_a_stopped_partition_goes_on_within_seconds_once_somebody_accepted(bench, error):
    bench.chain.openings = [error]
    bench.open()
    for _ in range(3):
        bench.turn(LOOK)
    assert (bench.phase, len(bench.chain.ranges)) == (Phase.STOPPED, 0)
    bench.chain.looks = [True]
    bench.chain.at = 9
    bench.turn(LOOK)
    bench.turn()
    assert (bench.phase, bench.reading, bench.cursor.placed[KEY]) == (Phase.OPEN, True, 9)
    assert bench.assignment.stop is None
    assert len(bench.events.of("stopped")) == 1


def test_looking_whether_somebody_accepted_survives_a_destination_that_is_away(bench):
    bench.chain.openings = [LOST]
    bench.open()
    bench.chain.looks = [AWAY, AWAY, Fenced("read the chain"), None]
    for _ in range(6):
        bench.turn(LONGEST)
    assert bench.phase is Phase.OPEN


def test_a_look_that_is_refused_stays_stopped(bench):
    bench.chain.openings = [LOST]
    bench.open()
    bench.chain.looks = [Refused("no permission")]
    bench.turn(LOOK)
    assert (bench.phase, bench.assignment.stop.kind) == (Phase.STOPPED, "failed")


def test_a_loss_behind_the_accepted_one_is_told_anew(bench):
    further = DataLoss("more", kind="retention", first=9, next=12)
    bench.chain.openings = [LOST, further]
    bench.open()
    bench.chain.looks = [True]
    bench.turn(LOOK)
    bench.turn()
    assert bench.events.of("stopped") == [("stopped", "retention", 5, 9), ("stopped", "retention", 9, 12)]


def test_a_stop_that_was_overtaken_by_a_fence_is_forgotten(bench):
    """Else the partition would stop at its next commit, for a loss that is none any more."""
    bench.open()
    bench.add(5)
    bench.chain.commits = [Fenced("another was first")]
    bench.assignment.trouble(LOST)
    bench.turn()
    bench.turn()
    assert bench.phase is Phase.OPEN
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    assert (bench.commits(), bench.phase, bench.reading) == ([(5, 6, "flush")], Phase.OPEN, True)


def test_trouble_while_it_is_not_open_changes_nothing(bench):
    bench.assignment.open()
    bench.assignment.trouble(LOST)
    bench.turn()
    assert (bench.phase, bench.reading) == (Phase.OPEN, True)


# ── once ──────────────────────────────────────────────────────────────────


def test_with_once_it_reads_to_the_end_seen_first_and_is_finished_when_that_is_committed(tmp_path):
    bench = Bench(tmp_path, once=True)
    bench.chain.end = 8
    bench.open()
    bench.add(5, 6)
    bench.turn()
    assert (bench.commits(), bench.assignment.finished) == ([], False)
    bench.add(7, 8, 9)
    bench.assignment.turn()
    assert (bench.reading, bench.assignment.finished) == (False, False)
    bench.turn()
    assert (bench.commits(), bench.assignment.finished) == ([(5, 10, "once")], True)
    bench.turn()
    assert not bench.reading


def test_with_once_the_end_does_not_move_when_the_chain_is_read_again(tmp_path):
    bench = Bench(tmp_path, once=True)
    bench.chain.end = 8
    bench.open()
    bench.assignment.trouble(AWAY)
    bench.chain.end = 1_000
    bench.turn(FIRST)
    assert (bench.phase, bench.assignment.target) == (Phase.OPEN, 8)


def test_with_once_nothing_to_read_is_finished_at_once(tmp_path):
    bench = Bench(tmp_path, once=True)
    bench.chain.end = 5
    bench.open()
    assert bench.assignment.finished


# ── letting go ──────────────────────────────────────────────────────────────────


def test_dropping_while_committing_leaves_the_commit_alone_and_no_local_file_behind(bench):
    bench.open()
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    bench.add(6)
    before = bench.range
    bench.assignment.drop()
    assert before.abandoned
    assert len(list(bench.spool.iterdir())) == 1, "the task may still read it"
    bench.pool.run()
    assert bench.chain.at == 6
    assert list(bench.spool.iterdir()) == []


def test_dropping_between_two_attempts_of_a_commit_leaves_no_local_file_behind(bench):
    bench.open()
    bench.chain.commits = [AWAY]
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    bench.assignment.drop()
    assert list(bench.spool.iterdir()) == []
    assert bench.assignment.settled


def test_dropping_twice_and_while_opening_is_fine(bench):
    bench.assignment.open()
    bench.assignment.drop()
    bench.assignment.drop()
    bench.pool.run()
    assert bench.range is None


def test_local_files_that_can_not_be_deleted_are_told(bench, monkeypatch):
    bench.open()
    bench.add(5)
    bench.assignment.want(Reason.FLUSH)
    bench.assignment.turn()
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (_ for _ in ()).throw(OSError(5, "I/O error")))
    bench.turn()
    assert bench.phase is Phase.OPEN
    assert "the local spool: Input/output error" in bench.events.of("waiting")[0][1]


# ── for people ──────────────────────────────────────────────────────────────────


def test_it_describes_itself(bench):
    assert describe(bench.assignment)["phase"] == "opening"
    bench.open()
    bench.add(5, 6)
    assert describe(bench.assignment) == {
        "topic": "t",
        "partition": 0,
        "phase": "open",
        "next_offset": 5,
        "read_offset": 7,
        "open_rows": 2,
        "open_bytes": 0,
        "stopped": None,
        "waiting": None,
    }
    bench.chain.commits = [AWAY]
    bench.assignment.want(Reason.FLUSH)
    bench.turn()
    assert (describe(bench.assignment)["phase"], describe(bench.assignment)["waiting"]) == ("committing", "away")
