import contextlib
import errno
import os

import pytest

from ingest.errors import Refused, StateDamaged, UsageError
from ingest.ship import checkpoint as module
from ingest.ship.checkpoint import Checkpoint, machine_id
from ingest.ship.checkpoint_file import Content, Damaged, decode, encode
from ingest.ship.entry import Entry
from ingest.ship.recovery import CHANGES, COPY, NAME, PREVIOUS, choose


class Log:
    def __init__(self):
        self.said = []

    def info(self, event, **fields):
        self.said.append(("info", event, fields))

    def warning(self, event, **fields):
        self.said.append(("warning", event, fields))

    def error(self, event, **fields):
        self.said.append(("error", event, fields))


def entry(generation, position=10):
    return Entry(
        f"{generation:016x}",
        "web",
        "logs",
        "/l/app.log",
        partition=2,
        begin=0,
        position=position,
        sent=position,
        boundaries=(position + 5,),
        state={"inode": 2**60, "nested": {"list": [1, "zwei", None]}},
        birth={"inode": 1},
        topic_id="abc",
    )


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def checkpoint(tmp_path, log):
    return Checkpoint(tmp_path / "state" / "ship", "machine-a", log)


def save(checkpoint, entries, both=False):
    """Write all of them anew."""
    checkpoint._room = 0
    checkpoint.save(entries, entries, [], both)


def again(checkpoint, machine="machine-a"):
    return Checkpoint(checkpoint.directory, machine, checkpoint._log)


def damage(path, kind):
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "zeros": b"\0" * len(data),
            "half": data[: len(data) // 2],
            "garbage": os.urandom(200),
            "bit": data[:-20] + bytes([data[-20] ^ 4]) + data[-19:],
            "longer": data + b"x",
            "no newline": data[:-1],
            "header alone": data.split(b"\n")[0],
            "other format": data.replace(b"ingest-ship-checkpoint", b"something-else"),
        }[kind]
    )


DAMAGES = ["empty", "zeros", "half", "garbage", "bit", "longer", "no newline", "header alone", "other format"]


def test_what_was_saved_is_loaded(checkpoint, log):
    entries = {1: entry(1), 2**64 - 1: entry(2**64 - 1)}

    save(checkpoint, list(entries.values()))

    assert again(checkpoint).load() == entries
    assert log.said == []


def test_where_there_never_was_one_nothing_is_known(checkpoint, log):
    assert checkpoint.load() == {}
    assert log.said == []


def test_there_are_two_whole_copies_in_files_of_their_own(checkpoint):
    save(checkpoint, [entry(1, 10)])
    save(checkpoint, [entry(1, 20)])

    newer, previous = checkpoint.directory / NAME, checkpoint.directory / PREVIOUS
    assert decode(newer.read_bytes()).entries == [entry(1, 20)]
    assert newer.read_bytes() == previous.read_bytes()
    assert os.stat(newer).st_ino != os.stat(previous).st_ino
    assert {path.name for path in checkpoint.directory.iterdir()} == {NAME, PREVIOUS, CHANGES, COPY}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_put_aside_loudly_and_its_previous_copy_used(checkpoint, log, kind):
    save(checkpoint, [entry(1, 10)])
    save(checkpoint, [entry(1, 20)])
    damage(checkpoint.directory / NAME, kind)

    assert again(checkpoint).load() == {1: entry(1, 20)}

    assert [level for level, _, _ in log.said] == ["error", "error"]
    assert (checkpoint.directory / f"{NAME}.damaged").exists()
    assert not (checkpoint.directory / NAME).exists()


def test_after_a_damage_the_good_copy_outlives_the_next_save(checkpoint):
    save(checkpoint, [entry(1, 10)], both=True)
    damage(checkpoint.directory / NAME, "half")
    fresh = again(checkpoint)
    fresh.load()

    save(fresh, [entry(1, 30)])

    assert again(checkpoint).load() == {1: entry(1, 30)}


@pytest.mark.parametrize("kind", DAMAGES)
def test_two_damaged_files_are_never_taken_for_none(checkpoint, kind):
    save(checkpoint, [entry(1)], both=True)
    damage(checkpoint.directory / NAME, kind)
    damage(checkpoint.directory / PREVIOUS, "half")

    with pytest.raises(StateDamaged, match=r"checkpoint\.json .*checkpoint\.previous\.json"):
        again(checkpoint).load()


@pytest.mark.parametrize("kind", ["empty", "half"])
def test_a_damaged_file_without_a_copy_is_never_taken_for_none(checkpoint, kind):
    save(checkpoint, [entry(1)])
    (checkpoint.directory / PREVIOUS).unlink(missing_ok=True)
    damage(checkpoint.directory / NAME, kind)

    with pytest.raises(StateDamaged):
        again(checkpoint).load()


def test_a_missing_file_with_a_copy_is_a_damage(checkpoint, log):
    save(checkpoint, [entry(1)], both=True)
    (checkpoint.directory / NAME).unlink()

    assert again(checkpoint).load() == {1: entry(1)}
    assert log.said


def test_a_newer_format_is_refused_and_never_ignored(checkpoint):
    save(checkpoint, [entry(1)], both=True)
    path = checkpoint.directory / NAME
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":3'))

    with pytest.raises(StateDamaged, match="newer version"):
        again(checkpoint).load()


def test_unknown_members_are_refused():
    data = encode(Content("m", [entry(1)]))
    body = data.split(b"\n")[1].replace(b'"partition"', b'"partitio_"')
    header = data.split(b"\n")[0]

    with pytest.raises(Damaged):
        decode(header + b"\n" + body + b"\n")


def test_on_another_machine_it_is_refused_with_the_way_out(checkpoint):
    save(checkpoint, [entry(1)])

    with pytest.raises(UsageError, match="--adopt"):
        again(checkpoint, "machine-b").load()


def test_adopting_begins_new_generations_where_the_old_ones_stood(checkpoint, log):
    save(checkpoint, [entry(1, 10), entry(2, 20)])
    ids = iter([101, 102])

    adopted = again(checkpoint, "machine-b").load(lambda: next(ids))

    assert {(one.id, one.begin, one.position, one.sent, one.boundaries) for one in adopted.values()} == {
        (101, 10, 10, 10, ()),
        (102, 20, 20, 20, ()),
    }
    assert [level for level, _, _ in log.said] == ["warning"]


def test_adopting_on_the_same_machine_changes_nothing(checkpoint):
    save(checkpoint, [entry(1)])

    assert again(checkpoint).load(lambda: 101) == {1: entry(1)}


def test_a_machine_without_an_id_is_not_compared(checkpoint, tmp_path):
    save(checkpoint, [entry(1)])

    assert machine_id(tmp_path / "missing") == ""
    assert set(again(checkpoint, "").load()) == {1}


@pytest.mark.parametrize(
    ("call", "nth"),
    [*(("open", nth) for nth in (1, 2, 3)), *(("fsync", nth) for nth in range(1, 8)), ("link", 1), ("link", 2)]
    + [("replace", nth) for nth in range(1, 7)],
)
def test_whatever_fails_while_saving_what_was_durable_still_is(checkpoint, log, monkeypatch, call, nth):
    save(checkpoint, [entry(1, 10)], both=True)
    real = getattr(os, call)
    calls = []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **options)

    monkeypatch.setattr(module.os, call, failing)
    with pytest.raises(OSError, match="No space"):
        save(checkpoint, [entry(1, 20)], both=True)
    monkeypatch.undo()

    assert again(checkpoint).load() in ({1: entry(1, 10)}, {1: entry(1, 20)})
    assert log.said == []
    save(checkpoint, [entry(1, 30)])
    assert again(checkpoint).load() == {1: entry(1, 30)}


def test_a_stale_temporary_file_is_not_read(checkpoint):
    save(checkpoint, [entry(1)])
    (checkpoint.directory / f"{NAME}.tmp").write_bytes(encode(Content("machine-a", [entry(9)])))

    assert again(checkpoint).load() == {1: entry(1)}


def test_a_file_that_may_not_be_read_is_not_a_missing_one(checkpoint):
    checkpoint.directory.mkdir(parents=True)
    (checkpoint.directory / NAME).mkdir()

    with pytest.raises(Refused, match="can't be read"):
        checkpoint.load()


def test_the_choice_names_what_it_found():
    good = encode(Content("m", []))

    assert choose(None, None, good, None).warnings == ()
    assert choose(None, None, good, b"bad").warnings == ()
    assert choose(None, None, b"bad", good).damaged == (NAME,)
    assert choose(None, None, None, good).damaged == ()


def test_no_bytes_cause_a_traceback():
    good = encode(Content("machine", [entry(1)]))
    for place in range(len(good)):
        for byte in (0, 10, 34, 200):
            with contextlib.suppress(Damaged, StateDamaged):
                decode(good[:place] + bytes([byte]) + good[place + 1 :])
