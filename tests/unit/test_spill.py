"""Set-aside batches come back as they were, in whatever order they are asked for."""

import os
import random

import pyarrow as pa
import pytest

from ingest.sink.spill import Spill

SCHEMAS = [
    pa.schema([("n", pa.int64())]),
    pa.schema([("s", pa.string()), ("b", pa.binary()), ("l", pa.list_(pa.int8()))]),
]


@pytest.fixture
def spill(tmp_path):
    made = Spill(tmp_path / "spill")
    yield made
    made.clear()


def batch(chance):
    schema = chance.choice(SCHEMAS)
    rows = chance.randint(1, 50)
    values = {
        "n": lambda: chance.choice([None, chance.getrandbits(40)]),
        "s": lambda: chance.choice([None, "", "é" * chance.randint(1, 9)]),
        "b": lambda: chance.randbytes(chance.randint(0, 20)),
        "l": lambda: [1, None] * chance.randint(0, 3),
    }
    return pa.RecordBatch.from_pydict({name: [values[name]() for _ in range(rows)] for name in schema.names}, schema)


def test_batches_come_back_whatever_was_read_and_set_aside_in_between(spill):
    chance = random.Random(1)
    kept = []
    for _ in range(300):
        if not kept or chance.random() < 0.5:
            made = batch(chance)
            kept.append((spill.append(made), made))
        else:
            extent, made = chance.choice(kept)
            assert spill.read(extent, made.schema).equals(made)


def test_an_append_that_failed_half_way_leaves_the_others_as_they_were(spill, monkeypatch):
    chance = random.Random(2)
    first = batch(chance)
    kept = spill.append(first)
    pwrite = os.pwrite
    answers = iter(
        [lambda *how: pwrite(how[0], how[1][:3], how[2]), lambda *how: (_ for _ in ()).throw(OSError(28, "x"))]
    )
    monkeypatch.setattr(os, "pwrite", lambda *how: next(answers)(*how))
    with pytest.raises(OSError, match="x"):
        spill.append(batch(chance))
    monkeypatch.undo()
    second = batch(chance)
    extent = spill.append(second)
    assert spill.read(kept, first.schema).equals(first)
    assert spill.read(extent, second.schema).equals(second)


def test_clearing_gives_the_disk_back_and_the_next_begins_anew(spill, tmp_path):
    spill.append(batch(random.Random(3)))
    spill.clear()
    assert list(tmp_path.iterdir()) == []
    spill.clear()
    again = batch(random.Random(4))
    extent = spill.append(again)
    assert extent.start == 0
    assert spill.read(extent, again.schema).equals(again)


def test_bytes_that_the_disk_lost_are_an_error_of_the_disk(spill, tmp_path):
    made = batch(random.Random(5))
    extent = spill.append(made)
    os.truncate(tmp_path / "spill", extent.length - 1)
    with pytest.raises(OSError, match="were set aside there and are gone"):
        spill.read(extent, made.schema)
