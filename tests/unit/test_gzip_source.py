"""Rotated files that were compressed: read once, at positions of their content, and only what is proven."""

import gzip
import os
import zlib

import pytest

from ingest.api import Flag
from ingest.connectors.sources import file as module
from ingest.connectors.tail import dormant
from ingest.connectors.tail.gunzip import Gunzip
from tests.builders.tail import MAX_LINE, Tail


@pytest.fixture
def tail(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Tail(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.source.close()


def compress(tail, old, new, data=None):
    """Do what gzip does: write the whole, then take the original away."""
    path = tail.directory / old
    tail.write(new, gzip.compress(path.read_bytes() if data is None else data), mode="wb")
    path.unlink()


def settle(tail, acknowledge=True):
    """Let surveys and scans come to an end."""
    return [block for _ in range(8) for block in tail.poll(acknowledge=acknowledge)]


def lines(blocks):
    """Return generation, start, end, value, flags of each record."""
    return [
        (
            block.stream.generation,
            int(block.positions[row]),
            int(block.positions[row + 1]),
            block.data[block.starts[row] : block.ends[row]],
            block.flags[row].names if row in block.flags else (),
        )
        for block in blocks
        for row in range(block.rows)
    ]


def read(blocks):
    return [value for _, _, _, value, _ in lines(blocks)]


def decisions(tail):
    return {os.path.basename(status.path): status.decision for status in tail.source.status()}


LONG = b"".join(b"line %d of a longer file\n" % number for number in range(2000))


# ── a file that was read whole ──


@pytest.mark.parametrize("content", [b"1\n2\n", LONG], ids=["short", "long"])
@pytest.mark.parametrize("when", ["seen renamed", "between two scans", "stopped", "stopped and renamed", "in place"])
def test_a_gzip_of_a_file_that_was_read_is_not_read_again(tail, content, when):
    tail = tail()
    tail.write("app.log", content)
    (first, *_) = tail.poll()
    assert len(tail.entries) == 1
    if when == "stopped":
        tail.source.close()
    if when != "in place":
        tail.rename("app.log", "app.log.1")
    if when == "seen renamed":
        tail.poll()
    compress(tail, "app.log" if when == "in place" else "app.log.1", "app.log.1.gz")
    if when == "stopped and renamed":
        tail.rename("app.log.1.gz", "app.log.2.gz")
    tail.write("app.log", b"new\n")
    if when.startswith("stopped"):
        tail.start()

    assert read(settle(tail)) == [b"new"]
    tail.poll(seconds=400)
    assert read(settle(tail)) == []
    assert next(iter(tail.entries)) == first.stream.generation
    tail.start()
    assert read(settle(tail)) == []
    tail.rename("app.log.2.gz" if when == "stopped and renamed" else "app.log.1.gz", "app.log.7.gz")
    assert read(settle(tail)) == []


def test_a_gzip_of_a_file_first_seen_under_a_rotated_name_is_known_by_its_content(tail):
    tail = tail()
    tail.write("app.log.1", LONG)
    tail.poll()
    tail.source.close()
    compress(tail, "app.log.1", "app.log.2.gz")
    tail.start()

    assert read(settle(tail)) == []
    assert decisions(tail)["app.log.2.gz"].startswith("resumed")


def test_a_gzip_waits_while_its_original_is_there(tail):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    tail.poll()
    tail.rename("app.log", "app.log.1")
    tail.write("app.log.1.gz", gzip.compress(b"1\n2\n"))

    assert read(settle(tail)) == []
    assert decisions(tail)["app.log.1.gz"].startswith("waits")
    (tail.directory / "app.log.1").unlink()
    tail.poll(seconds=400)

    assert read(settle(tail)) == []
    assert decisions(tail) == {"app.log.1.gz": "resumed: in its rotated copy, head and tail match"}


def test_a_gzip_is_looked_through_again_when_more_was_read_of_its_original_meanwhile(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail()
    tail.write("app.log", LONG)
    tail.write("app.log.1.gz", gzip.compress(LONG))
    got = []
    for _ in range(6):
        tail.clock.advance(1.0)
        got += tail.source.poll(1)
    assert 0 < len(read(got)) < 2000
    assert "a rotated copy" in decisions(tail)["app.log.1.gz"]
    got += tail.source.poll(1)
    assert len(read(got)) < 2000
    tail.source._handles.close_all()  # as when more files are read than may be open
    (tail.directory / "app.log").unlink()

    assert read(got + settle(tail)) == LONG.split(b"\n")[:-1]
    assert decisions(tail) == {"app.log.1.gz": "resumed: in its rotated copy, head and tail match"}


def test_a_gzip_under_a_name_of_its_own_is_known_by_its_content(tail):
    tail = tail()
    tail.write("app.log", LONG)
    tail.poll()
    compress(tail, "app.log", "kept-for-later.log.gz")
    tail.poll(seconds=400)

    assert read(settle(tail)) == []


def test_original_and_gzip_that_are_both_new_are_read_once(tail):
    tail = tail()
    tail.write("app.log.1", b"1\n2\n")
    tail.write("app.log.1.gz", gzip.compress(b"1\n2\n"))

    assert read(settle(tail)) == [b"1", b"2"]
    tail.start()
    assert read(settle(tail)) == []


def test_a_gzip_made_beside_a_file_that_is_then_truncated_gives_what_only_it_holds(tail):
    tail = tail()
    tail.write("app.log", b"1\n2\n")
    (first,) = tail.poll()
    tail.write("app.log", b"unread\n")
    tail.write("app.log.1.gz", gzip.compress(b"1\n2\nunread\n"))
    tail.write("app.log", b"new\n", mode="wb")

    got = lines(settle(tail))

    assert sorted(line[3] for line in got) == [b"new", b"unread"]
    assert (first.stream.generation, 4, 11, b"unread", ()) in got


def test_a_gzip_that_is_unpacked_again_is_not_read_again(tail):
    tail = tail()
    tail.write("app.log.1.gz", gzip.compress(LONG))
    assert len(read(settle(tail))) == 2000
    tail.write("app.log.1", LONG)
    assert read(settle(tail)) == []
    (tail.directory / "app.log.1.gz").unlink()

    assert read(settle(tail)) == []
    tail.write("app.log.1", b"more\n")
    assert read(settle(tail)) == [b"more"]


def test_two_rotated_files_that_begin_alike_are_told_apart(tail):
    header = b"time,status\n" * 200
    tail = tail()
    tail.write("app.log", header + b"one\n")
    tail.poll()
    tail.source.close()
    compress(tail, "app.log", "app.log.2.gz")
    tail.write("app.log.1.gz", gzip.compress(header + b"two\n"))
    tail.start()

    assert read(settle(tail)) == [*header.split(), b"two"]


def test_what_was_looked_through_is_not_looked_through_again_after_a_restart(tail, monkeypatch):
    tail = tail()
    tail.write("app.log", LONG)
    tail.poll()
    compress(tail, "app.log", "app.log.1.gz")
    tail.write("app.log.2.gz", gzip.compress(b"other\n"))
    assert read(settle(tail) + tail.poll(seconds=400) + settle(tail)) == [b"other"]
    tail.start()
    monkeypatch.setattr(Gunzip, "step", lambda *_: pytest.fail("decompressed"))

    assert read(settle(tail)) == []
    assert set(decisions(tail).values()) == {"resumed: not written to since it was looked through"}


def test_a_gzip_that_was_replaced_while_stopped_is_not_taken_for_the_one_that_was_read(tail):
    tail = tail()
    path = tail.directory / "app.log.gz"
    tail.write("app.log.gz", gzip.compress(b"1\n2\n", mtime=0))
    settle(tail)
    before = path.stat()
    tail.source.close()
    tail.write("app.log.gz", gzip.compress(b"8\n9\n", mtime=0), mode="wb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_ino) == (before.st_size, before.st_ino)
    tail.start()

    assert read(settle(tail)) == [b"8", b"9"]


def test_files_that_are_yet_to_be_looked_through_are_not_forgotten_as_gone(tail, monkeypatch):
    monkeypatch.setattr(dormant, "_GONE_KEPT", 3)
    tail = tail()
    for number in range(10):
        tail.write(f"{number}.log", b"%d\n" % number)
    tail.poll()
    tail.source.close()
    for number in range(10):
        compress(tail, f"{number}.log", f"{number}.log.gz")
    tail.start()
    tail.clock.advance(1.0)
    tail.source.poll(1)

    assert list(tail.source.forgettable()) == []
    assert read(settle(tail)) == []
    assert list(tail.source.forgettable()) == []


# ── a file that was read in part ──


@pytest.mark.parametrize("content", [b"1\n2\n3\nhalf", LONG + b"half"], ids=["short", "long"])
def test_a_half_read_file_goes_on_in_its_gzip_and_ends_with_its_last_line(tail, content):
    tail = tail()
    begin = content[: content.index(b"\n") + 1]
    tail.write("app.log", begin)
    (first,) = tail.poll()
    tail.source.close()
    tail.write("app.log", content[len(begin) :])
    compress(tail, "app.log", "app.log.1.gz")
    tail.write("app.log", b"new\n")
    tail.start()

    got = [line for line in lines(settle(tail)) if line[3] != b"new"]

    assert [line[3] for line in got] == content[len(begin) :].split(b"\n")
    assert {line[0] for line in got} == {first.stream.generation}
    assert [line[1] for line in got] == [len(begin), *(line[2] for line in got[:-1])]
    assert (got[-1][2], got[-1][4]) == (len(content), ("partial",))
    tail.poll(seconds=400)
    tail.start()
    assert read(settle(tail)) == []


def test_a_file_that_vanished_before_its_end_was_read_goes_on_in_its_gzip(tail):
    tail = tail()
    tail.write("app.log", b"1\n")
    tail.poll()
    tail.write("app.log", b"2\n")
    tail.source._handles.close_all()  # as when more files are read than may be open
    tail.rename("app.log", "app.log.1")
    compress(tail, "app.log.1", "app.log.1.gz")

    assert [line[1:4] for line in lines(settle(tail))] == [(2, 4, b"2")]


def test_a_line_end_that_a_timer_decided_is_kept_in_the_gzip(tail):
    tail = tail()
    tail.write("app.log", b"1\nhalf")
    first = tail.poll()
    late = tail.poll(seconds=400, acknowledge=False)
    assert [line[1:] for line in lines(late)] == [(2, 6, b"half", ("partial",))]
    tail.entries[first[0].stream.generation]["boundaries"] = [6]
    tail.source.close()
    tail.write("app.log", b" rest\n")
    compress(tail, "app.log", "app.log.1.gz")
    tail.start()

    assert [line[1:4] for line in lines(settle(tail))] == [(2, 6, b"half"), (6, 12, b" rest")]


# ── a file that was never seen as plain text ──


def test_a_gzip_never_seen_before_is_read_from_its_beginning(tail):
    tail = tail()
    tail.write("app.log.3.gz", gzip.compress(b"1\n2\nhalf"))

    got = lines(settle(tail))

    assert [line[1:] for line in got] == [(0, 2, b"1", ()), (2, 4, b"2", ()), (4, 8, b"half", ("partial",))]
    (status,) = tail.source.status()
    assert (status.position, status.size) == (8, 8)


def test_its_members_are_one_content(tail):
    tail = tail()
    tail.write("app.log.3.gz", gzip.compress(b"1\nha") + gzip.compress(b"") + gzip.compress(b"lf\n2\n"))

    assert read(settle(tail)) == [b"1", b"half", b"2"]


def test_start_at_end_skips_what_is_there_and_reads_what_comes(tail):
    tail = tail(start_at="end")
    tail.write("app.log.3.gz", gzip.compress(b"old\nhalf"))
    assert read(settle(tail)) == []
    tail.write("app.log.2.gz", gzip.compress(b"new\n"))

    assert read(settle(tail)) == [b"new"]
    tail.start()
    assert read(settle(tail)) == []


def test_start_at_end_does_not_skip_a_gzip_that_came_of_a_followed_file_while_stopped(tail):
    tail = tail(start_at="end")
    tail.write("app.log", b"old\n")
    tail.write("app.log.5.gz", gzip.compress(b"older\n"))
    settle(tail)
    tail.source.close()
    tail.rename("app.log.5.gz", "app.log.7.gz")
    compress(tail, "app.log", "app.log.2.gz")
    tail.write("app.log.1.gz", gzip.compress(b"while it was stopped\n"))
    tail.write("app.log", b"new\n")
    tail.write("never-seen.log.1.gz", gzip.compress(b"skipped\n"))
    tail.start()

    assert sorted(read(settle(tail))) == [b"new", b"while it was stopped"]


def test_with_once_everything_is_read_that_was_there(tail):
    tail = tail(once=True)
    tail.write("app.log.2.gz", gzip.compress(b"1\nhalf"))
    tail.write("app.log.1.gz", gzip.compress(b"3\n")[:-4])
    tail.write("app.log", b"2\n")
    blocks = []
    while not tail.source.finished():
        blocks += tail.poll()

    assert sorted(read(blocks)) == [b"1", b"2", b"half"]
    assert len(tail.said("ends in the middle")) == 1


# ── what is not whole ──


def test_a_gzip_that_is_still_being_written_is_left_alone_without_a_word(tail):
    tail = tail()
    whole = gzip.compress(LONG)
    for end in range(0, len(whole), len(whole) // 7):
        tail.write("app.log.1.gz", whole[:end], mode="wb")
        assert read(settle(tail)) == []
        assert decisions(tail)["app.log.1.gz"].startswith("waits")
    assert tail.events == []
    tail.write("app.log.1.gz", whole, mode="wb")

    assert read(settle(tail)) == LONG.split(b"\n")[:-1]
    assert tail.events == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[: len(whole) // 2], "ends in the middle"),
        (lambda whole: whole[:-8] + bytes(4) + whole[-4:], "damaged"),
        (lambda whole: whole[:200] + b"\xff" * 50 + whole[250:], "damaged"),
    ],
    ids=["truncated", "bad-crc", "overwritten"],
)
def test_of_a_damaged_gzip_nothing_is_given_out_until_it_is_restored(tail, damage, reason):
    tail = tail()
    whole = gzip.compress(LONG)
    tail.write("app.log.1.gz", damage(whole))
    tail.write("app.log", b"other\n")
    assert read(settle(tail)) == [b"other"]
    assert tail.said("not read") == []

    tail.poll(seconds=300)
    for _ in range(3):
        assert read(settle(tail)) == []
    ((text, fields),) = [event for event in tail.events if "not read" in event[0]]
    assert reason in text
    assert fields["path"].endswith("app.log.1.gz")
    assert reason in decisions(tail)["app.log.1.gz"]

    tail.write("app.log.1.gz", whole, mode="wb")
    assert read(settle(tail)) == LONG.split(b"\n")[:-1]


def test_members_before_the_damage_are_read_and_those_behind_it_once_it_is_restored(tail):
    tail = tail()
    one, two = gzip.compress(b"1\nha"), gzip.compress(b"lf\n2\n")
    tail.write("app.log.1.gz", one + two[:-3])
    assert read(settle(tail)) == []

    first = lines(tail.poll(seconds=300) + settle(tail) + tail.poll(seconds=400) + settle(tail))
    assert [line[3] for line in first] == [b"1"]
    assert len(tail.said("not read beyond 4")) == 1
    tail.write("app.log.1.gz", one + two, mode="wb")

    second = lines(settle(tail))
    assert [line[1:4] for line in second] == [(2, 7, b"half"), (7, 9, b"2")]
    assert {line[0] for line in first + second} == {first[0][0]}


def test_a_gzip_to_which_members_are_added_goes_on(tail):
    tail = tail()
    tail.write("app.log.gz", gzip.compress(b"1\n"))
    first = lines(settle(tail))
    tail.write("app.log.gz", gzip.compress(b"2\n"))

    second = lines(settle(tail))

    assert [line[1:4] for line in first + second] == [(0, 2, b"1"), (2, 4, b"2")]
    assert first[0][0] == second[0][0]


def test_a_gzip_that_is_written_anew_with_other_content_is_a_new_generation(tail):
    tail = tail()
    tail.write("app.log.gz", gzip.compress(b"1\n"))
    first = lines(settle(tail))
    tail.write("app.log.gz", gzip.compress(b"other\nlines\n"), mode="wb")

    second = lines(settle(tail))

    assert [line[1:4] for line in second] == [(0, 6, b"other"), (6, 12, b"lines")]
    assert first[0][0] != second[0][0]


def test_nothing_is_read_of_a_gzip_that_was_written_to_since_the_last_scan(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail()
    tail.write("app.log.gz", gzip.compress(LONG))
    while not [block for block in tail.source.poll(1) if block.rows]:
        tail.clock.advance(1.0)
    tail.write("app.log.gz", gzip.compress(LONG[:24_000] + b"other\n" * 5000), mode="wb")

    assert [block for _ in range(50) for block in tail.source.poll(1) if block.rows] == []


def test_with_once_a_gzip_that_is_being_written_is_left_for_the_next_run(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail(once=True)
    tail.write("app.log.gz", gzip.compress(LONG))
    tail.source.poll(1)
    tail.write("app.log.gz", gzip.compress(b"more\n"))
    blocks = []
    while not tail.source.finished():
        blocks += tail.poll()

    assert read(blocks) == []
    assert len(tail.said("written to while it was looked through")) == 1
    tail.start()
    while not tail.source.finished():
        blocks += tail.poll()
    assert len(read(blocks)) == 2001


def test_a_gzip_that_changes_while_it_is_read_is_decided_on_anew(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail()
    tail.write("app.log.gz", gzip.compress(LONG))
    blocks = []
    while not blocks:
        tail.clock.advance(1.0)
        blocks = [block for block in tail.source.poll(1) if block.rows]
    for block in blocks:
        tail.acknowledge(block)
    tail.write("app.log.gz", gzip.compress(LONG + b"more\n"), mode="wb")

    got = lines(blocks + settle(tail))

    assert [line[3] for line in got] == [*LONG.split(b"\n")[:-1], b"more"]
    assert len({line[0] for line in got}) == 1


def test_text_under_a_gzip_name_is_not_read_and_that_is_said_once(tail):
    tail = tail()
    tail.write("app.log.2.gz", b"plain\n")

    assert [tail.values() for _ in range(4)] == [[]] * 4
    assert len(tail.said("its name says gzip and its content doesn't")) == 1
    assert "gzip" in tail.source.status()[0].decision


def test_a_gzip_that_may_not_be_opened_is_said_once_and_read_once_it_may(tail, monkeypatch):
    tail = tail()
    tail.write("app.log.gz", gzip.compress(b"1\n"))
    real = os.open

    def refuse(path, flags):
        if str(path).endswith(".gz"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    assert read(settle(tail)) == []
    assert len(tail.said("Permission denied")) == 1
    monkeypatch.undo()

    assert read(settle(tail)) == [b"1"]


# ── bounds, crashes ──


def test_repeats_after_a_crash_are_identical(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    tail = tail()
    tail.write("app.log.gz", gzip.compress(LONG + b"x" * 9000 + b"\n" + LONG + b"half"))
    whole = None
    for crashes in (1, 2, 3, 5, 8):
        blocks = []
        while sum(block.rows for block in blocks) < 100 * crashes:
            tail.clock.advance(1.0)
            blocks += tail.source.poll(1)
        for block in blocks[: 1 + len(blocks) // 2]:
            tail.acknowledge(block)
        whole = (whole or []) + lines(blocks)
        tail.start()
    whole += lines(settle(tail))

    assert len(set(whole)) == 4002
    starts = sorted({line[1:3] for line in whole})
    assert [start for start, _ in starts] == [0, *(end for _, end in starts[:-1])]


def test_a_bomb_takes_bounded_memory_and_does_not_starve_others(tail, monkeypatch):
    monkeypatch.setattr(module, "_QUANTUM", 5000)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    tail = tail()
    tail.write("a.log.gz", squeezed.compress(b"x" * 2_000_000) + squeezed.flush())
    tail.write("b.log", b"small\n")
    tail.clock.advance(2.0)

    assert read(tail.source.poll(1)) == [b"small"]
    tail.write("c.log.gz", gzip.compress(b"also small\n"))
    got = []
    for _ in range(6):
        tail.clock.advance(1.0)
        got += tail.source.poll(20_000)
        for file in tail.source._roster.live.values():
            assert file.packed is None or len(file.packed._data) + len(file.packed._front) < 20_000
    assert b"also small" in read(got)

    blocks = settle(tail) + tail.poll(seconds=400)

    assert [line[1:4] for line in lines(blocks)] == [(0, 2_000_000, b"x" * MAX_LINE)]
    assert [block.flags[0] for block in blocks if block.rows] == [Flag(("truncated", "partial"), 2_000_000)]


def test_few_open_files_are_enough(tail):
    tail = tail(open_files=2)
    for number in range(20):
        tail.write(f"{number:02}.log", b"plain %d\n" % number)
        tail.write(f"{number:02}.log.1.gz", gzip.compress(b"packed %d\n" % number))

    assert len(read(settle(tail))) == 40
    assert len(tail.source._handles) <= 2


def test_gzip_files_that_were_read_cost_no_open_and_no_read(tail, monkeypatch):
    tail = tail()
    tail.write("app.log.1.gz", gzip.compress(b"1\n"))
    settle(tail)
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))

    assert tail.values() == []
    assert tail.source.next_poll() > 0
    assert len(tail.source._handles) == 0


def test_changed_options_take_effect_in_a_gzip_too(tail):
    tail = tail()
    tail.write("app.log", b"1\n\n2\n")
    tail.poll()
    tail.source.close()
    tail.options.empty_lines = "drop"
    tail.write("app.log", b"\n3\n")
    compress(tail, "app.log", "app.log.gz")
    tail.start()

    assert read(settle(tail)) == [b"", b"3"]
