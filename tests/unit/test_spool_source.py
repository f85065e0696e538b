import gzip
import json
import os
import random

import msgspec
import pytest

from ingest.api import ConfigError, FileFacts, Flag, MultilineOptions, Refused, StreamState
from ingest.connectors.marks.mark import Mark
from ingest.connectors.sources.spool import SpoolOptions, SpoolSource
from ingest.connectors.spool import content as content_module
from ingest.connectors.spool import desk as desk_module
from ingest.connectors.spool.content import Damaged, Gunzip
from ingest.connectors.spool.mark import Comparing, Evidence, decide
from ingest.connectors.spool.settling import Settling
from ingest.testing.clock import ManualClock
from tests.builders.sources import Events, all_values, context, values

MAX_LINE = 1000
SETTLE = 5.0


def options(directory, **more):
    return SpoolOptions(name="web", type="spool", topic="logs", **{"paths": [f"{directory}/in/*"], **more})


class Spool:
    """A spool source, and the checkpoint that its house would keep."""

    def __init__(self, directory, *, once=False, **more):
        self.directory = directory
        self.clock = ManualClock()
        self.events = Events()
        self.once = once
        self.options = options(directory, **more)
        self.entries = {}
        self.begun = 0
        self.source = None
        (directory / "in").mkdir(exist_ok=True)
        self.start()

    def start(self):
        """Begin as a new process does, with what the checkpoint remembers."""
        if self.source is not None:
            self.source.close()
        self.begun += 1
        given = context(
            self.directory,
            clock=self.clock,
            max_line=MAX_LINE,
            once=self.once,
            first_generation=100 * self.begun,
            events=self.events,
        )
        self.source = SpoolSource(self.options, given)
        self.source.resume([msgspec.convert(entry, StreamState) for entry in self.entries.values()])

    def put(self, name, data, at=None):
        """Put a finished file there; `at`: its mtime in seconds."""
        path = self.directory / "in" / name
        path.write_bytes(data)
        if at is not None:
            os.utime(path, (at, at))
        return path

    def poll(self, seconds=SETTLE, *, acknowledge=True, max_bytes=1 << 20):
        """Look, let time pass, read all there is, acknowledge it; return the blocks."""
        self.clock.advance(1.0)
        blocks = self.source.poll(max_bytes)
        self.clock.advance(seconds)
        blocks += self.source.poll(max_bytes)
        while self.source.next_poll() == 0:
            blocks += self.source.poll(max_bytes)
        if acknowledge:
            self.acknowledge(blocks)
        return blocks

    def acknowledge(self, blocks):
        for block in blocks:
            generation = block.stream.generation
            state = json.loads(json.dumps(dict(block.state)))
            before = self.entries.get(generation, {"birth": state, "boundaries": []})
            boundaries = [place for place in before["boundaries"] if place > block.end]
            self.remember(block, block.end, int(block.positions[-1]), boundaries, state, before["birth"])
            self.source.acknowledged(generation, block.end)

    def hand_out(self, blocks):
        """The house made the generations durable, and the process ended before Kafka acknowledged anything."""
        for block in blocks:
            entry = self.entries.get(block.stream.generation)
            if entry is None:
                begin = int(block.positions[0])
                birth = json.loads(json.dumps(dict(block.state)))
                self.remember(block, begin, begin, [], {}, birth)
            if block.boundary:
                self.entries[block.stream.generation]["boundaries"].append(block.end)

    def remember(self, block, position, sent, boundaries, state, birth):
        generation = block.stream.generation
        self.entries[generation] = {
            "generation": generation,
            "path": block.stream.path,
            "position": position,
            "sent": sent,
            "boundaries": boundaries,
            "state": state,
            "birth": birth,
        }

    def forget(self):
        for generation in self.source.forgettable():
            self.entries.pop(generation, None)

    def values(self, seconds=SETTLE):
        return all_values(self.poll(seconds))

    def names(self, directory="in"):
        return sorted(path.name for path in (self.directory / directory).iterdir())

    def said(self, text):
        return [fields for event, fields in self.events if text in event]


@pytest.fixture
def spool(tmp_path):
    made = []

    def make(**more):
        made.append(Spool(tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        each.source.close()


@pytest.fixture
def moving(spool, tmp_path):
    (tmp_path / "done").mkdir()
    return spool(when_done="move", done_dir=str(tmp_path / "done"))


def intervals(blocks):
    return [
        (block.stream.generation, int(block.positions[row]), int(block.positions[row + 1]), value)
        for block in blocks
        for row, value in enumerate(values(block))
    ]


# ── decisions ──

SAME = {"device": True, "path": True, "stamp": True, "grown": False, "head": True, "tail": True, "over": False}


@pytest.mark.parametrize(
    ("seen", "same"),
    [
        ({}, True),
        ({"path": False}, True),
        ({"device": False}, True),
        ({"device": False, "path": False}, True),
        ({"over": True}, True),
        ({"head": False}, False),
        ({"tail": False}, False),
        ({"stamp": False}, False),
        ({"stamp": False, "grown": True}, True),
        ({"stamp": False, "grown": True, "path": False}, False),
        ({"stamp": False, "grown": True, "device": False}, False),
        ({"stamp": False, "grown": True, "over": True}, False),
        ({"stamp": False, "grown": True, "tail": False}, False),
    ],
)
def test_a_file_is_the_known_one_only_if_nothing_speaks_against_it(seen, same):
    assert decide(Evidence(**{**SAME, **seen})).same is same


@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"abc", b"defgh"], [b"a", b"b", b"cde", b"f", b"gh"]])
@pytest.mark.parametrize(
    ("mark", "same"), [(Mark.of(b"cde", 5), True), (Mark.of(b"cdx", 5), False), (Mark.of(b"ghi", 9), False)]
)
def test_marks_are_compared_while_content_passes_by(pieces, mark, same):
    comparing = Comparing(mark)
    for piece in pieces:
        comparing.feed(piece)

    assert comparing.same is same


def test_a_file_settles_once_it_has_not_changed_for_so_long():
    settling = Settling(5.0)

    assert not settling.look((1, 1), (10, 0), 100.0)
    assert not settling.look((1, 1), (20, 0), 104.0)
    assert settling.next_due(105.0) == 4.0
    assert not settling.look((1, 1), (20, 0), 108.0)
    assert settling.look((1, 1), (20, 0), 109.0)
    assert settling.next_due(109.0) == float("inf")


@pytest.mark.parametrize(
    ("wrong", "key", "problem"),
    [
        ({"when_done": "move"}, "done_dir", "needs it"),
        ({"done_dir": "/done"}, "done_dir", "nothing is moved there"),
        ({"paths": ["in/*"]}, "paths", "not an absolute path"),
        ({"paths": []}, "paths", "names no file"),
    ],
)
def test_contradictions_are_refused(tmp_path, wrong, key, problem):
    with pytest.raises(ConfigError, match=problem) as error:
        options(tmp_path, **wrong)

    assert error.value.key == key


# ── reading ──


def test_a_file_is_read_once_it_rests(spool):
    spool = spool()
    spool.put("a.csv", b"1\n")
    assert spool.values(4.0) == []
    spool.put("a.csv", b"1\n2\n")

    assert spool.values(4.0) == []
    assert spool.values(5.0) == [b"1", b"2"]
    assert spool.values() == []


def test_an_unterminated_last_line_is_given_out_at_once(spool):
    spool = spool()
    spool.put("a.csv", b"1\nhalf")

    blocks = spool.poll()

    assert all_values(blocks) == [b"1", b"half"]
    assert blocks[-1].flags == {blocks[-1].rows - 1: Flag(("partial",))}
    assert blocks[-1].boundary


def test_the_last_event_goes_out_with_the_end_of_its_file(spool):
    spool = spool(multiline=MultilineOptions(continues="^ "))
    spool.put("a.log", b"one\n more\ntwo\n more\n")

    assert spool.values() == [b"one\n more", b"two\n more"]


def test_lines_are_filtered_and_decoded_as_everywhere(spool):
    spool = spool(encoding="utf-16", exclude_lines=["^debug"], empty_lines="drop")
    spool.put("a.log", "one é\ndebug\n\ntwo\n".encode("utf-16"))

    assert spool.values() == ["one é".encode(), b"two"]


def test_gzip_is_decompressed_whatever_the_file_is_called(spool):
    spool = spool()
    spool.put("a.csv.gz", gzip.compress(b"1\n2\n") + gzip.compress(b"3\n") + b"\0" * 100)
    spool.put("b.csv", gzip.compress(b"4\nhalf"))

    assert sorted(spool.values()) == [b"1", b"2", b"3", b"4", b"half"]


def test_the_oldest_files_come_first(spool):
    spool = spool()
    for number, name in enumerate("edcba"):
        spool.put(name, name.encode() + b"\n", at=1000 + number)

    assert spool.values() == [b"e", b"d", b"c", b"b", b"a"]


def test_a_large_file_does_not_keep_the_others_waiting(spool):
    spool = spool()
    spool.put("large", b"a line of the large file\n" * 400_000, at=1000)
    spool.put("small", b"small\n", at=2000)

    blocks = []
    spool.source.poll(1)
    spool.clock.advance(SETTLE)
    while b"small" not in all_values(blocks[-1:]):
        blocks += spool.source.poll(1)

    assert 0 < sum(block.rows for block in blocks) < 400_000


def test_a_few_files_are_open_at_once(spool, monkeypatch):
    spool = spool()
    for number in range(20):
        spool.put(f"{number:02}", b"line\n" * 100_000)
    most = 0
    spool.source.poll(1)
    spool.clock.advance(SETTLE)
    rows = 0
    while rows < 2_000_000:
        rows += sum(block.rows for block in spool.source.poll(1))
        most = max(most, len(spool.source._desk.opened))

    assert most == 4


def test_an_empty_file_is_done_at_once(spool):
    spool = spool(when_done="delete")
    spool.put("empty", b"")
    spool.put("empty.gz", gzip.compress(b""))

    assert spool.poll() == []

    assert spool.names() == []
    assert spool.source.status() == []


def test_what_is_no_regular_file_is_not_read_but_told(spool, tmp_path):
    spool = spool()
    spool.put("a", b"1\n")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "a")

    assert spool.values() == [b"1"]
    assert [(row.path, row.decision) for row in spool.source.status() if not row.generation] == [
        (f"{tmp_path}/in/link", "not read: a symbolic link")
    ]


def test_with_once_what_is_still_being_written_is_left_for_the_next_time(spool):
    spool = spool(once=True)
    spool.put("whole", b"1\n")
    spool.put("growing", b"2\n")
    assert spool.source.poll(1 << 20) == []
    assert not spool.source.finished()
    spool.put("growing", b"2\n3\n")
    spool.put("late", b"4\n")

    blocks = spool.poll() + spool.poll()

    assert all_values(blocks) == [b"1"]
    assert spool.source.finished()


# ── when a file is done ──


def test_a_file_is_deleted_once_kafka_has_all_of_it_and_not_before(spool):
    spool = spool(when_done="delete")
    spool.put("a", b"1\n2\n" * 800_000)
    blocks = spool.poll(acknowledge=False)
    assert len(blocks) > 1

    spool.acknowledge(blocks[:-1])
    spool.poll()
    assert spool.names() == ["a"]
    spool.acknowledge(blocks[-1:])

    assert spool.names() == []
    assert set(spool.source.forgettable()) == {blocks[0].stream.generation}
    assert spool.source.status() == []


def test_a_file_is_moved_and_never_over_another(moving, tmp_path):
    (tmp_path / "done" / "a.csv").write_bytes(b"older")
    for number in range(2):
        moving.put("a.csv", b"%d\n" % number)
        assert moving.values() == [b"%d" % number]

    assert moving.names() == []
    found = {path.name: path.read_bytes() for path in (tmp_path / "done").iterdir()}
    assert found == {"a.csv": b"older", "a.csv.1": b"0\n", "a.csv.2": b"1\n"}


def test_a_move_is_durable_in_both_directories(moving, tmp_path, monkeypatch):
    synced = set()
    monkeypatch.setattr(os, "fsync", lambda fd: synced.add(os.readlink(f"/proc/self/fd/{fd}")))
    moving.put("a", b"1\n")

    moving.poll()

    assert synced == {f"{tmp_path}/in", f"{tmp_path}/done"}


def test_a_directory_of_done_files_below_the_globs_is_not_read(spool, tmp_path):
    (tmp_path / "in" / "done").mkdir(parents=True)
    spool = spool(paths=[f"{tmp_path}/in/**"], when_done="move", done_dir=f"{tmp_path}/in/done")
    spool.put("a", b"1\n")

    assert spool.values() == [b"1"]
    spool.forget()
    spool.start()

    assert spool.values() == []
    assert spool.names("in/done") == ["a"]


def test_a_file_that_can_not_be_taken_away_is_said_once_and_tried_again(moving, tmp_path):
    (tmp_path / "done").rmdir()
    moving.put("a", b"1\n")

    moving.poll()
    moving.poll()
    assert [fields["why"] for fields in moving.said("can't be taken away")] == ["No such file or directory"]
    (tmp_path / "done").mkdir()
    assert moving.values() == []

    assert moving.names("done") == ["a"]


def test_all_names_of_a_file_are_taken_away(moving, tmp_path):
    os.link(moving.put("a", b"1\n"), tmp_path / "in" / "b")

    assert moving.values() == [b"1"]
    assert moving.values() == []

    assert moving.names() == []
    assert moving.names("done") == ["a", "b"]


def test_a_directory_that_can_not_be_moved_to_is_refused_at_the_start(spool, tmp_path):
    with pytest.raises(Refused, match=r"no such directory; make it, or correct `done_dir`"):
        spool(when_done="move", done_dir=f"{tmp_path}/nowhere")


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no second file system here")
def test_a_directory_on_another_file_system_is_refused_at_the_start(spool, tmp_path):
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system here")
    with pytest.raises(Refused, match=r"another file system than .*; correct `failed_dir`"):
        spool(failed_dir="/dev/shm")


# ── a crash ──


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("when_done", ["keep", "delete", "move"])
@pytest.mark.parametrize("acknowledged", [0, 1, 2, 3])
def test_a_crash_repeats_what_was_not_acknowledged_with_the_same_positions(
    spool, tmp_path, packed, when_done, acknowledged
):
    (tmp_path / "done").mkdir()
    spool = spool(when_done=when_done, done_dir=f"{tmp_path}/done" if when_done == "move" else None)
    content = b"".join(b"line %d\n" % number for number in range(300_000)) + b"half"
    spool.put("a", gzip.compress(content, 1) if packed else content)
    blocks = spool.poll(acknowledge=False)
    assert len(blocks) > 3
    spool.hand_out(blocks)
    spool.acknowledge(blocks[:acknowledged])

    spool.start()
    again = spool.poll()

    assert intervals(again) == intervals(blocks[acknowledged:])
    assert again[-1].flags == {again[-1].rows - 1: Flag(("partial",))}
    assert spool.names() == (["a"] if when_done == "keep" else [])


def test_a_file_that_was_renamed_while_nobody_looked_is_read_on(spool, tmp_path):
    spool = spool()
    content = b"".join(b"line %d\n" % number for number in range(300_000))
    spool.put("a", content)
    blocks = spool.poll(acknowledge=False)
    spool.acknowledge(blocks[:2])
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "b")
    spool.start()

    assert intervals(spool.poll()) == intervals(blocks[2:])


@pytest.mark.parametrize("when_done", ["delete", "move"])
def test_a_crash_between_acknowledgement_and_taking_away_repeats_nothing(spool, tmp_path, monkeypatch, when_done):
    (tmp_path / "done").mkdir()
    spool = spool(when_done=when_done, done_dir=f"{tmp_path}/done" if when_done == "move" else None)
    spool.put("a", b"1\n2\n")
    blocks = spool.poll(acknowledge=False)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolSource, "acknowledged", lambda self, generation, position: None)
        spool.acknowledge(blocks)
    assert spool.names() == ["a"]

    spool.start()

    assert spool.values() == []
    assert spool.names() == []
    assert set(spool.source.forgettable()) == {blocks[0].stream.generation}


def test_a_kept_file_is_never_read_again(spool, tmp_path):
    spool = spool()
    spool.put("a", b"1\n2\n")
    spool.put("b.gz", gzip.compress(b"3\n"))
    assert len(spool.values()) == 3

    for _ in range(2):
        spool.start()
        assert spool.values() == []
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "c")
    assert spool.values() == []
    spool.start()

    assert spool.values() == []
    assert all(not entry["state"].get("gone") for entry in spool.entries.values())


def test_a_kept_gzip_file_is_not_decompressed_again(spool, monkeypatch):
    spool = spool()
    spool.put("a.gz", gzip.compress(b"a line\n" * 1_000_000))
    assert len(spool.values()) == 1_000_000
    read = []
    raw = content_module.Content._raw
    monkeypatch.setattr(content_module.Content, "_raw", lambda self, size: read.append(raw(self, size)) or read[-1])

    spool.start()

    assert spool.values() == []
    assert len(read) == 1


def test_an_inode_that_is_used_again_after_a_crash_is_another_file(spool):
    spool = spool(when_done="delete")
    spool.put("a", b"header\n", at=1000)
    (block,) = spool.poll()
    spool.put("a", b"header\nrow\n", at=2000)
    entry = spool.entries[block.stream.generation]
    entry["state"]["inode"] = os.stat(spool.directory / "in" / "a").st_ino

    spool.start()
    blocks = spool.poll()

    assert all_values(blocks) == [b"header", b"row"]
    assert {each.stream.generation for each in blocks}.isdisjoint({block.stream.generation})
    assert spool.said("replaced") == []


def test_a_longer_file_with_a_known_inode_and_another_name_is_another_file(spool, tmp_path):
    spool = spool()
    spool.put("a", b"header\n", at=1000)
    (block,) = spool.poll()
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "b")
    spool.put("b", b"header\nrow\n", at=2000)

    spool.start()
    blocks = spool.poll()

    assert all_values(blocks) == [b"header", b"row"]
    assert {each.stream.generation for each in blocks}.isdisjoint({block.stream.generation})


def test_a_file_system_that_was_mounted_again_under_another_number_is_known(spool):
    spool = spool()
    spool.put("a", b"line\n" * 400_000)
    blocks = spool.poll(acknowledge=False)
    spool.acknowledge(blocks[:1])
    spool.entries[blocks[0].stream.generation]["state"]["device"] += 1

    spool.start()

    assert intervals(spool.poll()) == intervals(blocks[1:])
    assert spool.said("gone") == []


# ── files that change ──


def test_a_file_that_grows_while_it_is_read_is_read_on_in_the_same_generation(spool):
    spool = spool()
    path = spool.put("a", b"1\nhal")
    first = spool.poll()
    with path.open("ab") as file:
        file.write(b"f\n3\n")

    second = spool.poll()

    assert all_values(first + second) == [b"1", b"hal", b"f", b"3"]
    assert len({block.stream.generation for block in first + second}) == 1
    assert [block.positions.tolist() for block in second] == [[5, 7, 9]]
    assert len(spool.said("grew after it was taken for finished")) == 1


def test_a_file_that_changes_in_the_middle_of_reading_is_looked_at_again(spool):
    spool = spool()
    lines = [b"line %d" % number for number in range(300_000)]
    path = spool.put("a", b"\n".join(lines) + b"\n")
    spool.source.poll(1)
    spool.clock.advance(SETTLE)
    blocks = spool.source.poll(1)
    assert 0 < sum(block.rows for block in blocks) < 300_000
    with path.open("ab") as file:
        file.write(b"more\n")

    blocks += spool.poll() + spool.poll()

    assert all_values(blocks) == [*lines, b"more"]
    assert len({block.stream.generation for block in blocks}) == 1
    assert len(spool.said("changes while it is read")) == 1


@pytest.mark.parametrize("new", [b"9\n", b"9\n8\n", b"9\n8\n7\n"], ids=["shorter", "equal", "longer"])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "stopped"])
def test_a_file_written_anew_is_a_new_generation(spool, new, restart):
    spool = spool()
    spool.put("a", b"1\n2\n", at=1000)
    (first,) = spool.poll()
    spool.put("a", new, at=2000)
    if restart:
        spool.start()

    blocks = spool.poll()

    assert all_values(blocks) == new.split()
    assert {block.stream.generation for block in blocks}.isdisjoint({first.stream.generation})
    assert first.stream.generation in set(spool.source.forgettable())
    assert len(spool.said("replaced or written anew")) == 1


def test_a_file_that_grows_after_its_last_line_was_sent_is_not_deleted(spool):
    spool = spool(when_done="delete")
    path = spool.put("a", b"1\n")
    blocks = spool.poll(acknowledge=False)
    with path.open("ab") as file:
        file.write(b"2\n")

    spool.acknowledge(blocks)
    assert spool.names() == ["a"]

    assert spool.values() == [b"2"]
    assert spool.names() == []


def test_a_file_that_goes_before_it_was_read_to_its_end_is_said(spool):
    spool = spool()
    path = spool.put("a", b"line\n" * 400_000)
    blocks = spool.poll(acknowledge=False)
    spool.hand_out(blocks)
    spool.acknowledge(blocks[:1])
    path.unlink()
    spool.start()

    spool.poll()

    assert [fields["position"] for fields in spool.said("gone before it was read to its end")] == [blocks[0].end]


def test_a_file_that_is_taken_away_while_it_is_read_is_read_to_its_end(spool):
    spool = spool()
    path = spool.put("a", b"line\n" * 400_000)
    spool.poll(1.0)
    spool.clock.advance(SETTLE)
    blocks = spool.source.poll(1)
    path.unlink()

    blocks += spool.poll()

    assert sum(block.rows for block in blocks) == 400_000
    assert spool.said("gone") == []


def test_a_crash_within_zeros_that_no_program_wrote_repeats_the_same_lines(spool):
    spool = spool()
    spool.put("a", b"1\n" + b"\0" * 3_000_000 + b"2\n")
    blocks = spool.poll(acknowledge=False)
    assert len(blocks) > 2
    spool.acknowledge(blocks[:1])

    spool.start()

    assert intervals(spool.poll()) == intervals(blocks[1:])
    assert all_values(blocks) == [b"1", b"2"]


def test_files_that_go_before_anything_was_read_are_said(spool):
    spool = spool(when_done="delete")
    path = spool.put("a", b"1\n")
    spool.put("b", b"2\n")
    spool.poll(1.0)
    path.unlink()

    assert spool.values() == [b"2"]
    assert spool.values() == []

    assert spool.said("gone before they were read") == [{"files": 1, "path": str(path)}]


def test_a_name_that_is_no_text_is_read_on_and_moved(moving, tmp_path):
    name = os.fsdecode(b"caf\xe9.csv")
    content = b"".join(b"line %d\n" % number for number in range(300_000))
    moving.put(name, content)
    blocks = moving.poll(acknowledge=False)
    moving.acknowledge(blocks[:1])

    moving.start()

    assert intervals(moving.poll()) == intervals(blocks[1:])
    assert moving.names("done") == [name]
    assert blocks[0].stream.path == f"{tmp_path}/in/caf\\xe9.csv"


def test_a_kept_file_that_is_gone_is_forgotten_after_a_while_also_over_restarts(spool):
    spool = spool(forget_after=86400.0)
    path = spool.put("a", b"1\n")
    (block,) = spool.poll()
    path.unlink()
    spool.poll()
    spool.clock.advance(80_000)
    spool.start()
    spool.poll()
    assert list(spool.source.forgettable()) == []

    spool.clock.advance(8_000)

    assert list(spool.source.forgettable()) == [block.stream.generation]


# ── damage ──

WHOLE = gzip.compress(b"".join(b"line %d\n" % number for number in range(100_000)))
DAMAGED = {
    "cut off": WHOLE[: len(WHOLE) // 2],
    "no trailer": WHOLE[:-8],
    "wrong checksum": WHOLE[:-8] + b"\0" * 4 + WHOLE[-4:],
    "second member": gzip.compress(b"whole\n") + WHOLE[:-8],
    "something behind it": WHOLE + b"rubbish",
    "no gzip": b"plain text\n",
    "zeros": b"\0" * 1000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_nothing_of_a_damaged_file_is_sent_and_it_is_put_aside(spool, tmp_path, data):
    (tmp_path / "failed").mkdir()
    spool = spool(when_done="delete", failed_dir=f"{tmp_path}/failed")
    spool.put("a.gz", data)
    spool.put("b", b"neighbour\n")

    assert spool.values() == [b"neighbour"]

    assert spool.names() == []
    assert (tmp_path / "failed" / "a.gz").read_bytes() == data
    [said] = spool.said("damaged")
    assert said["now_at"] == f"{tmp_path}/failed/a.gz"


def test_a_damaged_file_without_a_place_stays_and_is_said_once_until_it_changes(spool):
    spool = spool(when_done="delete")
    spool.put("a.gz", WHOLE[:-8], at=1000)

    assert [spool.values() for _ in range(3)] == [[], [], []]
    assert len(spool.said("damaged")) == 1
    assert [row.decision for row in spool.source.status()] == ["not read: the gzip data ends in the middle"]
    spool.put("a.gz", WHOLE, at=2000)

    assert len(spool.values()) == 100_000
    assert spool.names() == []


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_gzip_expands_with_bounded_pieces(size):
    content = b"0123456789" * 3
    raw = iter([*(bytes([byte]) for byte in gzip.compress(content) * 2), b""])
    gunzip = Gunzip(lambda: next(raw))

    pieces = list(iter(lambda: gunzip.read(size), b""))

    assert b"".join(pieces) == content * 2
    assert max(map(len, pieces)) <= size


def test_gzip_that_ends_before_it_began_is_damaged():
    with pytest.raises(Damaged, match="ends in the middle"):
        Gunzip(lambda: b"").read(1)


def test_a_file_that_may_not_be_read_is_said_once_and_read_later(spool, monkeypatch):
    spool = spool()
    spool.put("a", b"1\n")
    with monkeypatch.context() as patch:

        def refuse(path, key):
            raise PermissionError(13, "Permission denied")

        patch.setattr(desk_module, "Content", refuse)
        spool.poll()
        spool.poll()
        assert [row.decision for row in spool.source.status()] == ["file can't be read: Permission denied"]

    assert spool.values() == [b"1"]
    assert len(spool.said("can't be read")) == 1


# ── backfill ──


def facts(path, head):
    found = os.stat(path)
    return FileFacts(str(path), found.st_dev, found.st_ino, head)


def test_files_that_are_read_were_moved_or_are_remembered_are_claimed(moving, tmp_path):
    content = b"a line that was read\n" * 10
    moving.put("a", content)
    moving.poll()
    done = facts(tmp_path / "done" / "a", content)
    live = facts(moving.put("b", b"x\n"), b"x\n")
    (tmp_path / "copy").write_bytes(content)
    copy = facts(tmp_path / "copy", content)
    (tmp_path / "other").write_bytes(b"other\n")
    other = facts(tmp_path / "other", b"other\n")
    states = [msgspec.convert(entry, StreamState) for entry in moving.entries.values()]

    claimed = SpoolSource.claimed(moving.options, states, [done, live, copy, other])

    assert claimed == {
        done.path: f"was read by it and moved to {tmp_path}/done",
        live.path: "is matched by its paths",
        copy.path: f"begins with what it read from {tmp_path}/in/a",
    }


# ── any history ──


def random_content(chance, number):
    lines = [b"\0" * chance.randrange(40), b"", b"x" * chance.randrange(3 * MAX_LINE), b"\xff\xfe"]
    body = b"".join(chance.choice(lines) + b"\n" for _ in range(chance.randrange(300)))
    return b"file %d\n" % number + body + chance.choice([b"", b"half"])


def deliver(kafka, blocks):
    """A repeat is identical to its first copy."""
    for generation, start, end, value in intervals(blocks):
        assert kafka.setdefault((generation, start), (end, value)) == (end, value)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_each_line_of_each_file_is_there_once(spool, tmp_path, seed):
    chance = random.Random(seed)
    (tmp_path / "done").mkdir()
    when_done = chance.choice(["keep", "delete", "move"])
    spool = spool(when_done=when_done, done_dir=f"{tmp_path}/done" if when_done == "move" else None)
    contents, kafka, waiting = [], {}, []
    for step in range(60):
        what = chance.random()
        if what < 0.3:
            contents.append(random_content(chance, step))
            spool.put(
                f"f{step}", gzip.compress(contents[-1]) if chance.random() < 0.5 else contents[-1], at=1000 + step
            )
        elif what < 0.8:
            blocks = spool.poll(chance.choice([0.5, 5.0]), acknowledge=False, max_bytes=chance.choice([1, 1 << 20]))
            spool.hand_out(blocks)
            waiting += blocks
            deliver(kafka, blocks)
        elif what < 0.92:
            count = chance.randrange(len(waiting) + 1)
            spool.acknowledge(waiting[:count])
            waiting = waiting[count:]
        else:
            spool.start()
            waiting = []
    spool.acknowledge(waiting)
    spool.start()
    deliver(kafka, spool.poll() + spool.poll())

    files = {}
    for (generation, start), (end, value) in sorted(kafka.items()):
        files.setdefault(generation, []).append((start, end, value))
    found = []
    for lines in files.values():
        assert [start for start, _, _ in lines] == [0, *(end for _, end, _ in lines[:-1])]
        found.append(lines[0][2])
    assert sorted(found) == sorted(body.split(b"\n")[0] for body in contents)
    for lines in files.values():
        [body] = [body for body in contents if body.startswith(lines[0][2] + b"\n")]
        assert lines[-1][1] == len(body)
        assert all(
            body[start:end].rstrip(b"\n").lstrip(b"\0")[:10] == value[:10].lstrip(b"\0") for start, end, value in lines
        )
    if when_done != "keep":
        assert spool.names() == []
