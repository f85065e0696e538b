"""What changed since a whole checkpoint: its cost, and what damage can take away."""

import errno
import os
import random

import pytest

from ingest.errors import StateDamaged
from ingest.ship import checkpoint as module
from ingest.ship.changes import Change, decode_journal, encode_change, encode_head
from ingest.ship.checkpoint import Checkpoint
from ingest.ship.checkpoint_file import Content, encode
from ingest.ship.recovery import CHANGES, COPY, NAME, choose
from tests.unit.test_checkpoint import DAMAGES, Log, damage, entry


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def checkpoint(tmp_path, log):
    return Checkpoint(tmp_path / "ship", "machine-a", log)


class House:
    """Saves as a ledger does: all entries, and what differs from the save before."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self.entries = {}

    def save(self, *changed, forgotten=(), both=False):
        self.entries |= {each.id: each for each in changed}
        for generation in forgotten:
            del self.entries[generation]
        self.checkpoint.save(self.entries.values(), changed, forgotten, both)

    def loaded(self):
        return Checkpoint(self.checkpoint.directory, "machine-a", self.checkpoint._log).load()


@pytest.fixture
def house(checkpoint):
    return House(checkpoint)


def test_a_save_writes_what_changed_and_nothing_else(house, log):
    house.save(*(entry(number) for number in range(2000)))
    whole = (house.checkpoint.directory / NAME).stat()
    for position in range(100, 200):
        house.save(entry(7, position))

    assert (house.checkpoint.directory / NAME).stat().st_mtime_ns == whole.st_mtime_ns
    assert (house.checkpoint.directory / CHANGES).stat().st_size < whole.st_size / 10
    assert house.loaded() == house.entries
    assert log.said == []


def test_what_was_forgotten_stays_forgotten(house):
    house.save(entry(1), entry(2))
    house.save(entry(3), forgotten=[1])
    house.save(entry(1, 90), forgotten=[3])
    assert house.loaded() == {1: entry(1, 90), 2: entry(2)}


def test_a_whole_one_is_written_again_before_the_changes_outgrow_it(house):
    house.save(entry(1))
    sizes = set()
    for position in range(4000):
        house.save(entry(1, position))
        sizes.add((house.checkpoint.directory / CHANGES).stat().st_size)
    assert max(sizes) < 1.1 * (1 << 20)
    assert house.loaded() == house.entries


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", [CHANGES, COPY, NAME])
def test_no_single_damage_takes_away_what_must_not_be_forgotten(house, log, name, kind):
    house.save(entry(1))
    house.save(entry(1, 20))
    house.save(entry(2), both=True)
    house.save(entry(1, 30))
    house.save(entry(3), both=True)
    damage(house.checkpoint.directory / name, kind)

    found = house.loaded()

    assert set(found) == {1, 2, 3}
    assert (found[2], found[3]) == (entry(2), entry(3))
    assert found[1].position in (10, 20, 30)
    if kind in ("empty", "zeros", "garbage"):
        assert log.said


def test_a_save_that_was_cut_short_never_was(house, log):
    house.save(entry(1))
    house.save(entry(1, 20))
    path = house.checkpoint.directory / CHANGES
    before = path.stat().st_size
    house.save(entry(1, 30))
    whole = path.read_bytes()
    for size in range(before, len(whole)):
        path.write_bytes(whole[:size])
        assert house.loaded() == {1: entry(1, 20)}
        path.write_bytes(whole[:size] + bytes(len(whole) - size))
        assert house.loaded() == {1: entry(1, 20)}
    assert log.said == []


def test_a_damage_in_the_midst_is_said_and_kept_and_what_stands_before_it_holds(house, log):
    house.save(entry(1))
    house.save(entry(1, 20))
    house.save(entry(1, 30))
    path = house.checkpoint.directory / CHANGES
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], b"rubbish", *lines[2:]]))

    assert house.loaded() == {1: entry(1, 20)}
    assert "checkpoint.changes is damaged: damaged after save 1" in str(log.said)
    assert (house.checkpoint.directory / f"{CHANGES}.damaged").exists()


@pytest.mark.parametrize("call", ["fsync", "open", "replace", "link"])
@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("whole", [False, True])
def test_whatever_fails_the_next_save_makes_all_durable(house, log, monkeypatch, call, nth, whole):
    house.save(entry(1))
    house.save(entry(2), both=True)
    if whole:
        house.checkpoint._room = 0
    real, calls = getattr(os, call), []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **options)

    monkeypatch.setattr(module.os, call, failing)
    try:
        house.save(entry(1, 20), entry(3), both=True)
        failed = False
    except OSError:
        failed = True
    monkeypatch.undo()

    found = house.loaded()
    assert found in ({1: entry(1), 2: entry(2)}, house.entries)
    assert found == house.entries or failed
    assert log.said == []
    house.save(both=True)
    assert house.loaded() == house.entries
    damage(house.checkpoint.directory / CHANGES, "half")
    assert house.loaded().keys() == house.entries.keys()


def test_changes_of_an_older_checkpoint_are_ignored_and_of_a_newer_one_said():
    old, new = encode(Content("m", [entry(1)], 3)), encode(Content("m", [entry(1, 20)], 4))
    changes = encode_head(3) + encode_change(Change(1, [entry(1, 15)], []))
    assert choose(changes, None, new, old).content.entries == [entry(1, 20)]
    assert choose(changes, None, new, old).warnings == ()
    assert choose(changes, None, old, None).content.entries == [entry(1, 15)]
    late = choose(encode_head(5), None, new, old)
    assert (late.content.entries, late.damaged) == ([entry(1, 20)], (CHANGES,))
    assert "newer checkpoint" in late.warnings[0]


def test_changes_that_are_gone_altogether_are_said():
    assert choose(None, None, encode(Content("m", [entry(1)], 3)), None).warnings
    assert not choose(None, None, encode(Content("m", [entry(1)])), None).warnings


def test_a_checkpoint_of_the_version_before_is_read():
    data = encode(Content("m", [entry(1)])).replace(b'"version":2', b'"version":1')
    found = choose(None, None, data, None)
    assert (found.content.entries, found.warnings) == ([entry(1)], ())


def test_changes_of_a_newer_version_are_refused():
    with pytest.raises(StateDamaged, match=r"checkpoint\.changes: written by a newer version"):
        choose(encode_head(3).replace(b'"version":1', b'"version":2'), None, encode(Content("m", [], 3)), None)


def test_any_bytes_are_read_without_a_traceback():
    chance = random.Random(5)
    good = encode_head(1) + b"".join(encode_change(Change(n, [entry(n)], [])) for n in range(1, 5))
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        journal = decode_journal(bytes(data))
        assert all(change.entries == [entry(change.number)] for change in journal.changes)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_durable_is_there_after_any_crash(tmp_path, seed):
    """Random saves; at each crash the last file that was appended to loses bytes that were not durable yet."""
    chance = random.Random(seed)
    house = House(Checkpoint(tmp_path / "ship", "m", Log()))
    for step in range(150):
        changed = [entry(chance.randrange(8), step) for _ in range(chance.randrange(3))]
        gone = [key for key in house.entries if chance.random() < 0.05 and key not in {each.id for each in changed}]
        before = dict(house.entries)
        size = os.path.getsize(path) if (path := tmp_path / "ship" / CHANGES).exists() else None
        house.save(*changed, forgotten=gone, both=chance.random() < 0.3)
        if chance.random() < 0.2:
            expected = house.entries
            grown = path.stat().st_size
            if size is not None and grown > size and chance.random() < 0.5:
                os.truncate(path, size + chance.randrange(grown - size))
                expected = before
            checkpoint = Checkpoint(tmp_path / "ship", "m", Log())
            found = checkpoint.load()
            if expected is before and found != before:  # it was in the copy as well
                expected = house.entries
            assert found == expected
            assert checkpoint._log.said == []
            house = House(checkpoint)
            house.entries = dict(found)
