import os
from pathlib import Path

import pytest

from ingest.connectors.tail import watch as module
from ingest.connectors.tail.strays import Notice, Origin, follow
from ingest.connectors.tail.watch import Watch
from tests.builders.sources import all_values
from tests.builders.tail import tails


def made(path):
    return Notice("made", path)


def deleted(path):
    return Notice("deleted", path)


def renamed(old, new, cookie=1):
    return [Notice("left", old, cookie), Notice("came", new, cookie)]


@pytest.mark.parametrize(
    ("known", "notices", "files", "seen", "gone"),
    [
        ({}, [made("a.log")], {"a.log": "a.log"}, [], []),
        ({}, [made("other")], {}, [], []),
        ({}, [made("a.log"), *renamed("a.log", "old")], {"old": "a.log"}, [], []),
        ({}, [made("a.log"), *renamed("a.log", "old"), *renamed("old", "older", 2)], {"older": "a.log"}, [], []),
        ({"old": "a.log"}, renamed("old", "older"), {"older": "a.log"}, [], []),
        ({}, [made("a.log"), deleted("a.log")], {}, [], ["a.log"]),
        ({}, [made("a.log"), Notice("left", "a.log", 5)], {}, [], ["a.log"]),
        ({"old": "a.log"}, [deleted("old")], {}, [], ["a.log"]),
        ({}, [made("tmp"), *renamed("tmp", "a.log")], {"a.log": "a.log"}, [], []),
        ({}, [Notice("came", "a.log", 9)], {"a.log": "a.log"}, [], []),
        ({}, renamed("seen.log", "old"), {"old": "seen.log"}, ["old"], []),
        ({}, [*renamed("seen.log", "old"), deleted("old")], {}, [], []),
        (
            {},
            [*renamed("seen.log", "old"), made("seen.log")],
            {"old": "seen.log", "seen.log": "seen.log"},
            ["old"],
            [],
        ),
        (
            {},
            [made("a.log"), *renamed("a.log", "old"), made("a.log"), *renamed("a.log", "old", 2)],
            {"old": "a.log"},
            [],
            ["a.log"],
        ),
        ({}, [deleted("seen.log"), deleted("never"), Notice("left", "never", 3)], {}, [], []),
    ],
)
def test_files_are_followed_through_what_happens_to_their_names(known, notices, files, seen, gone):
    known = {path: Origin(origin, seen=False) for path, origin in known.items()}

    found = follow(known, notices, lambda path: path.endswith(".log"), lambda path: path == "seen.log")

    assert {path: origin.path for path, origin in found.files.items()} == files
    assert [path for path, origin in found.files.items() if origin.seen] == seen
    assert found.gone == gone


@pytest.fixture
def tail(tmp_path):
    yield from tails(tmp_path)


def begun(tail, pattern):
    tail = tail(pattern)
    tail.write("app.log", b"1\n")
    assert tail.values() == [b"1"]
    return tail


GONE = "came and went"


def test_a_file_renamed_out_of_the_globs_before_any_look_is_read_to_its_end(tail):
    tail = begun(tail, "app.log")
    tail.rename("app.log", "old-1")
    for number in range(2, 5):
        tail.write("app.log", b"%d\n" % number)
        tail.rename("app.log", f"old-{number}")
    tail.write("app.log", b"5\n")

    blocks = tail.poll()

    assert all_values(blocks) == [b"2", b"3", b"4", b"5"]
    assert {os.path.basename(block.stream.path) for block in blocks} == {"app.log"}
    tail.write("old-3", b"late\n")
    assert tail.values() == [b"late"]
    assert [tail.values(seconds=400.0) for _ in range(3)] == [[], [], []]
    assert tail.said(GONE) == []


def test_a_file_renamed_again_between_looks_is_found_and_read_once(tail):
    tail = begun(tail, "app.log")
    tail.write("fresh", b"2\n")
    tail.rename("fresh", "app.log")
    tail.rename("app.log", "old")
    tail.rename("old", "older")

    assert tail.values() == [b"2"]
    tail.rename("older", "oldest")
    assert tail.values() == []
    assert tail.said(GONE) == []


def test_a_file_that_was_not_open_when_it_was_renamed_out_of_the_globs_is_read_to_its_end(tail):
    tail = tail("*.log", open_files=1)
    for number in range(3):
        tail.write(f"{number}.log", b"1\n")
        tail.write(f"empty-{number}.log", b"")
    assert len(tail.values()) == 3
    for name in ("0", "1", "2", "empty-0", "empty-1", "empty-2"):
        tail.write(f"{name}.log", f"{name}\n".encode())
        tail.rename(f"{name}.log", f"{name}.old")

    assert sorted(tail.values()) == [b"0", b"1", b"2", b"empty-0", b"empty-1", b"empty-2"]
    assert tail.values() == []


def test_a_file_on_a_used_inode_is_found_though_it_was_renamed_before_it_was_looked_into(tail, tmp_path):
    tail = begun(tail, "*.log")
    tail.source._handles.close_all()
    tail.write("new.log", b"another file, longer\n")
    tail.rename("new.log", "old")
    # The kernel gave it the inode of the first one, which is deleted.
    (first,) = tail.source._roster.live.values()
    found = os.stat(tmp_path / "old")
    (tmp_path / "app.log").unlink()
    del tail.source._roster.live[first.key]
    first.key = (found.st_dev, found.st_ino)
    tail.source._roster.live[first.key] = first

    blocks = [*tail.poll(), *tail.poll()]

    assert all_values(blocks) == [b"another file, longer"]
    assert int(blocks[-1].positions[0]) == 0


@pytest.mark.parametrize("deed", ["delete", "move", "replace"])
def test_a_file_that_came_and_went_is_said(tail, tmp_path, deed):
    tail = begun(tail, "*.log")
    (tmp_path / "away").mkdir()
    tail.write("short.log", b"lost\n")
    match deed:
        case "delete":
            (tmp_path / "short.log").unlink()
        case "move":
            tail.rename("short.log", "away/short")
        case "replace":
            tail.rename("app.log", "short.log")

    assert tail.values() == []
    (said,) = tail.said(GONE)
    assert (said["files"], said["path"]) == (1, str(tmp_path / "short.log"))
    tail.poll()
    assert len(tail.said(GONE)) == 1


def test_what_was_followed_before_it_went_is_not_said(tail, tmp_path):
    tail = begun(tail, "*.log*")
    tail.rename("app.log", "app.log.1")
    tail.write("app.log", b"2\n")
    assert tail.values() == [b"2"]
    tail.rename("app.log.1", "app.log.2")
    (tmp_path / "app.log.2").unlink()
    tail.write("short.log.gz", b"")
    (tmp_path / "short.log.gz").unlink()
    tail.write("hidden", b"")
    (tmp_path / "hidden").unlink()

    assert tail.values() == []
    assert tail.said(GONE) == []


def test_a_copy_that_leaves_the_globs_is_not_read_again(tail):
    tail = begun(tail, "app.log*")
    tail.write("app.log.1", b"1\n")
    tail.rename("app.log.1", "old")
    tail.write("app.log", b"2\n")

    assert tail.values() == [b"2"]
    assert tail.values() == []


def test_a_directory_made_anew_is_watched_anew(tail, tmp_path):
    (tmp_path / "logs").mkdir()
    tail = tail("logs/*.log")
    tail.write("logs/app.log", b"1\n")
    assert tail.values() == [b"1"]
    (tmp_path / "logs").rename(tmp_path / "away")
    (tmp_path / "logs").mkdir()
    tail.poll()
    tail.write("logs/short.log", b"2\n")
    tail.rename("logs/short.log", "logs/old")

    assert tail.values() == [b"2"]


def test_what_the_kernel_could_not_keep_is_said_once(tail, tmp_path):
    tail = begun(tail, "*.log")
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(2):
        for _ in range(limit // 2 + 1):
            (tmp_path / "busy").touch()
            (tmp_path / "busy").unlink()
        tail.write("app.log", b"2\n")
        assert tail.values() == [b"2"]

    assert len(tail.said(GONE)) == 1


def test_without_inotify_scans_find_what_stays(tail, monkeypatch):
    monkeypatch.setattr(module.ctypes, "CDLL", lambda *_, **__: object())
    tail = begun(tail, "*.log")
    tail.write("new.log", b"2\n")

    assert tail.values() == [b"2"]


def test_a_directory_that_can_not_be_watched_is_left_out(tmp_path):
    watch = Watch()
    watch.set([str(tmp_path / "missing"), str(tmp_path)])
    (tmp_path / "file").touch()

    assert watch.notices() == [made(str(tmp_path / "file"))]
    watch.set([])
    (tmp_path / "other").touch()
    assert watch.notices() == []
    watch.close()
    watch.close()
