import errno
import json
import os

import msgspec
import pytest

from ingest.api import Duration, Flag
from ingest.connectors.sources import file as module
from ingest.connectors.sources.file import FileOptions
from ingest.connectors.tail import handles
from ingest.connectors.tail.paths import Globs
from tests.builders.sources import all_values
from tests.builders.tail import MAX_LINE, tails


@pytest.fixture
def tail(tmp_path):
    yield from tails(tmp_path)


# ── rotation ──


def test_a_renamed_file_is_read_to_its_end_before_the_one_that_took_its_place(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    assert tail.values() == [b"1"]
    tail.write("app.log", b"2\n3\n")
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"4\n")

    assert tail.values() == [b"2", b"3", b"4"]


def test_a_file_renamed_out_of_the_globs_is_read_to_its_end(tail):
    tail = tail("app.log")
    tail.write("app.log", b"1\n")
    assert tail.values() == [b"1"]
    tail.write("app.log", b"2\n")
    tail.rename("app.log", "elsewhere")
    tail.write("elsewhere", b"3\n")

    assert tail.values() == [b"2", b"3"]
    tail.write("elsewhere", b"late\n")
    assert tail.values() == [b"late"]


def test_a_deleted_file_is_read_to_its_end_and_then_let_go(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.write("app.log", b"2\nhalf")
    (tail.directory / "app.log").unlink()

    assert tail.values() == [b"2"]
    assert tail.values(seconds=6) == [b"half"]
    assert len(tail.source.status()) == 1
    tail.poll(seconds=400)
    assert tail.source.status() == []
    assert len(tail.source._handles) == 0


def test_a_rotated_file_is_not_read_again_after_a_restart(tail):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"3\n")

    tail.start()

    assert tail.values() == [b"3"]


def test_a_file_made_anew_under_its_name_is_a_new_generation(tail):
    tail = tail()
    tail.write("app.log", b"the same\n")
    (first,) = tail.poll()
    (tail.directory / "app.log").unlink()
    tail.write("app.log", b"the same\n")

    (second,) = tail.poll()

    assert all_values([second]) == [b"the same"]
    assert second.stream.generation != first.stream.generation


# ── truncation ──


@pytest.mark.parametrize("new", [b"x\n", b"9\n8\n", b"9\n8\n7\n6\n"], ids=["shorter", "equal", "longer"])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "stopped"])
def test_a_truncated_file_is_read_from_its_beginning_however_much_was_written_since(tail, new, restart):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    (first,) = tail.poll()
    tail.write("app.log", new, mode="wb")
    if restart:
        tail.start()

    blocks = tail.poll()

    assert all_values(blocks) == new.split()
    assert {int(block.positions[0]) for block in blocks if block.rows} == {0}
    assert first.stream.generation not in {block.stream.generation for block in blocks if block.rows}


def test_a_truncated_file_with_the_same_long_header_is_told_apart(tail):
    header = b"# a header that is longer than what is marked of a head\n" * 50
    tail = tail()
    tail.write("app.log", header + b"1\n" * 1000)
    tail.poll()
    tail.write("app.log", header + b"2\n" * 3000, mode="wb")
    tail.start()

    assert tail.values()[-3000:] == [b"2"] * 3000


@pytest.mark.parametrize("restart", [False, True], ids=["running", "stopped"])
def test_a_rotated_copy_is_not_read_again_but_what_only_it_holds_is(tail, restart):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    (first,) = tail.poll()
    tail.write("app.log", b"unread\n")
    data = (tail.directory / "app.log").read_bytes()
    tail.write("app.log.1", data)
    tail.write("app.log", b"new\n", mode="wb")
    if restart:
        tail.start()

    blocks = tail.poll() + tail.poll() + tail.poll()

    assert sorted(all_values(blocks)) == [b"new", b"unread"]
    (old,) = [block for block in blocks if all_values([block]) == [b"unread"]]
    assert (old.stream.generation, old.positions.tolist()) == (first.stream.generation, [4, 11])


def test_a_rotated_copy_waits_while_its_original_is_there(tail):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    tail.poll()
    tail.write("app.log.1", b"1\n2\n")

    assert tail.values() == []
    assert tail.values() == []
    assert len(tail.said("waits: a rotated copy")) == 1


def test_a_copy_made_between_two_writes_is_not_read_though_it_is_shorter_than_what_was_read(tail):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    tail.poll()
    tail.write("app.log.1", b"1\n2\n")
    tail.write("app.log", b"3\n")
    tail.poll(seconds=0.5)
    tail.write("app.log", b"", mode="wb")

    assert [tail.values() for _ in range(3)] == [[], [], []]
    tail.start()
    assert tail.values() == []


def test_two_files_that_begin_alike_are_two_files(tail):
    tail = tail()
    same = b"the same banner\n" * 100
    tail.write("a.log", same)
    tail.write("b.log", same)

    assert tail.values() == [b"the same banner"] * 200


# ── unterminated lines ──


def test_an_unterminated_line_is_given_out_after_the_close_timeout_and_never_before(tail):
    tail = tail()
    tail.write("app.log", b"half")
    assert tail.values() == []
    assert tail.values(seconds=290) == []
    tail.write("app.log", b" and")
    assert tail.values() == []
    assert tail.values(seconds=290) == []

    (block,) = tail.poll(seconds=20)

    assert all_values([block]) == [b"half and"]
    assert block.flags == {0: Flag(("partial",))}
    assert block.boundary


def test_what_is_written_after_a_line_was_given_out_is_a_line_of_its_own(tail):
    tail = tail()
    tail.write("app.log", b"half")
    tail.poll()
    tail.poll(seconds=400)
    tail.write("app.log", b" rest\n")

    (block,) = tail.poll()

    assert (all_values([block]), block.positions.tolist()) == ([b" rest"], [4, 10])


@pytest.mark.parametrize("finished", [False, True])
def test_with_once_an_unterminated_line_goes_only_where_the_file_is_finished(tail, finished):
    tail = tail(once=True)
    tail.write("app.log", b"1\nhalf")
    if finished:
        old = tail.clock.now() - 301
        os.utime(tail.directory / "app.log", (old, old))
    else:
        os.utime(tail.directory / "app.log", (tail.clock.now(), tail.clock.now()))

    values = tail.values()

    assert values == ([b"1", b"half"] if finished else [b"1"])
    assert tail.source.finished()


def test_with_once_a_rotated_file_is_finished_and_its_last_line_goes(tail):
    tail = tail(once=True)
    tail.write("app.log.1", b"1\nhalf")
    tail.write("app.log", b"2\nhal")

    assert sorted(tail.values()) == [b"1", b"2", b"half"]


def test_with_once_nothing_is_read_that_came_after_the_start(tail):
    tail = tail(once=True)
    tail.write("app.log", b"1\n" * 10)
    tail.source.poll(1)
    tail.write("app.log", b"later\n")
    tail.write("other.log", b"later\n")

    tail.poll()

    assert tail.source.finished()
    assert [status.position for status in tail.source.status()] == [20]


# ── where to begin ──


def test_start_at_end_skips_what_is_there_and_reads_what_comes(tail):
    tail = tail(start_at="end")
    tail.write("app.log", b"old\nha")
    assert tail.values() == []
    tail.write("app.log", b"lf\n")
    tail.write("later.log", b"new file\n")

    assert sorted(tail.values()) == [b"half", b"new file"]


def test_start_at_end_is_remembered_though_nothing_was_read(tail):
    tail = tail(start_at="end")
    tail.write("app.log", b"old\n")
    tail.poll()
    tail.write("app.log", b"while it was stopped\n")

    tail.start()

    assert tail.values() == [b"while it was stopped"]


def test_start_at_end_does_not_skip_the_successor_of_a_followed_file(tail):
    tail = tail(start_at="end")
    tail.write("app.log", b"old\n")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"new\n")
    tail.write("never-seen.log", b"skipped\n")

    tail.start()

    assert tail.values() == [b"new"]


# ── what is not read ──


def test_links_pipes_and_directories_are_not_followed_and_not_waited_for(tail):
    tail = tail()
    tail.write("secret", b"not a log\n")
    (tail.directory / "link.log").symlink_to(tail.directory / "secret")
    os.mkfifo(tail.directory / "pipe.log")
    (tail.directory / "directory.log").mkdir()

    assert tail.values() == []
    assert len(tail.said("a symbolic link")) == 1
    assert len(tail.said("not a regular file")) == 1


def test_excluded_files_are_not_read(tail, tmp_path):
    tail = tail(exclude=[str(tmp_path / "debug*.log")])
    tail.write("debug-1.log", b"no\n")
    tail.write("app.log", b"yes\n")

    assert tail.values() == [b"yes"]


def test_a_file_with_two_names_is_read_once(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    os.link(tail.directory / "app.log", tail.directory / "other.log")

    assert tail.values() == [b"1"]
    assert tail.values() == []


# ── trouble ──


def test_a_file_that_can_not_be_opened_is_said_once_and_read_once_it_can(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.write("other.log", b"2\n")
    real = os.open

    def refuse(path, flags):
        if str(path).endswith("app.log"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(handles.os, "open", refuse)
    assert tail.values() == [b"2"]
    assert tail.values() == []
    assert len(tail.said("Permission denied")) == 1
    monkeypatch.undo()

    assert tail.values() == [b"1"]


def test_a_directory_that_can_not_be_listed_does_not_mean_that_its_files_are_gone(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.source._handles.close_all()
    real = os.scandir

    def fail(path):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "scandir", fail)
    tail.poll()
    assert len(tail.source._roster.live) == 1
    monkeypatch.setattr(os, "scandir", real)
    tail.write("app.log", b"2\n")

    assert tail.values() == [b"2"]


def test_a_directory_that_vanishes_for_hours_and_returns_is_not_read_again(tail, tmp_path):
    tail = tail("logs/*.log")
    (tmp_path / "logs").mkdir()
    tail.write("logs/app.log", b"1\n")
    tail.poll()
    (tmp_path / "logs").rename(tmp_path / "away")
    for _ in range(5):
        assert tail.values(seconds=3600) == []
    (tmp_path / "away").rename(tmp_path / "logs")
    tail.write("logs/app.log", b"2\n")

    assert tail.values() == [b"2"]


def test_the_wall_clock_may_jump(tail):
    tail = tail()
    tail.write("app.log", b"1\nhalf")
    tail.poll()
    tail.clock.jump(86400.0)
    assert tail.values() == []
    tail.clock.jump(-172800.0)
    tail.write("app.log", b"\n")

    assert tail.values() == [b"half"]


# ── bounds and fairness ──


def test_few_open_files_are_enough_for_many(tail):
    tail = tail(open_files=3)
    for number in range(40):
        tail.write(f"{number:02}.log", b"%d\n" % number)
    assert len(tail.values()) == 40
    assert len(tail.source._handles) <= 3
    for number in range(40):
        tail.write(f"{number:02}.log", b"again\n")

    assert tail.values() == [b"again"] * 40
    assert len(tail.source._handles) <= 3


def test_a_huge_file_does_not_starve_small_ones(tail):
    tail = tail()
    tail.write("a-huge.log", b"x" * 99 + b"\n" + b"y" * 99 + b"\n" * (8 << 20))
    for number in range(20):
        tail.write(f"b{number}.log", b"small\n")
    tail.clock.advance(1.0)

    blocks = [block for _ in range(3) for block in tail.source.poll(1 << 20)]

    assert all_values(blocks).count(b"small") == 20


def test_one_poll_hands_out_about_what_was_asked_for(tail):
    tail = tail()
    tail.write("app.log", (b"x" * 99 + b"\n") * 100_000)
    tail.clock.advance(1.0)

    blocks = tail.source.poll(2 << 20)

    assert 2 << 20 <= sum(block.nbytes for block in blocks) < 4 << 20


def test_a_line_without_end_is_searched_in_bounded_memory(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail()
    tail.write("app.log", b"first\n" + b"x" * 200_000)
    assert tail.values() == [b"first"]
    assert tail.source.status()[0].position == 6
    tail.write("app.log", b"y" * 1000 + b"\nlast\n")

    blocks = tail.poll()

    assert all_values(blocks) == [b"x" * MAX_LINE, b"last"]
    assert blocks[0].flags == {0: Flag(("truncated",), 201_000)}
    assert all(len(block.data) < 10_000 for block in blocks)


def test_idle_files_cost_no_open_and_no_read(tail, monkeypatch):
    tail = tail()
    for number in range(10):
        tail.write(f"{number}.log", b"x\n")
    for _ in range(3):
        tail.poll()
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(handles.os, "open", lambda *_: pytest.fail("opened"))

    assert tail.values() == []
    assert tail.source.next_poll() > 0


# ── forgetting ──


def test_a_file_that_grows_after_a_long_silence_is_read_before_the_next_scan(tail):
    tail = tail(scan_interval=Duration(60.0))
    tail.write("app.log", b"one\n")
    assert tail.values() == [b"one"]
    assert tail.values(100) == []
    tail.write("app.log", b"two\n")
    assert tail.source.next_poll() < 1
    assert tail.values(0.3) == [b"two"]


def test_a_new_file_is_read_before_the_next_scan(tail):
    tail = tail(scan_interval=Duration(60.0))
    tail.poll(1)
    tail.write("app.log", b"one\n")
    assert tail.values(0.2) == [b"one"]


def test_a_file_gone_for_long_is_forgotten_also_over_restarts(tail):
    tail = tail(forget_after=1000.0)
    tail.write("app.log", b"1\n")
    (block,) = tail.poll()
    (tail.directory / "app.log").unlink()
    tail.poll()
    tail.poll(seconds=400)
    assert list(tail.source.forgettable()) == []
    tail.poll(seconds=500)
    tail.start()
    tail.poll()
    assert list(tail.source.forgettable()) == []
    tail.poll(seconds=600)

    assert list(tail.source.forgettable()) == [block.stream.generation]


def test_a_storm_of_rotations_leaves_no_trace_of_empty_files(tail):
    tail = tail("app.log")
    for number in range(50):
        tail.write("app.log", b"")
        tail.poll()
        tail.rename("app.log", f"old-{number}")
    tail.poll(seconds=400)
    tail.poll()

    assert tail.entries == {}
    assert len(tail.source._roster.dormant) == 0


# ── options ──


def test_changed_options_begin_a_new_generation_once_all_the_old_ones_made_is_acknowledged(tail):
    tail = tail()
    tail.write("app.log", b"1\n\n2\n")
    (old,) = tail.poll()
    tail.options.empty_lines = "drop"
    tail.write("app.log", b"\n3\n")
    tail.start()
    blocks = tail.poll(acknowledge=False)
    assert all_values(blocks) == [b"", b"3"]
    tail.write("app.log", b"\n4\n")
    assert tail.poll(acknowledge=False) == []

    for block in blocks:
        tail.acknowledge(block)
    after = [block for block in tail.poll() if block.rows]

    assert all_values(after) == [b"4"]
    assert {block.stream.generation for block in blocks} == {old.stream.generation}
    assert after[0].stream.generation != old.stream.generation
    assert after[0].positions.tolist() == [8, 11]
    tail.start()
    assert tail.values() == []


@pytest.mark.parametrize("paths", [[], ["relative/*.log"]])
def test_paths_must_be_absolute(paths):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "w", "type": "file", "topic": "t", "paths": paths}, FileOptions)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log"]),
        ("**/*.log", ["a.log", "d/b.log", "d/e/c.log"]),
        ("d/**", ["d/b.log", "d/e/c.log", "d/other"]),
        ("*/*.log", ["d/b.log"]),
        ("d/b.log", ["d/b.log"]),
        ("[ab].log", ["a.log"]),
        (".*", [".hidden.log"]),
        ("nothing/*.log", []),
    ],
)
def test_globs_match_as_people_expect(tmp_path, pattern, expected):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    for name in ("a.log", "d/b.log", "d/e/c.log", "d/other", ".hidden.log"):
        (tmp_path / name).touch()

    listing = Globs([str(tmp_path / pattern)]).expand()

    assert [os.path.relpath(path, tmp_path) for path in listing.files] == expected
    assert listing.failed == {}


@pytest.mark.parametrize(
    ("exclude", "left"), [("d/**", ["a.log"]), ("**/*.log", []), ("*.log", ["d/b.log"]), ("**/b.*", ["a.log"])]
)
def test_excluding_globs_match_in_the_same_way(tmp_path, exclude, left):
    (tmp_path / "d").mkdir()
    for name in ("a.log", "d/b.log"):
        (tmp_path / name).touch()

    listing = Globs([str(tmp_path / "**/*.log")], [str(tmp_path / exclude)]).expand()

    assert [os.path.relpath(path, tmp_path) for path in listing.files] == left


def test_a_name_that_is_no_text_is_read_and_shown_with_escapes(tail):
    tail = tail()
    with open(os.fsencode(tail.directory) + b"/\xff.log", "wb") as file:
        file.write(b"1\n")

    (block,) = tail.poll()

    assert block.stream.path.endswith("/\\xff.log")
    json.dumps(dict(block.state)).encode()


def test_bytes_that_were_sent_before_a_crash_must_still_be_there_when_they_are_sent_again(tail):
    tail = tail()
    tail.write("a.log", b"1\n")
    tail.write("b.log", b"2\n")
    for block in tail.poll(acknowledge=False):
        tail.entries[block.stream.generation] = {
            "generation": block.stream.generation,
            "path": block.stream.path,
            "position": 0,
            "sent": 0,
            "boundaries": [],
            "state": {},
            "birth": dict(block.state),
        }
    tail.start()
    tail.clock.advance(1.0)
    (repeated,) = tail.source.poll(1)
    tail.write("b.log", b"9\n", mode="wb")

    blocks = [block for block in tail.poll() if block.rows]

    assert (all_values([repeated]), repeated.stream.generation in tail.entries) == ([b"1"], True)
    assert all_values(blocks) == [b"9"]
    assert blocks[0].stream.generation >= 200
