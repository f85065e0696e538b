import itertools

import numpy as np
import pytest

from ingest.api import SourceOptions
from ingest.blocks import LineBlock, Stream
from ingest.ship.acks import Acks, Progress
from ingest.ship.batching import Gathering
from ingest.ship.entry import Entry
from ingest.ship.ledger import Ledger, introduction
from ingest.ship.partitions import Topic, choose

OPTIONS = SourceOptions(name="web", type="file", topic="logs")


def block(generation, start, end, boundary=False, state=None):
    return LineBlock(
        Stream(generation, "here", "/l/app.log", "web", {"env": "prod"}),
        b"x" * (end - start - 1) + b"\n",
        np.array([0]),
        np.array([end - start - 1]),
        np.array([start, end]),
        end,
        boundary=boundary,
        state=state or {"at": end},
    )


# ── acks ──


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_progress_is_the_highest_block_with_nothing_missing_before_it(order):
    acks = Acks()
    tickets = [acks.track(Progress(10 * (number + 1), 10 * number, {"n": number})) for number in range(4)]
    done = set()

    for number in order:
        before = next((place for place in range(5) if place not in done), 4)
        progress = acks.resolve(tickets[number])
        done.add(number)
        after = next((place for place in range(5) if place not in done), 4)
        expected = None if after == before else Progress(10 * after, 10 * (after - 1), {"n": after - 1})
        assert progress == expected

    assert len(acks) == 0


def test_blocks_tracked_while_others_are_on_their_way_stand_behind_them():
    acks = Acks()
    first = acks.track(Progress(10, 10))
    assert acks.resolve(acks.track(Progress(20, 20))) is None
    second = acks.track(Progress(30, 30))

    assert acks.resolve(first) == Progress(20, 20)
    assert acks.resolve(second) == Progress(30, 30)


# ── partitions ──


@pytest.mark.parametrize(
    ("partitions", "streams", "generation", "expected"),
    [
        (1, {}, 12345, 0),
        (4, {}, 5, 1),
        (4, {}, 7, 3),
        (4, {0: 1, 1: 1, 2: 0, 3: 1}, 5, 2),
        (4, {0: 1, 2: 1}, 4, 1),
        (4, {0: 1, 2: 1}, 5, 3),
        (2, {0: 3, 1: 4, 5: 0}, 9, 0),
    ],
)
def test_a_new_generation_goes_where_the_fewest_streams_are(partitions, streams, generation, expected):
    assert choose(partitions, streams, generation) == expected


@pytest.mark.parametrize(
    ("topic", "partition", "chosen_in", "expected"),
    [
        (Topic(4, "a"), 3, "a", True),
        (Topic(3, "a"), 3, "a", False),
        (Topic(4, "b"), 3, "a", False),
        (Topic(4, ""), 3, "a", True),
        (Topic(4, "a"), 3, "", True),
    ],
)
def test_a_partition_is_lost_when_its_topic_shrank_or_was_made_anew(topic, partition, chosen_in, expected):
    assert topic.still_has(partition, chosen_in) == expected


# ── the ledger ──


def test_a_new_generation_waits_with_all_that_follows_it_until_it_is_durable():
    ledger = Ledger({})

    assert ledger.accept(block(1, 0, 5), OPTIONS, Topic(1)) is None
    assert ledger.accept(block(1, 5, 9), OPTIONS, Topic(1)) is None
    released = ledger.release()

    assert [parcel.block.end for parcel in released] == [5, 9]
    assert ledger.accept(block(1, 9, 12), OPTIONS, Topic(1)) is not None


def test_a_boundary_waits_until_it_is_durable_and_is_forgotten_once_it_is_passed():
    ledger = Ledger({})
    ledger.accept(block(1, 0, 5), OPTIONS, Topic(1))
    (first,) = ledger.release()

    assert ledger.accept(block(1, 5, 9, boundary=True), OPTIONS, Topic(1)) is None
    assert ledger.entries[1].boundaries == (9,)
    (second,) = ledger.release()
    ledger.resolve(first)
    ledger.resolve(second)

    assert ledger.entries[1].boundaries == ()


def test_a_boundary_that_is_durable_already_does_not_wait_again():
    entry = Entry("0000000000000001", "web", "logs", "/l/app.log", 0, 0, 5, 5, boundaries=(9,))
    ledger = Ledger({1: entry})

    assert ledger.accept(block(1, 5, 9, boundary=True), OPTIONS, Topic(1)) is not None


def test_an_entry_moves_only_with_the_contiguous_progress_and_keeps_its_birth():
    ledger = Ledger({})
    for start in (0, 5, 10):
        ledger.accept(block(1, start, start + 5), OPTIONS, Topic(1))
    first, second, third = ledger.release()

    assert ledger.resolve(third) == 0
    assert ledger.resolve(first) == 5
    assert ledger.resolve(second) == 10

    (state,) = ledger.states("web", "logs")
    assert (state.position, state.sent, state.state, state.birth) == (15, 15, {"at": 15}, {"at": 5})


def test_states_belong_to_a_source_and_its_topic():
    ledger = Ledger({1: Entry("0000000000000001", "web", "logs", "/l/app.log", 0, 0, 5, 5)})

    assert len(ledger.states("web", "logs")) == 1
    assert ledger.states("web", "other") == []
    assert ledger.states("other", "logs") == []


def test_streams_are_spread_over_partitions_and_keep_theirs():
    ledger = Ledger({})
    for generation in range(8):
        ledger.accept(block(generation, 0, 5), OPTIONS, Topic(4))

    parcels = ledger.release()

    assert sorted(parcel.partition for parcel in parcels) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all(ledger.entries[parcel.block.stream.generation].partition == parcel.partition for parcel in parcels)


def test_a_generation_whose_partition_is_gone_goes_on_as_a_new_one_at_its_position():
    old = Entry("0000000000000001", "web", "logs", "/l/app.log", 3, 0, 50, 48, (70,), {"at": 50}, {"at": 5}, "a")
    kept = Entry("0000000000000002", "web", "logs", "/l/b.log", 1, 0, 50, 50, topic_id="a")
    other = Entry("0000000000000003", "web", "elsewhere", "/l/c.log", 7, 0, 50, 50)
    ledger = Ledger({1: old, 2: kept, 3: other})

    ((ended, new),) = ledger.end_lost({"logs": Topic(2, "a")}, lambda: 9)

    assert ended == old
    assert (new.id, new.partition, new.begin, new.position, new.sent) == (9, 0, 50, 50, 50)
    assert (new.boundaries, new.state, new.birth) == ((), {"at": 50}, {"at": 5})
    assert set(ledger.entries) == {2, 3, 9}


def test_a_generation_with_something_on_its_way_is_not_forgotten():
    ledger = Ledger({})
    ledger.accept(block(1, 0, 5), OPTIONS, Topic(1))
    (parcel,) = ledger.release()

    ledger.forget([1])
    assert set(ledger.entries) == {1}
    ledger.resolve(parcel)
    ledger.forget([1, 77])

    assert ledger.entries == {}


def test_the_introduction_is_canonical_json():
    ledger = Ledger({})
    ledger.accept(block(0xAB, 7, 12), OPTIONS, Topic(1))

    (parcel,) = ledger.release()

    expected = (
        '{"begin":7,"generation":"00000000000000ab","host":"here","labels":{"env":"prod"},"partition":0,'
        '"path":"/l/app.log","source":"web","topic":"logs"}'
    )
    assert parcel.header == expected.encode()
    assert introduction(parcel.block.stream, ledger.entries[0xAB]) == parcel.header


# ── batching ──


def parcels(*blocks):
    ledger = Ledger({})
    for one in blocks:
        ledger.accept(one, OPTIONS, Topic(1))
    return ledger.release()


def test_small_blocks_of_several_streams_leave_together_after_the_linger():
    gathering = Gathering(most=10_000)
    for now, parcel in enumerate(parcels(block(1, 0, 5), block(2, 0, 5), block(1, 5, 9))):
        assert gathering.add(parcel, 100.0 + now / 10) is None

    assert gathering.next_due() == 101.0
    assert gathering.take_due(100.9) == []
    (batch,) = gathering.take_due(101.0)

    assert [(parcel.block.stream.generation, parcel.block.end) for parcel in batch.parcels] == [(1, 5), (2, 5), (1, 9)]
    assert gathering.next_due() == float("inf")


def test_a_full_batch_leaves_at_once_behind_what_came_before_it():
    gathering = Gathering(most=100_000, limit=5000)
    small, large = parcels(block(1, 0, 5), block(1, 5, 4000))

    assert gathering.add(small, 0.0) is None
    batch = gathering.add(large, 0.0)

    assert batch.parcels == [small, large]
    assert gathering.take_due(float("inf")) == []


def test_what_waits_for_company_in_many_partitions_is_bounded_and_the_largest_leaves_first():
    sizes = [300, 900, 500]
    blocks = [block(generation, 0, size) for generation, size in enumerate(sizes, 1)]
    ledger = Ledger({})
    for one in blocks:
        ledger.accept(one, OPTIONS, Topic(len(sizes)))
    waiting = ledger.release()
    assert len({parcel.partition for parcel in waiting}) == len(sizes)
    gathering = Gathering(most=sum(one.nbytes for one in blocks) - 1)

    left = [gathering.add(parcel, 0.0) for parcel in waiting]

    assert [batch and batch.parcels for batch in left] == [None, None, [waiting[1]]]
    assert gathering.add(parcels(block(9, 0, 10))[0], 0.0) is None
    assert sum(len(batch.parcels) for batch in gathering.take_due(float("inf"))) == len(sizes)
