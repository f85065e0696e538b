"""The loop: what it does in which order, with a consumer, a clock and partitions that a test holds in its hand."""

import threading

import pytest

from ingest.errors import DataLoss, Fatal, Fenced, Unavailable
from ingest.sink.assignment import Assignment, Phase
from ingest.sink.ports import Ports
from ingest.sink.stops import PartitionsStopped
from ingest.sink.worker import BUSY, DRAIN, REVOKE, SinkWorker
from ingest.testing.clock import ManualClock
from tests.builders.partitions import FakeChain
from tests.builders.sink import NEVER, RecordingCursor, RecordingEvents, StepPool, block

A, B = ("t", 0), ("t", 1)
LOST = DataLoss("lost", kind="retention", first=5, next=9)
AWAY = Unavailable("away")


class Problem:
    def __init__(self, key, error):
        self.topic, self.partition = key
        self.error = error


class Consumer(RecordingCursor):
    """Each poll takes the next step of a script: a function, or (blocks, problems)."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.script = []
        self.told = []
        self.given = set()
        self.closed = False
        self.group_settled = True
        self.close_error = None

    def subscribe(self, topics, patterns, on_assign, on_revoke, on_lost):
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def give(self, *keys):
        def step():
            self.given |= set(keys)
            self.on_assign(list(keys))

        return step

    def take(self, *keys):
        def step():
            self.given -= set(keys)
            self.on_revoke(list(keys))

        return step

    def lose(self, *keys):
        def step():
            self.given -= set(keys)
            self.on_lost(list(keys))

        return step

    def poll(self, timeout, meanwhile):
        meanwhile()
        self.clock.advance(timeout)
        step = self.script.pop(0) if self.script else ([], [])
        if callable(step):
            step = step() or ([], [])
        blocks, problems = step
        return list(blocks), list(problems)

    def settled(self):
        return self.group_settled

    def assignment(self):
        return self.given

    def commit(self, offsets, wait=0.0):
        self.told.append((dict(offsets), wait))

    def close(self):
        self.closed = True
        if self.close_error:
            raise self.close_error


class Watch:
    def __init__(self):
        self.turns = 0
        self.noted = 0

    def turn(self, assignments):
        self.turns += 1

    def beat(self):
        pass

    def note_stops(self, assignments):
        self.noted += 1


class LazyPool(StepPool):
    """Runs what waits whenever a loop sleeps or polls, unless it is stuck."""

    stuck = False

    def breathe(self):
        if not self.stuck:
            self.run()


class Clock(ManualClock):
    def __init__(self):
        super().__init__()
        self.pool = LazyPool()

    def sleep(self, seconds):
        self.advance(seconds)
        self.pool.breathe()


class Bench:
    def __init__(self, spool, *, once=False, limits=NEVER, rows_limit=1 << 30, revoke=REVOKE):
        self.clock = Clock()
        self.pool = self.clock.pool
        self.consumer = Consumer(self.clock)
        self.events = RecordingEvents()
        self.watch = Watch()
        self.chains = {}
        self.ticks = []
        self.spool = spool
        self.once = once
        self.limits = limits
        self.worker = SinkWorker(
            self.consumer,
            ["t"],
            [],
            self._assign,
            self.watch,
            self.clock,
            released=self.events.released,
            due_topics=lambda: [self.ticks.pop()] if self.ticks else [],
            rows_limit=rows_limit,
            once=once,
            revoke=revoke,
        )

    def _assign(self, topic, partition):
        chain = self.chains.setdefault((topic, partition), FakeChain(self.clock, self.spool, at=0, end=10))
        ports = Ports(self.consumer, self.pool, self.clock, self.events, lambda: 0.5)
        return Assignment(topic, partition, chain=chain, limits=self.limits, ports=ports, once=self.once)

    def join(self, *keys):
        self.worker.join()
        self.consumer.script = [self.consumer.give(*keys)]
        self.turn(3)
        return self

    def turn(self, times=1):
        for _ in range(times):
            self.worker.turn()
            self.pool.breathe()

    def read(self, *offsets, key=A):
        self.consumer.script.append(([block(offsets, partition=key[1])], []))
        self.turn(2)  # what a poll brings is taken in during the next one

    def run(self, steps):
        """Run the loop; after the script it is told to stop."""
        stop = threading.Event()

        def breathing(step):
            def polled():
                self.pool.breathe()
                return step() if callable(step) else step

            return polled

        self.consumer.script = [breathing(step) for step in [*steps, lambda: stop.set()]]
        self.worker.run(stop)

    def commits(self, key=A):
        return self.chains[key].done

    def __getitem__(self, key):
        return self.worker.assignments[key]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# ── turns ──────────────────────────────────────────────────────────────────


def test_blocks_go_to_their_partitions_and_others_nowhere(bench):
    bench.join(A, B)
    bench.consumer.script = [([block([0, 1]), block([0], partition=1), block([0], partition=9)], [])]
    bench.turn(2)
    assert (bench[A].range.next_offset, bench[B].range.next_offset) == (2, 1)


def test_what_came_before_a_problem_is_taken_in_first(bench):
    bench.join(A)
    bench.consumer.script = [([block([0, 1])], [Problem(A, LOST), Problem(B, LOST)])]
    bench.turn(3)
    assert bench.commits() == [(0, 2, "stopped")]
    assert bench[A].phase is Phase.STOPPED


def test_a_problem_of_one_partition_leaves_the_others_alone(bench):
    bench.join(A, B)
    bench.consumer.script = [([], [Problem(A, AWAY)]), ([block([0], partition=1)], [])]
    bench.turn(2)
    assert bench[A].phase is Phase.OPENING
    bench.turn()
    assert bench[B].range.next_offset == 1
    bench.turn(2)
    assert bench.consumer.reading(A)


def test_the_group_is_told_of_every_commit_once(bench):
    bench.join(A)
    assert bench.consumer.told == [({A: 0}, 0.0)]
    bench.read(0, 1)
    bench.ticks = ["t"]
    bench.turn(4)
    assert bench.consumer.told == [({A: 0}, 0.0), ({A: 2}, 0.0)]


def test_a_cron_tick_commits_the_partitions_of_its_topic(bench):
    bench.join(A, B)
    bench.read(0)
    bench.read(0, key=B)
    bench.ticks = ["other"]
    bench.turn(3)
    assert bench.commits() == []
    bench.ticks = ["t"]
    bench.turn(3)
    assert (bench.commits(), bench.commits(B)) == ([(0, 1, "cron")], [(0, 1, "cron")])


def test_what_a_poll_brought_is_taken_in_before_the_callbacks_of_the_next(bench):
    bench.join(A)
    seen = []

    def take_away():
        seen.append(bench[A].range.next_offset)
        bench.consumer.take(A)()

    bench.consumer.script = [([block([0, 1])], []), take_away]
    bench.turn(2)
    assert seen == [2]
    assert bench.commits() == [(0, 2, "revoke")]


def test_a_bug_in_one_block_commits_nothing_of_it_whatever_the_group_does_meanwhile(bench):
    """Its rows may count as written already: a commit would have the next owner drop them as repeats."""
    bench.join(A)
    bench.read(0, 1)
    bench[A].range.fail_add = MemoryError("no room")
    bench.consumer.script = [([block([2])], []), bench.consumer.take(A)]
    bench.turn()
    with pytest.raises(MemoryError):
        bench.turn()
    assert bench.commits() == []


def test_blocks_that_came_before_a_partition_was_opened_again_are_left_out(bench):
    """A process that was frozen goes on with what it has in hand, and polls last."""
    bench.join(A)
    bench.consumer.script = [([block([5, 6], begin=5)], [])]
    bench.turn()
    bench[A].trouble(AWAY)
    bench.clock.advance(600)
    for _ in range(3):
        bench[A].turn()
        bench.pool.breathe()
    assert bench[A].phase is Phase.OPEN
    bench.turn()
    assert bench[A].range.next_offset == 0


def test_a_problem_that_came_before_a_partition_was_opened_again_is_left_out(bench):
    bench.join(A)
    bench.consumer.script = [([], [Problem(A, LOST)])]
    bench.turn()
    bench[A].trouble(AWAY)
    bench.clock.advance(600)
    for _ in range(3):
        bench[A].turn()
        bench.pool.breathe()
    bench.turn(3)
    assert bench[A].phase is Phase.OPEN


def test_blocks_of_a_partition_that_was_taken_away_with_them_are_left_to_others(bench):
    bench.join(A)

    def fetch_and_take_away():
        bench.consumer.take(A)()
        return [block([0, 1])], []

    bench.consumer.script = [fetch_and_take_away]
    bench.turn(3)
    assert bench.commits() == []
    assert bench.worker.assignments == {}


def test_memory_is_relieved_after_every_block_and_a_full_disk_concerns_one_partition(tmp_path):
    bench = Bench(tmp_path, rows_limit=10).join(A, B)
    for key, held in ((A, 4), (B, 20)):
        bench[key].range.held = held
    bench.pool.stuck = True
    bench.read(0)
    assert (bench[A].phase, bench[B].phase) == (Phase.OPEN, Phase.OPENING)


def test_a_turn_that_takes_long_breaks_off_for_a_poll_and_goes_on_with_the_others(bench, monkeypatch):
    keys = [("t", number) for number in range(6)]
    bench.join(*keys)
    turned = []

    def slow(assignment):
        turned.append(assignment.partition)
        bench.clock.advance(BUSY / 2)

    monkeypatch.setattr(Assignment, "turn", slow)
    for _ in range(3):
        bench.turn()
    assert turned == [0, 1, 2, 3, 4, 5]


# ── questions and flushes ──────────────────────────────────────────────────────────────────


def test_questions_are_answered_in_a_turn_also_when_they_fail(bench):
    bench.join(A)
    answer = bench.worker.ask(lambda: threading.current_thread())
    failure = bench.worker.ask(lambda: 1 / 0)
    assert not answer.done()
    bench.turn()
    assert answer.result() is threading.current_thread()
    assert isinstance(failure.exception(), ZeroDivisionError)


def flush(bench):
    asked = bench.worker.ask(bench.worker.flush)
    bench.turn()
    return asked.result()


def test_a_flush_is_done_when_everything_read_so_far_is_committed(bench):
    bench.join(A, B)
    bench.read(0, 1)
    bench.pool.stuck = True
    asked = flush(bench)
    bench.read(2)
    assert not asked.done.is_set()
    bench.pool.stuck = False
    bench.turn(2)
    assert (asked.done.is_set(), asked.complete) == (True, True)
    assert bench.commits()[0] == (0, 2, "flush")


def test_a_flush_is_of_what_was_polled_and_not_taken_in_yet_too(bench):
    bench.join(A)
    bench.consumer.script = [([block([0, 1])], [])]
    bench.turn()
    asked = flush(bench)
    bench.turn(3)
    assert asked.done.is_set()
    assert bench.commits() == [(0, 2, "flush")]


def test_a_flush_of_nothing_is_done_at_once(bench):
    bench.join(A)
    assert flush(bench).complete


def test_a_flush_goes_on_where_work_was_dropped_and_read_again(bench):
    bench.join(A)
    bench.read(0, 1)
    bench.chains[A].commits = [Fenced("a zombie was first")]
    asked = flush(bench)
    bench.turn(4)
    bench.read(0)
    bench.turn(2)
    assert not asked.done.is_set()
    bench.read(1)
    bench.turn(3)
    assert asked.complete


def test_a_flush_does_not_wait_for_what_stopped_or_was_taken_away(bench):
    bench.join(A, B)
    bench.read(0)
    bench.read(0, key=B)
    bench.pool.stuck = True
    asked = flush(bench)
    bench.pool.stuck = False
    bench.chains[A].commits = [Fatal("no")]
    bench.consumer.script = [bench.consumer.lose(B)]
    bench.turn(3)
    assert asked.complete


# ── the group ──────────────────────────────────────────────────────────────────


def test_what_is_taken_away_is_committed_and_told_before_it_goes(bench):
    bench.join(A, B)
    bench.read(0, 1)
    bench.consumer.script = [bench.consumer.take(A)]
    bench.turn()
    assert bench.commits() == [(0, 2, "revoke")]
    assert bench.consumer.told[-1] == ({A: 2}, 3.0)
    assert list(bench.worker.assignments) == [B]
    assert bench.events.of("released") == [("released", A)]


def test_what_can_not_be_committed_in_time_is_dropped(tmp_path):
    bench = Bench(tmp_path, revoke=7.0).join(A)
    bench.read(0)
    bench.pool.stuck = True
    before = bench.clock.monotonic()
    bench.consumer.script = [bench.consumer.take(A)]
    bench.turn()
    assert bench.worker.assignments == {}
    assert 7.0 <= bench.clock.monotonic() - before <= 8.0
    bench.pool.run()
    assert list(tmp_path.iterdir()) == []


def test_partitions_without_anything_in_hand_are_let_go_of_at_once(bench):
    bench.join(A, B)
    bench.pool.stuck = True
    before = bench.clock.monotonic()
    bench.consumer.script = [bench.consumer.take(A, B)]
    bench.turn()
    assert bench.clock.monotonic() - before < 1


def test_what_others_have_already_is_dropped_without_a_commit(bench):
    bench.join(A)
    bench.read(0)
    bench.consumer.script = [bench.consumer.lose(A)]
    bench.turn(2)
    assert (bench.commits(), bench.worker.assignments) == ([], {})


def test_a_partition_that_comes_back_is_opened_anew(bench):
    bench.join(A)
    first = bench[A]
    bench.consumer.script = [bench.consumer.lose(A), bench.consumer.give(A)]
    bench.turn(5)
    assert bench[A] is not first
    assert bench.consumer.reading(A)
    second = bench[A]
    bench.consumer.script = [bench.consumer.give(A)]
    bench.turn(4)
    assert bench[A] is not second
    assert second.range is None


# ── the end ──────────────────────────────────────────────────────────────────


def test_told_to_stop_it_commits_what_is_in_hand_tells_the_group_and_leaves(bench):
    bench.run([bench.consumer.give(A), ([], []), ([], []), ([block([0, 1])], [])])
    assert bench.commits() == [(0, 2, "drain")]
    assert bench.consumer.told[-1] == ({A: 2}, 3.0)
    assert bench.consumer.closed
    assert bench.watch.noted == 1


def test_what_can_not_be_committed_before_the_end_is_left_for_later(bench, tmp_path):
    steps = [bench.consumer.give(A), ([], []), ([], []), ([block([0])], [])]
    before = bench.clock.monotonic()

    def stick():
        bench.pool.stuck = True

    bench.run([*steps, stick])
    assert DRAIN <= bench.clock.monotonic() - before <= DRAIN + 5
    assert bench.commits() == []
    bench.pool.run()
    assert list(tmp_path.iterdir()) == []


def test_partitions_that_stand_still_decide_the_exit_code_and_the_others_are_done(bench):
    bench.chains[A] = FakeChain(bench.clock, bench.spool)
    bench.chains[A].openings = [LOST]
    give = bench.consumer.give(A, B)
    with pytest.raises(PartitionsStopped, match="lost") as ended:
        bench.run([give, ([], []), ([], []), ([block([0], partition=1)], [])])
    assert ended.value.exit_code == 3
    assert bench.commits(B) == [(0, 1, "drain")]


def test_a_loss_that_was_learned_of_with_the_order_to_stop_is_told(bench):
    with pytest.raises(PartitionsStopped, match="lost"):
        bench.run([bench.consumer.give(A), ([], []), ([], []), ([block([0])], [Problem(A, LOST)])])
    assert bench.commits() == [(0, 1, "stopped")]


def test_loss_is_graver_than_failure(bench):
    for key, error in ((A, LOST), (B, Fatal("no"))):
        bench.chains[key] = FakeChain(bench.clock, bench.spool)
        bench.chains[key].openings = [error]
    with pytest.raises(PartitionsStopped) as ended:
        bench.run([bench.consumer.give(A, B), ([], []), ([], [])])
    assert ended.value.exit_code == 3


def test_whatever_ends_it_nothing_is_left_open_and_nobody_waits_for_ever(bench, tmp_path):
    def fail():
        raise Fatal("another process has our name")

    asked = []

    def ask():
        bench.pool.stuck = True
        asked.append(bench.worker.ask(bench.worker.flush))

    steps = [bench.consumer.give(A), ([], []), ([], []), ([block([0])], []), ask, fail]
    with pytest.raises(Fatal, match="our name"):
        bench.run(steps)
    bench.pool.run()
    assert bench.consumer.closed
    assert list(tmp_path.iterdir()) == []
    flush = asked[0].result()
    assert (flush.done.is_set(), flush.complete) == (True, False)


def test_a_kafka_that_is_away_does_not_make_a_failure_of_an_orderly_end(bench):
    bench.consumer.close_error = Unavailable("no broker")
    bench.run([bench.consumer.give(A), ([], []), ([], [])])
    assert bench.consumer.closed


def test_a_topic_without_a_parser_ends_it(bench):
    def refuse(topic, partition):
        raise Fatal("no parser")

    bench.worker._assign = refuse
    with pytest.raises(Fatal, match="no parser"):
        bench.run([bench.consumer.give(A)])
    assert bench.consumer.closed


# ── once ──────────────────────────────────────────────────────────────────


def once(tmp_path):
    bench = Bench(tmp_path, once=True)
    polls = []

    def run(*steps):
        def then():
            bench.pool.breathe()
            polls.append(1)
            assert len(polls) < 500, "it does not end"
            step = remaining.pop(0) if remaining else ([], [])
            return (step() if callable(step) else step) or ([], [])

        remaining = list(steps)
        bench.consumer.poll = lambda timeout, meanwhile: meanwhile() or bench.clock.advance(timeout) or then()
        bench.worker.run(threading.Event())

    bench.run_once = run
    return bench


def test_once_ends_when_every_partition_is_committed_up_to_the_end_seen_first(tmp_path):
    bench = once(tmp_path)
    bench.run_once(
        bench.consumer.give(A, B),
        *[([], [])] * 2,
        ([block(range(10))], []),
        ([block(range(4), partition=1)], []),
        *[([], [])] * 5,
        ([block(range(4, 12), partition=1)], []),
    )
    assert (bench.commits(), bench.commits(B)) == ([(0, 10, "once")], [(0, 12, "once")])


def test_once_ends_though_records_keep_coming(tmp_path):
    bench = once(tmp_path)
    coming = iter(range(0, 5_000, 5))

    def more():
        at = next(coming)
        return [block(range(at, at + 5))] if bench.consumer.reading(A) else [], []

    bench.run_once(bench.consumer.give(A), *[([], [])] * 2, *[more] * 490)
    assert bench.commits()[0] == (0, 10, "once")


def test_once_with_nothing_to_read_ends(tmp_path):
    once(tmp_path).run_once()


def test_once_waits_for_the_group_and_for_what_it_gave(tmp_path):
    bench = once(tmp_path)
    bench.consumer.group_settled = False

    def settle():
        bench.consumer.group_settled = True
        bench.consumer.given = {A}

    bench.run_once(
        *[([], [])] * 20, settle, *[([], [])] * 5, bench.consumer.give(A), *[([], [])] * 3, ([block(range(10))], [])
    )
    assert bench.commits() == [(0, 10, "once")]


def test_once_stopped_partitions_do_not_keep_it(tmp_path):
    bench = once(tmp_path)
    bench.chains[A] = FakeChain(bench.clock, bench.spool)
    bench.chains[A].openings = [DataLoss("gone", kind="retention", first=0, next=3)]
    with pytest.raises(PartitionsStopped) as ended:
        bench.run_once(bench.consumer.give(A, B), *[([], [])] * 3, ([block(range(10), partition=1)], []))
    assert (ended.value.exit_code, bench.commits(B)) == (3, [(0, 10, "once")])
