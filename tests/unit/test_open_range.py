"""One range: what becomes of each record between a tail and the draft of the next commit."""

import itertools

import pyarrow.parquet as pq
import pytest

from ingest.commit.chain import StreamRecord
from ingest.commit.committer import StartDraft
from ingest.commit.names import ChainKey
from ingest.errors import QuarantineBudget, Unavailable
from ingest.service.metrics import Metrics
from ingest.sink.begin import open_range
from ingest.sink.dedup import StreamConflict
from ingest.sink.quarantine import Budget
from ingest.sink.rotation import Reason
from ingest.testing.clock import ManualClock
from ingest.testing.memory import Fault, MemoryFilesystem
from tests.builders.chains import committer
from tests.builders.sink import TOPIC, block, empty_block, plan, source_header

KEY = ChainKey(TOPIC, 0)


class Bench:
    """A range at the end of a chain, and the commits that follow."""

    def __init__(self, directory, **how):
        self.directory = directory
        self.filesystem = MemoryFilesystem()
        self.plan = plan(self.filesystem, **how)
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.hand = committer(self.filesystem, key=KEY)
        self.hand.open(StartDraft(0, "id", "test"))
        self.begin()

    def begin(self, topic_id="id"):
        self.range = open_range(
            self.plan,
            self.hand.tail,
            committer(self.filesystem, key=KEY),
            spool=self.directory,
            row_group=1 << 20,
            may_write=lambda: True,
            clock=self.clock,
            metrics=self.metrics,
            topic_id=topic_id,
        )

    def commit(self):
        """Seal, commit, and return (draft, rows of data files, rows of quarantine files)."""
        draft = self.range.seal(Reason.FLUSH).finish()
        rows = {"data": [], "quarantine": []}
        for file in draft.files:
            found = pq.read_table(file.local).to_pylist()
            offsets = [row["kafka_offset"] for row in found]
            assert (min(offsets), max(offsets), len(offsets)) == (file.first_offset, file.last_offset, file.rows)
            rows[file.kind] += found
        self.hand.commit(draft)
        for file in draft.files:
            file.local.unlink(missing_ok=True)
        return draft, rows["data"], rows["quarantine"]

    def counted(self, name):
        return sum(value for key, value in self.metrics.snapshot().items() if key.startswith(f"ingest_sink_{name}"))


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(**how):
        made.append(Bench(tmp_path, **how))
        return made[-1]

    yield make
    for each in made:
        each.range.abandon()
    assert list(tmp_path.iterdir()) == []


def lines(generation, numbers):
    """identity of rows for lines of ten bytes."""
    return {row: (generation, number * 10, number * 10 + 10) for row, number in enumerate(numbers)}


def offsets(rows):
    return [row["kafka_offset"] for row in rows]


def test_rows_in_the_files_are_the_rows_read(bench):
    b = bench()
    b.range.add(block([0, 1, 5], next_offset=7))
    b.range.add(block([9], next_offset=10))
    draft, data, quarantine = b.commit()
    assert offsets(data) == [0, 1, 5, 9]
    assert [row["value"] for row in data] == ["value 0", "value 1", "value 5", "value 9"]
    assert (draft.next_offset, draft.duplicates, quarantine) == (10, 0, [])
    assert (draft.topic_id, draft.leader_epoch, draft.reason) == ("id", 3, "flush")
    assert b.counted("records") == 4


def test_blocks_without_rows_only_move_the_next_offset(bench):
    b = bench()
    assert b.range.empty
    b.range.add(empty_block(4))
    assert not b.range.empty
    assert b.range.figures().rows == 0
    draft, data, _ = b.commit()
    assert (draft.next_offset, list(draft.files), data) == (4, [], [])
    b.range.add(empty_block(4))
    assert b.range.empty


def test_the_next_range_begins_where_the_last_one_was_sealed(bench):
    b = bench()
    b.range.add(block([0, 1]))
    b.commit()
    assert (b.range.first_offset, b.range.next_offset, b.range.empty) == (2, 2, True)
    b.range.add(block([2]))
    draft, data, _ = b.commit()
    assert (draft.next_offset, offsets(data)) == (3, [2])


def test_a_tombstone_is_a_row_of_nulls(bench):
    b = bench()
    b.range.add(block([0, 1], [None, b"x"]))
    _, data, _ = b.commit()
    assert [row["value"] for row in data] == [None, "x"]


def test_repeats_are_dropped_counted_and_remembered_over_commits_and_reopening(bench):
    b = bench()
    header = {0: source_header(7)}
    b.range.add(block([0, 1, 2], identity=lines(7, [0, 1, 2]), sources=header))
    b.range.add(
        block([3, 4, 5], [b"value 1", b"value 2", b"new"], identity=lines(7, [1, 2, 3]), sources={0: source_header(7)})
    )
    draft, data, _ = b.commit()
    assert (offsets(data), draft.duplicates) == ([0, 1, 2, 5], 2)
    assert draft.streams["0000000000000007"].intervals == ((0, 40),)
    b.begin()
    b.range.add(block([6, 7], [b"new", b"newer"], identity=lines(7, [3, 4]), sources=header))
    draft, data, _ = b.commit()
    assert (offsets(data), draft.duplicates) == ([7], 1)
    assert b.counted("duplicate") == 3


def test_a_range_of_nothing_but_repeats_is_a_commit_without_files(bench):
    b = bench()
    values = [b"a", b"b"]
    b.range.add(block([0, 1], values, identity=lines(7, [0, 1]), sources={0: source_header(7)}))
    b.commit()
    b.range.add(block([2, 3], values, identity=lines(7, [0, 1]), sources={0: source_header(7)}))
    assert b.range.figures().rows == 0
    draft, _, _ = b.commit()
    assert (list(draft.files), draft.duplicates, draft.next_offset) == ([], 2, 4)


def test_records_of_a_stream_that_nobody_introduced_here_are_not_judged(bench):
    b = bench()
    elsewhere = {0: source_header(7, partition=1)}
    b.range.add(block([0, 1], identity={0: (7, 0, 10), 1: (7, 0, 10)}, sources=elsewhere))
    draft, data, _ = b.commit()
    assert (offsets(data), dict(draft.streams)) == ([0, 1], {})


def test_a_record_partly_written_before_goes_to_quarantine_with_its_bytes(bench):
    b = bench()
    b.range.add(block([0], identity={0: (7, 0, 10)}, sources={0: source_header(7)}))
    b.range.add(block([1, 2], [b"overlap", b"fine"], identity={0: (7, 5, 15), 1: (7, 15, 20)}))
    _, data, quarantine = b.commit()
    assert offsets(data) == [0, 2]
    (row,) = quarantine
    assert (row["raw"], row["stage"], row["reason"], row["kafka_offset"]) == (b"overlap", "overlap", "overlap", 1)
    assert (row["source_stream"], row["source_position"]) == ("h:/log/7", 5)


def test_rejects_go_to_quarantine_and_overlaps_of_the_same_block_do_not_confuse_its_ends(bench):
    b = bench(parser="json")
    b.range.add(block([0], [b'{"n": 1}'], identity={0: (7, 0, 10)}, sources={0: source_header(7)}))
    values = [b"no json", b'{"n": 2}', b'{"n": 3}', b"{"]
    b.range.add(block([1, 2, 3, 4], values, identity={2: (7, 5, 15)}))
    draft, data, quarantine = b.commit()
    assert offsets(data) == [0, 2]
    assert sorted((row["kafka_offset"], row["stage"]) for row in quarantine) == [
        (1, "parse"),
        (3, "overlap"),
        (4, "parse"),
    ]
    assert {row["raw"] for row in quarantine} == {b"no json", b'{"n": 3}', b"{"}
    assert sum(file.rows for file in draft.files) == 5
    assert b.counted("quarantined") == 3


def test_columns_found_in_the_data_are_agreed_and_used_from_the_block_that_has_them(bench):
    b = bench(parser="json")
    b.range.add(block([0], [b'{"n": 1}']))
    b.range.add(block([1], [b'{"n": 2, "s": "x"}']))
    b.range.add(block([2], [b'{"n": 3}']))
    draft, data, _ = b.commit()
    assert [(row["n"], row.get("s", "no such column")) for row in data] == [(1, "no such column"), (2, "x"), (3, None)]
    assert len(draft.files) == 2
    assert "s" in b.plan.book.current().names
    b.begin()
    b.range.add(block([3], [b'{"s": "y"}']))
    _, (row,), _ = b.commit()
    assert (row["n"], row["s"]) == (None, "y")


def test_columns_that_can_not_be_agreed_on_now_are_told_and_the_range_can_be_abandoned(bench):
    b = bench(parser="json")
    b.range.add(block([0], [b'{"n": 1}']))
    b.filesystem.fail_at(1, Fault.FAIL, "list")
    with pytest.raises(Unavailable):
        b.range.add(block([1], [b'{"other": 2}']))
    b.range.abandon()
    b.begin()
    b.range.add(block([0, 1], [b'{"n": 1}', b'{"other": 2}']))
    _, data, _ = b.commit()
    assert offsets(data) == [0, 1]


def test_a_repeat_with_other_bytes_stops_and_nothing_of_it_is_entered(bench):
    b = bench()
    b.range.add(block([0, 1], [b"a", b"b"], identity=lines(7, [0, 1]), sources={0: source_header(7)}))
    b.commit()
    b.range.add(block([2], [b"c"], identity=lines(7, [2])))
    with pytest.raises(StreamConflict, match=r"t/0 offset 4: .* ends at byte 30 was written before with other bytes"):
        b.range.add(block([3, 4], [b"b", b"C"], identity=lines(7, [1, 2])))
    b.range.abandon()
    b.begin()
    b.range.add(block([2], [b"c"], identity=lines(7, [2])))
    draft, data, _ = b.commit()
    assert (offsets(data), draft.streams["0000000000000007"].intervals) == ([2], ((0, 30),))


def test_a_stream_that_the_newest_commit_forgot_is_found_in_older_ones(bench):
    b = bench()
    values = [b"a", b"b"]
    b.range.add(block([0, 1], values, identity=lines(7, [0, 1]), sources={0: source_header(7)}))
    b.commit()
    b.clock.advance(30 * 86_400)
    b.range.add(block([2], [b"other"], identity=lines(8, [0]), sources={0: source_header(8)}))
    draft, _, _ = b.commit()
    assert list(draft.streams) == ["0000000000000008"]
    for reopened in (False, True):
        if reopened:
            b.begin()
        at = b.range.next_offset
        again = block([at, at + 1], values, identity=lines(7, [0, 1]), sources={0: source_header(7)})
        b.range.add(again)
        draft, data, _ = b.commit()
        assert (data, draft.duplicates) == ([], 2)


def test_the_budget_is_exceeded_once_and_stays_so_after_a_restart_until_accepted(bench):
    b = bench(parser="json", budget=Budget(0.5, 10))
    b.range.add(block(range(5), [b"bad"] * 5))
    assert b.range.over_budget() is None
    b.range.add(block([5], [b"bad"]))
    excess = b.range.over_budget()
    assert isinstance(excess, QuarantineBudget)
    assert "more than 5 of 10" in str(excess)
    _, _, quarantine = b.commit()
    assert len(quarantine) == 6
    assert b.range.over_budget() is not None
    b.begin()
    assert b.range.over_budget() is not None
    b.hand.accept_budget(who="me", why="test")
    b.begin()
    assert b.range.over_budget() is None


def test_the_window_goes_on_over_commits(bench):
    b = bench(parser="json", budget=Budget(0.5, 10))
    for at in (0, 3):
        b.range.add(block(range(at, at + 3), [b"bad"] * 3))
        if at == 0:
            b.commit()
            b.begin()
    assert b.range.over_budget() is not None


def test_a_block_from_before_the_end_of_what_was_read_is_refused(bench):
    """It would double rows; whoever hands it out twice has lost its place."""
    b = bench()
    b.range.add(block([0, 1, 2]))
    with pytest.raises(Unavailable, match="offset 2, and everything below 3 was taken in already"):
        b.range.add(block([2, 3]))
    b.range.abandon()
    b.begin()
    b.range.add(block([0, 1, 2, 3]))
    assert offsets(b.commit()[1]) == [0, 1, 2, 3]


def test_a_block_that_leaves_records_out_is_refused(bench):
    """A hole between two blocks would be lost rows. Offsets that the log itself lacks are no hole."""
    b = bench()
    b.range.add(block([0, 1, 2]))
    b.range.add(block([5], begin=3))
    with pytest.raises(Unavailable, match="begins at offset 8, and only what is below 6 was taken in"):
        b.range.add(block([8], begin=8))


def test_ages_begin_with_the_first_block_of_a_range(bench):
    b = bench()
    b.clock.advance(100)
    b.range.add(block([0]))
    b.clock.advance(5)
    b.range.add(empty_block(2))
    now = b.clock.monotonic()
    assert (now - b.range.figures().since, now - b.range.figures().latest) == (5, 0)
    b.commit()
    b.clock.advance(50)
    assert b.range.figures().since == b.clock.monotonic()


def test_rows_go_below_their_event_time_and_say_so(bench):
    b = bench(partition_by="dt=%Y-%m-%d")
    days = [1_795_000_000_000, 1_795_000_000_000 - 86_400_000]
    b.range.add(block(range(4), timestamps=[days[0], days[1], days[0], days[1]]))
    draft = b.range.seal(Reason.FLUSH).finish()
    found = {file.partition_path: file for file in draft.files}
    assert sorted(found) == ["dt=2026-11-17", "dt=2026-11-18"]
    old, new = found["dt=2026-11-17"], found["dt=2026-11-18"]
    assert (old.first_offset, old.last_offset, old.min_time) == (1, 3, days[1] * 1000)
    assert (new.first_offset, new.last_offset, new.max_time) == (0, 2, days[0] * 1000)
    for file in draft.files:
        file.local.unlink()


def test_the_topics_id_is_the_chains_where_that_knows_one(bench):
    b = bench()
    b.begin(topic_id="another")
    assert b.range.topic_id == "id"
    b.hand = committer(b.filesystem, key=ChainKey(TOPIC, 9))
    b.hand.open(StartDraft(0, "", "brokers that had no ids"))
    b.begin(topic_id="new")
    assert b.range.topic_id == "new"


def test_the_parser_sees_when_the_records_are_from(bench, monkeypatch):
    b = bench()
    parser, seen = b.plan.parser, []

    def parse_dated(values, schema, timestamps):
        seen.append(list(zip(values.to_pylist(), timestamps.tolist(), strict=True)))
        return parser.parse(values, schema)

    monkeypatch.setattr(parser, "parse_dated", parse_dated)
    b.range.add(block(range(3), timestamps=[1_795_000_000_000, -1, 7], values=[b"a", b"b", b"c"]))

    assert seen == [[(b"a", 1_795_000_000_000), (b"b", -1), (b"c", 7)]]


@pytest.mark.parametrize("parser", ["raw", "json"])
def test_however_a_range_is_cut_into_blocks_the_same_rows_come_out(bench, parser):
    b = bench(parser=parser)
    values = [b'{"n": 1}', b"bad", None, b'{"n": 2}', b'{"n": 1}', b'{"n": 2, "m": 1}']
    found = []
    for cuts in itertools.combinations(range(1, 6), 2):
        at = b.range.next_offset
        bounds = [0, *cuts, 6]
        for low, high in itertools.pairwise(bounds):
            b.range.add(block(range(at + low, at + high), values[low:high]))
        _, data, quarantine = b.commit()
        found.append(([row["kafka_offset"] - at for row in data], [row["kafka_offset"] - at for row in quarantine]))
    assert all(each == found[0] for each in found)


def test_streams_of_the_tail_are_not_touched_by_what_is_read(bench):
    """Dropped work must not leave a trace in what the next range begins with."""
    b = bench()
    b.range.add(block([0], identity=lines(7, [0]), sources={0: source_header(7)}))
    b.commit()
    before = StreamRecord(
        **{name: getattr(b.hand.tail.streams["0000000000000007"], name) for name in StreamRecord.__struct_fields__}
    )
    b.begin()
    b.range.add(block([1, 2], identity=lines(7, [1, 2])))
    b.range.abandon()
    assert b.hand.tail.streams["0000000000000007"] == before


def test_a_sealed_range_is_finished_once_and_leaves_nothing_when_it_is_discarded(bench, tmp_path):
    b = bench()
    b.range.add(block([0, 1, 2]))
    sealed = b.range.seal(Reason.FLUSH)
    assert sealed.files.held > 0
    assert list(tmp_path.iterdir()) == []  # nothing was encoded yet
    draft = sealed.finish()
    assert draft is sealed.finish()
    assert sealed.files.held == 0
    assert len(list(tmp_path.iterdir())) == 1
    b.range.add(block([3]))  # the next range is another matter
    sealed.discard()
    assert list(tmp_path.iterdir()) == []
    b.range.seal(Reason.FLUSH).discard()
