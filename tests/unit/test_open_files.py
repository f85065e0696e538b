"""Open files and their bounds: every row comes out once, no more memory is held than allowed, nothing stays behind."""

import errno
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.sink.open_files import cost
from ingest.sink.spool import SpoolFailed
from tests.builders.open_files import SCHEMA, WIDER, Bench


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.files.abandon()


def rows_of(finished):
    return pq.read_table(finished.encoded.path)["n"].to_pylist()


def test_a_file_knows_its_own_ends_and_times(bench):
    bench.add("a", 3)
    bench.add("b", 2)
    bench.add("a", 4)
    found = {file.partition_path: file.encoded for file in bench.files.finish()}
    assert [(found[path].first_offset, found[path].last_offset, found[path].rows) for path in "ab"] == [
        (0, 8, 7),
        (3, 4, 2),
    ]
    assert [(found[path].min_time, found[path].max_time) for path in "ab"] == [(0, 80), (30, 40)]


def test_rows_that_come_out_of_order_do_not_confuse_the_ends_of_a_file(bench):
    """Rows that overlap go to quarantine before those of the same block that can't be parsed."""
    batch = pa.RecordBatch.from_pydict({"n": [10], "s": ["x"]}, SCHEMA)
    bench.files.add("quarantine", "q", batch, np.array([10]), None)
    bench.files.add("quarantine", "q", batch, np.array([5]), None)
    (file,) = bench.files.finish()
    assert (file.encoded.first_offset, file.encoded.last_offset) == (5, 10)
    assert (file.encoded.min_time, file.encoded.max_time) == (None, None)


def test_data_and_quarantine_of_one_path_are_two_files(bench):
    bench.add("a", 1)
    bench.add("a", 1, kind="quarantine")
    assert sorted(file.kind for file in bench.files.finish()) == ["data", "quarantine"]
    assert bench.files.paths == set()


def test_a_new_schema_closes_the_file_and_opens_the_next(bench):
    bench.add("a", 3)
    bench.add("a", 3, schema=WIDER)
    bench.add("a", 2, schema=WIDER)
    first, second = bench.files.finish()
    assert (rows_of(first), rows_of(second)) == ([0, 1, 2], [3, 4, 5, 6, 7])
    assert pq.read_schema(second.encoded.path).names == WIDER.names


def test_a_row_groups_worth_goes_to_the_file_early_and_frees_its_memory(bench):
    while not bench.files.writers:
        bench.add("a", 50)
    assert bench.files.held == 0
    bench.add("a", 5)
    assert bench.files.held > 0
    (file,) = bench.files.finish()
    assert rows_of(file) == list(range(bench.next))
    assert pq.ParquetFile(file.encoded.path).num_row_groups == 2


def test_no_file_is_begun_early_where_too_many_are_open(tmp_path):
    bench = Bench(tmp_path, may_write=lambda: False)
    while bench.files.held < 50_000:
        bench.add("a", 50)
    assert bench.files.writers == 0
    (file,) = bench.files.finish()
    assert rows_of(file) == list(range(bench.next))


def test_rows_set_aside_come_out_in_their_place(bench):
    """Reading one file's rows back in between must not spoil those of others."""
    for path in "abc":
        bench.add(path, 30)
        bench.files.set_aside(next(file for file in bench.files if file.partition_path == path))
    assert bench.files.held == 0
    while not bench.files.writers:  # a's rows are read back, while those of b and c lie in the same file
        bench.add("a", 30)
    bench.add("d", 30)
    bench.files.set_aside(next(file for file in bench.files if file.partition_path == "d"))
    found = {file.partition_path: rows_of(file) for file in bench.files.finish()}
    assert found["b"] == list(range(30, 60))
    assert found["c"] == list(range(60, 90))
    assert found["d"] == list(range(bench.next - 30, bench.next))
    assert sorted(row for rows in found.values() for row in rows) == list(range(bench.next))
    assert not (bench.directory / "spill").exists()


@pytest.mark.parametrize(
    ("rows", "may_write", "left"), [(150, True, "1.parquet"), (40, True, "spill"), (150, False, "spill")]
)
def test_under_pressure_what_is_worth_a_small_row_group_becomes_one(tmp_path, rows, may_write, left):
    bench = Bench(tmp_path, may_write=lambda: may_write)
    bench.add("a", rows)
    assert bench.files.writers == 0
    bench.files.set_aside(next(iter(bench.files)))
    assert (bench.files.held, bench.left()) == (0, [left])
    (file,) = bench.files.finish()
    assert rows_of(file) == list(range(rows))


def test_what_waits_is_counted_at_what_it_costs_in_memory(bench):
    """A batch of few rows costs mostly its columns."""
    bench.add("a", 1)
    (file,) = bench.files
    assert bench.files.held == cost(file.batches[0]) > file.batches[0].nbytes * 10


def test_what_is_encoded_and_what_is_not_yet_count_towards_the_size_of_the_range(bench):
    assert bench.files.encoded == 0
    bench.add("a", 40)
    waiting = bench.files.encoded
    assert waiting > 0
    bench.files.set_aside(next(iter(bench.files)))
    assert bench.files.encoded == waiting
    bench.add("a", 1, schema=WIDER)
    (closed,) = bench.directory.glob("*.parquet")
    assert bench.files.encoded >= closed.stat().st_size
    bench.files.finish()
    assert bench.files.encoded == 0


def test_abandoning_leaves_no_file_and_no_memory(bench):
    bench.add("a", 500)
    bench.add("b", 10)
    bench.add("b", 10, schema=WIDER)
    bench.files.set_aside(next(file for file in bench.files if file.partition_path == "b"))
    assert len(bench.left()) == 3
    bench.files.abandon()
    assert bench.left() == []
    assert (bench.files.held, bench.files.encoded, bench.files.writers, bench.files.paths) == (0, 0, 0, set())
    bench.files.abandon()
    assert bench.files.finish() == []


def test_files_handed_over_are_not_abandoned(bench):
    bench.add("a", 5)
    (file,) = bench.files.finish()
    bench.files.abandon()
    assert bench.left() == [file.encoded.path.name]


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "act",
    [
        lambda bench: bench.add("a", 500),
        lambda bench: bench.files.set_aside(next(file for file in bench.files if file.batches)),
        lambda bench: bench.files.finish(),
    ],
    ids=["add", "set_aside", "finish"],
)
def test_a_full_disk_is_told_as_such_and_abandoning_leaves_nothing(bench, monkeypatch, act):
    bench.add("a", 500)
    bench.add("b", 10)
    bench.add("b", 10, schema=WIDER)
    monkeypatch.setattr("ingest.sink.encode._CheckedFile.write", full)
    monkeypatch.setattr("ingest.sink.spill.os.pwrite", full)
    with pytest.raises(SpoolFailed, match="No space left on device; free space there"):
        act(bench)
    bench.files.abandon()
    assert bench.left() == []


def test_a_local_file_that_can_not_be_deleted_is_told_and_the_others_go(bench, monkeypatch):
    bench.add("a", 500)
    bench.add("b", 10)
    bench.files.set_aside(next(file for file in bench.files if file.partition_path == "b"))
    unlink = type(bench.directory).unlink

    def refuse(path, missing_ok=False):
        if path.name == "spill":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(type(bench.directory), "unlink", refuse)
    with pytest.raises(SpoolFailed, match="spill: Permission denied"):
        bench.files.abandon()
    monkeypatch.undo()
    assert bench.left() == ["spill"]
