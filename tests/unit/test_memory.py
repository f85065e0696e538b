"""The one bound on memory: random rows over many paths and partitions never hold more than it, and none is lost."""

import random

import pyarrow.parquet as pq
import pytest

from ingest.sink.memory import LOW, Shares, to_set_aside
from tests.builders.open_files import SCHEMA, WIDER, Bench


def relieve(benches, limit):
    files = [bench.files for bench in benches]
    for index, file in to_set_aside(files, limit):
        files[index].set_aside(file)
    return sum(each.held for each in files)


@pytest.mark.parametrize("seed", range(10))
def test_random_rows_over_many_paths_stay_below_the_bound_and_come_out_once(tmp_path, seed):
    chance = random.Random(seed)
    limit = chance.choice([40_000, 150_000])
    benches = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        benches.append(
            Bench(
                tmp_path / str(number),
                row_group=chance.choice([5_000, 30_000]),
                may_write=lambda: chance.random() < 0.3,
            )
        )
    added = [{} for _ in benches]
    for _ in range(200):
        number = chance.randrange(3)
        path = f"p{chance.randrange(chance.choice([3, 30]))}"
        schema = WIDER if chance.random() < 0.02 else SCHEMA
        added[number].setdefault(path, []).extend(benches[number].add(path, chance.choice([1, 3, 200]), schema=schema))
        assert relieve(benches, limit) <= limit
    for bench, expected in zip(benches, added, strict=True):
        found = {}
        for file in bench.files.finish():
            rows = pq.read_table(file.encoded.path)["n"].to_pylist()
            assert (rows[0], rows[-1], len(rows)) == (
                file.encoded.first_offset,
                file.encoded.last_offset,
                file.encoded.rows,
            )
            assert (file.encoded.min_time, file.encoded.max_time) == (rows[0] * 10, rows[-1] * 10)
            found.setdefault(file.partition_path, []).extend(rows)
        assert found == expected
        assert bench.files.held == 0


def test_relief_takes_the_largest_files_and_goes_down_to_half(tmp_path):
    bench = Bench(tmp_path, row_group=1 << 30)
    for path, rows in (("small", 1), ("middle", 100), ("large", 500)):
        bench.add(path, rows)
    held = bench.files.held
    assert to_set_aside([bench.files], held) == []
    assert [file.partition_path for _, file in to_set_aside([bench.files], held - 1)] == ["large"]
    assert relieve([bench], held - 1) <= held * LOW
    bench.files.abandon()


def test_many_small_batches_are_set_aside_as_few_and_a_large_one_in_pieces(tmp_path):
    bench = Bench(tmp_path, row_group=10_000, may_write=lambda: False)
    for _ in range(50):
        bench.add("a", 1)
    (file,) = bench.files
    bench.files.set_aside(file)
    assert len(file.extents) == 1
    for _ in range(20):
        bench.add("b", 100)
    file = next(each for each in bench.files if each.partition_path == "b")
    bench.files.set_aside(file)
    assert 3 <= len(file.extents) <= 8
    bench.files.abandon()


@pytest.mark.parametrize("memory", [1 << 20, 16 << 20, 256 << 20, 8 << 30])
def test_the_shares_fit_into_the_memory_where_it_is_not_tiny(memory):
    shares = Shares.of(memory)
    assert shares.rows == memory // 2
    assert shares.partition_fetch <= max(shares.fetch, 256 << 10)
    assert shares.row_group <= 16 << 20
