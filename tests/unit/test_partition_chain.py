"""A partition's chain as the sink uses it: what is asked of Kafka and of the warehouse, and in which order."""

import errno

import pytest

from ingest.commit.beginning import Beginning
from ingest.commit.committer import ChainKey
from ingest.errors import DataLoss, Fenced, QuarantineBudget, Unavailable
from ingest.sink.chain import PartitionChain
from ingest.sink.loss import Bounds
from ingest.sink.spool import SpoolFailed
from ingest.testing.memory import MemoryFilesystem
from tests.builders.chains import committer, draft

KEY = ChainKey("t", 0)


class Log:
    """`now` is what a fresh question finds, `recent` what was asked a moment ago."""

    def __init__(self, bounds):
        self.now = self.recent = bounds
        self.asked = []
        self.topic = bounds.topic_id
        self.away = False

    def bounds(self, max_age):
        self.asked.append(max_age)
        return self.recent if max_age else self.now

    def topic_id(self):
        if self.away:
            raise Unavailable("no broker")
        return self.topic


class Range:
    def __init__(self, tail, topic_id, excess=None):
        self.tail, self.topic_id, self.excess = tail, topic_id, excess

    def over_budget(self):
        return self.excess


class Bench:
    def __init__(self):
        self.filesystem = MemoryFilesystem()
        self.log = Log(Bounds(3, 100, "id"))
        self.root = True
        self.excess = None
        self.chain = self.another()

    def another(self, start_at="earliest", partitions=1):
        beginning = Beginning(
            topic="t", partitions=partitions, start_at=start_at, worker="w", created_at="now", version="1"
        )
        return PartitionChain(
            committer(self.filesystem, key=KEY),
            0,
            log=self.log,
            beginning=lambda: beginning,
            begin=lambda tail, topic_id: Range(tail, topic_id, self.excess),
            require_root=self._require_root,
        )

    def _require_root(self):
        if not self.root:
            raise Unavailable("root.json is gone")

    def files(self):
        return sorted(self.filesystem.files)


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize(("start_at", "offset"), [("earliest", 3), ("latest", 100), (50, 50)])
def test_a_chain_begins_where_the_configuration_says(bench, start_at, offset):
    opening = bench.another(start_at).open()
    assert (opening.tail.next_offset, opening.end, opening.tail.topic_id) == (offset, 100, "id")
    assert opening.range.topic_id == "id"


def test_a_partition_added_later_begins_at_its_first_offset_whatever_is_configured(bench):
    bench.log.recent = bench.log.now = Bounds(0, 100, "id")
    assert bench.another("latest", partitions=0).open().tail.next_offset == 0


def test_a_chain_that_is_there_goes_on_where_it_ends(bench):
    bench.chain.open()
    bench.chain.commit(draft(3, 10), 3)
    assert bench.another("latest").open().tail.next_offset == 10


def test_what_another_worker_committed_after_kafka_was_asked_is_no_loss(bench):
    bench.chain.open()
    bench.log.recent = Bounds(3, 5, "id")
    bench.chain.commit(draft(3, 10), 3)
    opening = bench.another().open()
    assert (opening.tail.next_offset, opening.end) == (10, 100)


@pytest.mark.parametrize(
    ("bounds", "kind"),
    [(Bounds(11, 100, "id"), "retention"), (Bounds(0, 9, "id"), "went back"), (Bounds(0, 100, "new"), "recreated")],
)
def test_loss_is_refused_by_fresh_figures(bench, bounds, kind):
    bench.chain.open()
    bench.chain.commit(draft(3, 10), 3)
    bench.log.recent = bench.log.now = bounds
    with pytest.raises(DataLoss) as refused:
        bench.another().open()
    assert refused.value.kind == kind
    assert bench.log.asked[-1] == 0.0


def test_brokers_that_learn_to_give_ids_do_not_make_another_topic(bench):
    bench.log.recent = bench.log.now = Bounds(0, 100, "")
    bench.chain.open()
    bench.log.recent = bench.log.now = Bounds(0, 100, "id")
    opening = bench.another().open()
    assert opening.range.topic_id == "id"


def test_a_budget_that_is_spent_is_told_when_it_is_opened(bench):
    bench.excess = QuarantineBudget("too many")
    with pytest.raises(QuarantineBudget):
        bench.chain.open()


def test_a_commit_of_a_topic_that_was_made_again_is_done_and_tells_it(bench):
    bench.chain.open()
    bench.log.topic = "new"
    done = bench.chain.commit(draft(3, 10, topic_id="id"), 3)
    assert done.tail.next_offset == 10
    assert (done.loss.kind, done.loss.first) == ("recreated", 10)


@pytest.mark.parametrize("topic_id", ["id", None])
def test_a_kafka_that_is_away_holds_up_no_commit(bench, topic_id):
    bench.chain.open()
    bench.log.away = True
    done = bench.chain.commit(draft(3, 10, topic_id=topic_id), 3)
    assert (done.tail.next_offset, done.loss) == (10, None)


def test_a_topic_that_is_being_deleted_has_no_id_and_is_no_other_one(bench):
    bench.chain.open()
    bench.log.topic = ""
    assert bench.chain.commit(draft(3, 10, topic_id="id"), 3).loss is None


def test_nothing_is_written_where_the_warehouse_is_not_the_one_it_was(bench):
    bench.root = False
    with pytest.raises(Unavailable, match=r"root.json is gone"):
        bench.chain.open()
    assert bench.files() == []
    bench.root = True
    bench.chain.open()
    before = bench.files()
    bench.root = False
    with pytest.raises(Unavailable, match=r"root.json is gone"):
        bench.chain.commit(draft(3, 10), 3)
    assert bench.files() == before


def test_a_range_that_begins_elsewhere_than_the_chain_ends_is_never_published(bench):
    bench.chain.open()
    with pytest.raises(Fenced, match="the chain is at offset 3, the range begins at 5"):
        bench.chain.commit(draft(5, 10), 5)


def test_a_commit_that_is_done_is_done_when_asked_again(bench):
    bench.chain.open()
    one = draft(3, 10)
    bench.chain.commit(one, 3)
    assert bench.chain.commit(one, 3).tail.next_offset == 10


def test_a_local_file_that_can_not_be_read_concerns_the_local_disk(bench, monkeypatch):
    def broken(path, source):
        if path.endswith(".parquet"):
            raise OSError(errno.EIO, "Input/output error")
        MemoryFilesystem.create(bench.filesystem, path, source)

    bench.chain.open()
    monkeypatch.setattr(bench.filesystem, "create", broken)
    with pytest.raises(SpoolFailed, match="the local spool: Input/output error"):
        bench.chain.commit(draft(3, 10), 3)


def test_it_is_told_whether_somebody_else_committed(bench):
    bench.chain.open()
    assert not bench.chain.moved_on()
    other = committer(bench.filesystem, key=KEY)
    other.open()
    other.commit(draft(3, 10))
    assert bench.chain.moved_on()
    bench.chain.open()
    assert not bench.chain.moved_on()


def test_commits_are_folded_when_many_lie_about(bench):
    bench.chain = PartitionChain(
        committer(bench.filesystem, key=KEY, fold_every=3),
        0,
        log=bench.log,
        beginning=lambda: Beginning(
            topic="t", partitions=1, start_at="earliest", worker="w", created_at="now", version="1"
        ),
        begin=Range,
        require_root=lambda: None,
    )
    bench.chain.open()
    for at in range(3, 9):
        bench.chain.commit(draft(at, at + 1), at)
    assert len([path for path in bench.files() if "/commits/" in path]) <= 3
    assert [path for path in bench.files() if "/archive/" in path]
