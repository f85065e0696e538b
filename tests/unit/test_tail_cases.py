"""What can happen to a file and to who reads it, case by case; docs/tailing.md names the test of each."""

import errno
import os
from itertools import pairwise

import msgspec
import pytest

from ingest.api import Flag
from ingest.connectors.sources.file import FileOptions
from ingest.connectors.tail import handles
from tests.builders.sources import all_values
from tests.builders.tail import tails


@pytest.fixture
def tail(tmp_path):
    yield from tails(tmp_path)


def generations(blocks):
    return {block.stream.generation for block in blocks if block.rows}


def positions(blocks):
    return [(int(start), int(end)) for block in blocks for start, end in pairwise(block.positions)]


# ── rotation ──


def test_two_rotations_between_two_looks_lose_nothing_where_the_rotated_names_match(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.write("app.log", b"2\n")
    tail.rename("app.log", "app.log.2")
    tail.write("app.log", b"3\n")
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"4\n")

    assert sorted(tail.values()) == [b"2", b"3", b"4"]
    assert tail.values() == []


def test_a_writer_that_goes_on_in_the_renamed_file_is_read_beside_its_successor(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"new\n")
    tail.poll()
    tail.write("app.log.1", b"2\n3\n")
    tail.write("app.log", b"newer\n")

    assert tail.values() == [b"2", b"3", b"newer"]


def test_a_file_replaced_by_a_rename_over_it_is_a_new_generation_and_nothing_of_either_is_lost(tail):
    tail = tail("app.log")
    tail.write("app.log", b"1\n")
    first = tail.poll()
    tail.write("app.log", b"2\n")
    tail.write("fresh", b"1\n3\n")
    tail.rename("fresh", "app.log")

    second = tail.poll()

    assert sorted(all_values(second)) == [b"1", b"2", b"3"]
    assert len(generations(second) - generations(first)) == 1


def test_a_hundred_thousand_rotations_leave_no_open_file_and_few_traces(tail):
    tail = tail("app.log", close_after=1.0)
    tail.write("app.log", b"first\n")
    tail.poll()
    for number in range(100_000 // 50):
        # Fifty renames between two looks are one to who looks.
        tail.write("app.log", b"%d\n" % number)
        tail.rename("app.log", "old")
        tail.write("app.log", b"")
        blocks = tail.poll(seconds=2.0)
        for generation in list(tail.source.forgettable()):
            tail.entries.pop(generation, None)
        assert all_values(blocks) in ([], [b"%d" % number])

    assert len(tail.source._handles) <= 3
    assert len(tail.source._roster._generations) <= 1100
    assert len(tail.entries) <= 1100


# ── while nobody looked ──


@pytest.mark.parametrize("once", [False, True])
def test_a_file_renamed_out_of_the_globs_while_stopped_is_read_to_its_end(tail, once):
    tail = tail("app.log")
    tail.write("app.log", b"1\n")
    first = tail.poll()
    tail.write("app.log", b"2\n3\n")
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"4\n")

    tail.start(once=once)
    blocks = tail.poll()

    assert all_values(blocks) == [b"2", b"3", b"4"]
    assert generations(blocks) > generations(first)
    tail.start()
    assert tail.values() == []
    assert tail.said("while nobody looked") == []


def test_a_writer_that_goes_on_in_a_file_found_again_is_read(tail):
    tail = tail("app.log")
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.start()
    assert tail.values() == []
    tail.write("app.log.1", b"2\n")

    assert tail.values() == [b"2"]


@pytest.mark.parametrize("deed", ["deleted", "away", "replaced"])
def test_a_file_that_is_gone_after_a_stop_is_said_once(tail, tmp_path, deed):
    tail = tail("app.log")
    tail.write("app.log", b"one two three\n" * 5)
    tail.poll()
    match deed:
        case "deleted":
            (tmp_path / "app.log").unlink()
        case "away":
            (tmp_path / "elsewhere").mkdir()
            tail.rename("app.log", "elsewhere/app.log")
        case "replaced":
            tail.rename("app.log", "a-file-of-its-own")
            tail.write("a-file-of-its-own", b"nobody asked for this line\n" * 9, mode="wb")

    for _ in range(2):
        tail.start()
        assert tail.values() == []
        assert tail.values() == []

    (said,) = tail.said("while nobody looked")
    assert (said["path"], said["position"]) == (str(tmp_path / "app.log"), 70)


# ── identity ──


def test_another_file_on_a_known_inode_is_read_from_its_beginning(tail):
    tail = tail()
    tail.write("app.log", b"one two three\n" * 10)
    (old,) = tail.poll()
    (tail.directory / "app.log").unlink()
    tail.write("app.log", b"four five six and more\n" * 10)
    found = os.stat(tail.directory / "app.log")
    state = tail.entries[old.stream.generation]["state"]
    state["device"], state["inode"] = found.st_dev, found.st_ino

    tail.start()
    blocks = tail.poll()

    assert all_values(blocks) == [b"four five six and more"] * 10
    assert positions(blocks)[0][0] == 0
    assert generations(blocks).isdisjoint({old.stream.generation})


def test_the_same_file_on_another_device_is_not_read_again(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    (old,) = tail.poll()
    tail.entries[old.stream.generation]["state"]["device"] += 1
    tail.write("app.log", b"2\n")

    tail.start()
    blocks = tail.poll()

    assert all_values(blocks) == [b"2"]
    assert generations(blocks) == {old.stream.generation}


def test_a_file_restored_under_another_inode_is_not_read_again(tail):
    tail = tail()
    content = b"".join(b"line number %d\n" % number for number in range(200))
    tail.write("app.log", content)
    (old,) = tail.poll()
    (tail.directory / "app.log").rename(tail.directory / "original")
    tail.write("app.log", content + b"more\n")

    tail.start()
    blocks = tail.poll()

    assert all_values(blocks) == [b"more"]
    assert generations(blocks) == {old.stream.generation}


def test_many_files_without_news_have_their_turn_in_one_poll(tail):
    tail = tail()
    for number in range(200):
        tail.write(f"{number}.log", b"1\n")
    assert len(tail.values()) == 200
    tail.clock.advance(1.0)  # each is looked into once more: a second write within one tick leaves the same mtime

    assert tail.source.poll(1 << 20) == []
    assert tail.source.next_poll() > 0


def test_globs_that_overlap_read_a_file_once(tail, tmp_path):
    tail = tail()
    tail.options.paths.append(str(tmp_path / "app*"))
    tail.start()
    tail.write("app.log", b"1\n")

    assert tail.values() == [b"1"]


def test_a_link_to_its_own_directory_ends_no_scan_and_repeats_no_file(tail, tmp_path):
    tail = tail("**/*.log")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.log").symlink_to(tmp_path / "dangling.log")
    tail.write("app.log", b"1\n")

    assert tail.values() == [b"1"]
    assert tail.values() == []


def test_lines_that_are_all_the_same_are_all_kept(tail):
    tail = tail()
    tail.write("app.log", b"the same\n" * 3)
    tail.write("other.log", b"the same\n" * 2)
    first = tail.poll()
    tail.write("app.log", b"the same\n" * 3)

    blocks = [*first, *tail.poll()]

    assert all_values(blocks) == [b"the same"] * 8
    assert len(generations(blocks)) == 2


def test_a_short_file_is_read_at_the_first_look(tail):
    tail = tail()
    tail.write("app.log", b"\n")

    assert tail.values(seconds=0.0) == [b""]


# ── unterminated lines ──


def test_half_a_line_before_a_restart_is_one_line_with_its_rest(tail):
    tail = tail()
    tail.write("app.log", b"1\nhalf and")
    first = tail.poll()
    tail.start()
    assert tail.values() == []
    tail.write("app.log", b" half\n2\n")

    blocks = [*first, *tail.poll()]

    assert all_values(blocks) == [b"1", b"half and half", b"2"]
    assert positions(blocks) == [(0, 2), (2, 16), (16, 18)]


def test_half_a_line_at_a_rotation_is_one_line_with_its_rest(tail):
    tail = tail()
    tail.write("app.log", b"1\nhalf and")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"new\n")
    assert tail.values() == [b"new"]
    tail.write("app.log.1", b" half\n")

    assert tail.values() == [b"half and half"]


def test_what_is_written_while_a_last_line_is_about_to_be_given_out_belongs_to_it(tail):
    tail = tail()
    tail.write("app.log", b"half")
    tail.poll()
    tail.clock.advance(400.0)
    tail.source._roster.live[next(iter(tail.source._roster.live))].closing = True
    tail.write("app.log", b" and half\n")

    blocks = tail.poll(seconds=0.0)

    assert all_values(blocks) == [b"half and half"]
    assert blocks[0].flags == {}


def test_a_line_given_out_at_a_rotation_is_not_given_out_again_after_a_restart(tail):
    tail = tail()
    tail.write("app.log", b"half")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"")
    tail.poll()
    (block,) = tail.poll(seconds=6.0)
    assert (all_values([block]), block.flags) == ([b"half"], {0: Flag(("partial",))})

    tail.start()

    assert [tail.values(seconds=6.0) for _ in range(3)] == [[], [], []]


# ── trouble around ──


def test_a_file_without_permission_is_read_from_its_beginning_once_it_has_it(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", b"1\n")
    real = os.open
    monkeypatch.setattr(handles.os, "open", refusing(real, "app.log", errno.EACCES))
    assert tail.values() == []
    tail.write("app.log", b"2\n")
    assert tail.values() == []
    monkeypatch.undo()

    assert tail.values() == [b"1", b"2"]


def test_a_followed_file_that_may_not_be_opened_for_a_while_goes_on_where_it_stood(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", b"1\n")
    first = tail.poll()
    tail.source._handles.close_all()
    monkeypatch.setattr(handles.os, "open", refusing(os.open, "app.log", errno.EACCES))
    tail.write("app.log", b"2\n")
    assert [tail.values() for _ in range(3)] == [[], [], []]
    assert len(tail.said("file can't be read")) == 1
    monkeypatch.undo()
    tail.write("app.log", b"3\n")

    blocks = tail.poll()

    assert all_values(blocks) == [b"2", b"3"]
    assert generations(blocks) == generations(first)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE])
def test_without_descriptors_nothing_is_forgotten_and_reading_goes_on_later(tail, monkeypatch, number):
    tail = tail()
    for name in ("a.log", "b.log"):
        tail.write(name, b"1\n")
    first = tail.poll()
    tail.source._handles.close_all()
    real_scan = os.scandir
    monkeypatch.setattr(handles.os, "open", refusing(os.open, ".log", number))
    tail.write("a.log", b"2\n")
    tail.write("c.log", b"new\n")
    assert tail.values() == []
    monkeypatch.setattr(os, "scandir", failing(number))
    assert tail.values(seconds=3600.0) == []
    assert list(tail.source.forgettable()) == []
    monkeypatch.undo()
    assert os.scandir is real_scan

    blocks = tail.poll()

    assert sorted(all_values(blocks)) == [b"2", b"new"]
    assert len(generations(blocks) & generations(first)) == 1


def test_a_restart_without_permission_on_the_directory_forgets_nothing(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", b"1\n")
    first = tail.poll()
    tail.start()
    monkeypatch.setattr(os, "scandir", failing(errno.EACCES))
    assert tail.values() == []
    assert tail.values(seconds=86400.0) == []
    monkeypatch.undo()
    tail.write("app.log", b"2\n")

    blocks = tail.poll()

    assert all_values(blocks) == [b"2"]
    assert generations(blocks) == generations(first)


def test_a_directory_made_anew_with_other_files_is_read(tail, tmp_path):
    tail = tail("logs/*.log")
    (tmp_path / "logs").mkdir()
    tail.write("logs/app.log", b"1\n")
    tail.poll()
    (tmp_path / "logs/app.log").unlink()
    (tmp_path / "logs").rmdir()
    tail.poll()
    (tmp_path / "logs").mkdir()
    tail.write("logs/app.log", b"other\n")

    assert tail.values() == [b"other"]


def test_an_older_checkpoint_sends_again_the_same_lines_with_the_same_positions(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    older = msgspec.json.decode(msgspec.json.encode(list(tail.entries.values())))
    tail.write("app.log", b"2\n3\n")
    sent = tail.poll()
    tail.entries = {entry["generation"]: entry for entry in older}

    tail.start()
    again = tail.poll()

    assert all_values(again) == all_values(sent) == [b"2", b"3"]
    assert (positions(again), generations(again)) == (positions(sent), generations(sent))


def test_a_checkpoint_beyond_the_end_of_the_file_reads_it_from_its_beginning(tail):
    tail = tail()
    tail.write("app.log", b"a longer line than what comes after\n")
    first = tail.poll()
    os.truncate(tail.directory / "app.log", 0)
    tail.write("app.log", b"short\n")

    tail.start()
    blocks = tail.poll()

    assert (all_values(blocks), positions(blocks)) == ([b"short"], [(0, 6)])
    assert generations(blocks).isdisjoint(generations(first))
    assert "shorter than what was read" in tail.source.status()[0].decision


@pytest.mark.parametrize("hours", [1, -1])
def test_a_jump_of_the_clock_neither_stalls_nor_gives_out_half_a_line_nor_forgets(tail, hours):
    tail = tail(forget_after=1800.0)
    tail.write("app.log", b"1\nhalf")
    first = tail.poll()
    tail.clock.jump(3600.0 * hours)
    assert tail.values() == []
    tail.write("app.log", b"\n2\n")
    blocks = tail.poll()
    tail.start()

    assert all_values(blocks) == [b"half", b"2"]
    assert generations(blocks) == generations(first)
    assert tail.values() == []
    assert list(tail.source.forgettable()) == []


@pytest.mark.parametrize(("soft", "expected"), [(64, 32), (20, 10), (1, 1), (1024, 512), (544, 512), (100, 68)])
def test_no_more_files_are_open_than_the_process_may_have(monkeypatch, soft, expected):
    monkeypatch.setattr(handles.resource, "getrlimit", lambda _: (soft, soft))

    assert handles.bounded(FileOptions(name="w", type="file", topic="t", paths=["/l/*.log"]).open_files) == expected


# ── what helps ──


def refusing(real, ending, number):
    """Return an os.open that refuses the paths with that ending."""

    def call(path, flags):
        if str(path).endswith(ending):
            raise OSError(number, os.strerror(number))
        return real(path, flags)

    return call


def failing(number):
    """Return what always fails."""

    def call(*_):
        raise OSError(number, os.strerror(number))

    return call
