"""What all workers agree on beside the chains: columns, and whose root it is."""

import json

import pyarrow as pa
import pytest

from ingest.commit import chain, names
from ingest.commit.root import Root, join_root, read_root
from ingest.commit.schema import SchemaBook, missing_columns
from ingest.errors import Fatal, OutcomeUnknown, StateDamaged, Unavailable, UsageError
from ingest.testing.memory import Fault, MemoryFilesystem

A, B, C = pa.field("a", pa.int64()), pa.field("b", pa.string()), pa.field("c", pa.timestamp("us", "UTC"))


def test_columns_are_only_added_and_the_first_type_stays():
    filesystem = MemoryFilesystem()
    one, two = SchemaBook(filesystem, "t", "one"), SchemaBook(filesystem, "t", "two")
    assert one.current() == pa.schema([])
    assert one.agree([A, B]) == pa.schema([A, B])
    assert two.agree([pa.field("a", pa.string()), C]) == pa.schema([A, B, C])
    assert one.current() == pa.schema([A, B, C])
    assert sorted(filesystem.files) == [names.schema_path("t", 1), names.schema_path("t", 2)]


def test_nothing_new_publishes_nothing():
    filesystem = MemoryFilesystem()
    book = SchemaBook(filesystem, "t", "w")
    book.agree([A])
    book.agree([A])
    book.agree([])
    assert len(filesystem.files) == 1


def test_who_loses_the_race_takes_over_what_won_and_adds_the_rest():
    filesystem = MemoryFilesystem()
    one, two = SchemaBook(filesystem, "t", "one"), SchemaBook(filesystem, "t", "two")
    rivals = [lambda: two.agree([B])]

    def meanwhile(call):
        if call.verb == "create" and rivals:
            rivals.pop()()

    filesystem.faults = meanwhile
    assert one.agree([A, pa.field("b", pa.int64())]) == pa.schema([B, A])


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE, Fault.LATE])
def test_agreeing_survives_a_fault_at_any_step(fault):
    for k in range(1, 8):
        filesystem = MemoryFilesystem()
        book = SchemaBook(filesystem, "t", "w")
        filesystem.fail_at(k, fault)
        try:
            agreed = book.agree([A, B])
        except Unavailable:
            agreed = book.agree([A, B])
        filesystem.calm()
        assert agreed == pa.schema([A, B]) == book.current()


def test_the_tenth_version_is_newer_than_the_ninth():
    filesystem = MemoryFilesystem()
    book = SchemaBook(filesystem, "t", "w")
    for number in range(12):
        book.agree([pa.field(f"c{number}", pa.int64())])
    assert len(book.current()) == 12


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"columns": 1}, {"columns": [{"name": "a", "type": "no-such-type"}]}]
)
def test_columns_that_can_not_be_read_are_damage(change):
    filesystem = MemoryFilesystem()
    book = SchemaBook(filesystem, "t", "w")
    book.agree([A])
    path = names.schema_path("t", 1)
    filesystem.files[path] = json.dumps(json.loads(filesystem.files[path]) | change).encode()
    with pytest.raises(StateDamaged, match=path):
        book.current()


def test_a_name_is_missing_once():
    assert missing_columns(pa.schema([A]), [A, B, pa.field("b", pa.int64()), C]) == [B, C]


def root(cluster="c1", group="g1"):
    return Root(cluster_id=cluster, group=group, worker="w", created_at=chain.iso(0), version="1")


def test_the_first_sink_takes_the_root_and_others_of_its_group_join():
    filesystem = MemoryFilesystem()
    assert read_root(filesystem) is None
    assert join_root(filesystem, root()) == root()
    other = Root(cluster_id="c1", group="g1", worker="other", created_at=chain.iso(5), version="2")
    assert join_root(filesystem, other, expected=True) == root()
    assert read_root(filesystem) == root()


@pytest.mark.parametrize(("cluster", "group"), [("c2", "g1"), ("c1", "g2")])
def test_a_sink_of_another_cluster_or_group_is_refused_naming_both(cluster, group):
    filesystem = MemoryFilesystem()
    join_root(filesystem, root())
    with pytest.raises(UsageError, match=f"c1.*g1.*{cluster}.*{group}") as refused:
        join_root(filesystem, root(cluster, group))
    assert refused.value.exit_code == 2


def test_a_root_that_was_there_and_is_gone_is_never_made_again():
    filesystem = MemoryFilesystem()
    with pytest.raises(Fatal, match="mounted"):
        join_root(filesystem, root(), expected=True)
    assert filesystem.files == {}


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE, Fault.LATE])
def test_joining_survives_a_fault_at_any_step(fault):
    for k in range(1, 6):
        filesystem = MemoryFilesystem()
        filesystem.fail_at(k, fault)
        try:
            join_root(filesystem, root())
        except (Unavailable, OutcomeUnknown):
            join_root(filesystem, root())
        filesystem.calm()
        assert read_root(filesystem) == root()
