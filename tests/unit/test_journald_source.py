import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ingest.api import ConfigError, MultilineOptions, Refused, StreamState
from ingest.connectors.journal import entries as entries_module
from ingest.connectors.journal.cursor import Place, judge, missing
from ingest.connectors.journal.entries import Cutter, entry_of
from ingest.connectors.sources.journald import JournaldOptions, JournaldSource
from ingest.testing.clock import ManualClock
from tests.builders import journalctl
from tests.builders.sources import Events, all_values, context
from tests.builders.waiting import until

REMOTE = "/lib/systemd/systemd-journal-remote"
BOOT = "0123456789abcdef0123456789abcdef"
NOW = int(ManualClock().now())


def cursor(number):
    return f"s=abc;i={number:x};b=def;m=1;t=1;x=1"


class Journal:
    """A journal in a file, a source that reads it by the stand-in, and the checkpoint that its house would keep."""

    def __init__(self, place, *, once=False, program=None, **more):
        self.place = place
        self.clock = ManualClock()
        self.events = Events()
        self.once = once
        self.program = program or self.stand_in()
        self.more = more
        self.entries = {}
        self.begun = 0
        self.source = None
        (place / "journal").touch()

    def stand_in(self):
        path = self.place / "journalctl"
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {journalctl.__file__} {self.place} "$@"\n')
        path.chmod(0o755)
        return str(path)

    def start(self, **more):
        """Begin as a new process does, with what the checkpoint remembers."""
        self.close()
        self.begun += 1
        options = JournaldOptions(name="journal", type="journald", topic="logs", **{**self.more, **more})
        given = context(
            self.place,
            clock=self.clock,
            once=self.once,
            first_generation=100 * self.begun,
            events=self.events,
        )
        self.source = JournaldSource(options, given)
        self.source.program = self.program
        self.source.resume([msgspec.convert(entry, StreamState) for entry in self.entries.values()])
        return self

    def close(self):
        if self.source is not None:
            self.source.close()

    def log(self, *numbers, **members):
        with (self.place / "journal").open("a") as file:
            for number in numbers:
                time = {"__CURSOR": cursor(number), "__REALTIME_TIMESTAMP": str((NOW + number) * 1_000_000)}
                file.write(json.dumps({**time, "MESSAGE": f"message {number}", **members}) + "\n")

    def vacuum(self, count):
        path = self.place / "journal"
        lines = path.read_text().splitlines(keepends=True)
        (self.place / "left").write_text("".join(lines[count:]))
        (self.place / "left").rename(path)

    def blocks(self, count):
        """Poll until there are so many lines."""
        found = []

        def enough():
            found.extend(self.source.poll(1 << 20))
            return sum(block.rows for block in found) >= count

        until(enough)
        return found

    def until_said(self, text):
        return until(lambda: (self.source.poll(1 << 20), self.said(text))[1])

    def until_ended(self):
        until(lambda: (self.source.poll(1 << 20), self.source._run is None)[1])

    def remember(self, blocks, acknowledged):
        """The house knows of all blocks, and Kafka acknowledged so many of them."""
        for number, block in enumerate(blocks):
            generation = block.stream.generation
            state = json.loads(json.dumps(dict(block.state)))
            begin = int(block.positions[0])
            new = {"generation": generation, "path": block.stream.path, "position": begin, "sent": begin}
            entry = self.entries.setdefault(generation, {**new, "boundaries": [], "state": {}, "birth": state})
            if number < acknowledged:
                entry |= {"position": block.end, "sent": int(block.positions[-1]), "state": state}

    def said(self, text):
        return [fields for event, fields in self.events if text in event]

    def runs(self):
        return [json.loads(line) for line in (self.place / "runs").read_text().splitlines()]


@pytest.fixture
def journal(tmp_path):
    made = []

    def make(**more):
        made.append(Journal(tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def messages(blocks):
    return [json.loads(value)["MESSAGE"] for value in all_values(blocks)]


def lines(blocks):
    """Return generation, start, end and value of all lines."""
    places = [
        (block.stream.generation, int(block.positions[row]), int(block.positions[row + 1]))
        for block in blocks
        for row in range(block.rows)
    ]
    return list(zip(places, all_values(blocks), strict=True))


# ── decisions ──


@pytest.mark.parametrize(
    ("place", "first", "time", "expected"),
    [
        (Place(), "a", 5, "keep"),
        (Place("a"), "a", 5, "skip"),
        (Place("a", kept=True), "a", 5, "keep"),
        (Place("a"), "b", 5, "lost"),
        (Place("a", kept=True), "b", 5, "lost"),
        (Place(newest=True, now=10), "a", 5, "skip"),
        (Place(newest=True, now=10), "a", 10, "keep"),
    ],
)
def test_the_first_entry_of_a_run_says_whether_something_is_missing(place, first, time, expected):
    assert judge(place, first, time) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("s=a;i=9;b=c", "s=a;i=a;b=c", 0),
        ("s=a;i=9;b=c", "s=a;i=10;b=d", 6),
        ("s=a;i=9;b=c", "s=b;i=10;b=c", 0),
        ("s=a;i=9;b=c", "s=a;i=1;b=c", 0),
        ("", "s=a;i=10;b=c", 0),
    ],
)
def test_entries_between_two_are_counted_by_their_numbers(before, after, expected):
    assert missing(before, after) == expected


def test_an_entry_is_the_same_bytes_in_whatever_order_it_was_printed():
    first = entry_of(b'{"__CURSOR":"a","__REALTIME_TIMESTAMP":"7","B":["x","y"],"A":[1,255]}')

    assert first == entry_of(b'{"A":[1,255],"B":["x","y"],"__REALTIME_TIMESTAMP":"7","__CURSOR":"a"}')
    assert first.value == b'{"A":[1,255],"B":["x","y"],"__CURSOR":"a","__REALTIME_TIMESTAMP":"7"}'
    assert (first.cursor, first.time) == ("a", 7)


@pytest.mark.parametrize("line", [b"", b"text", b"[]", b"{}", b'{"__CURSOR":1}', b'{"__CURSOR":"a"', b'"\xff"'])
def test_what_is_no_entry_is_none(line):
    assert entry_of(line) is None


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_entries_come_from_pieces_of_any_size(step, monkeypatch):
    monkeypatch.setattr(entries_module, "LONGEST", 50)
    cutter = Cutter()
    printed = b'{"__CURSOR":"a"}\n-- No entries --\nrubbish\n{"__CURSOR":"b","M":"%s"}\n{"__CURSOR":"c"}\n{"__CU' % (
        b"x" * 99
    )

    found = [entry for place in range(0, len(printed), step) for entry in cutter.feed(printed[place : place + step])]

    assert [entry.cursor for entry in found] == ["a", "c"]
    assert cutter.left_out == 2


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"encoding": "latin-1"}, "encoding"),
        ({"multiline": MultilineOptions(preset="java")}, "multiline"),
        ({"matches": ["--file=/etc/shadow"]}, "matches"),
        ({"units": ["--file=x"]}, "units"),
    ],
)
def test_options_that_mean_nothing_for_entries_are_refused(wrong, key):
    with pytest.raises(ConfigError) as error:
        JournaldOptions(name="journal", type="journald", topic="logs", **wrong)

    assert error.value.key == key


# ── reading ──


def test_entries_come_as_lines_with_positions_that_count_their_bytes(journal):
    journal = journal()
    journal.log(1, 2)
    journal.start()
    blocks = journal.blocks(2)
    journal.log(3)
    blocks += journal.blocks(1)

    assert messages(blocks) == ["message 1", "message 2", "message 3"]
    assert blocks[-1].end == sum(len(value) + 1 for value in all_values(blocks))
    assert {block.stream.path for block in blocks} == {"journald:journal"}


def test_journalctl_is_told_what_is_wanted(journal, tmp_path):
    journal = journal(units=["a.service", "b.service"], matches=["PRIORITY=3"], directory=str(tmp_path)).start()
    journal.log(1)
    journal.blocks(1)

    wanted = [f"--directory={tmp_path}", "--unit=a.service", "--unit=b.service", "PRIORITY=3"]
    assert journal.runs() == [
        ["--no-pager", "--lines=0", *wanted],
        [
            *("--output=json", "--all", "--no-pager", "--follow", "--no-tail"),
            *wanted,
        ],
    ]


def test_with_once_it_ends_with_the_journal(journal):
    journal = journal(once=True)
    journal.log(1, 2)
    journal.start()

    blocks = journal.blocks(2)
    journal.until_ended()

    assert messages(blocks) == ["message 1", "message 2"]
    assert journal.source.finished()


def test_entries_are_filtered_and_cut_as_lines_are(journal):
    journal = journal(exclude_lines=["message [13]"])
    journal.log(1, 2, 3)
    journal.start()

    assert messages(journal.blocks(1)) == ["message 2"]


@pytest.mark.parametrize("old", [(), (-3, -2)], ids=["empty", "not empty"])
def test_from_the_end_means_entries_that_came_since(journal, old):
    journal = journal(start_at="end")
    journal.log(*old)
    journal.start()
    if old:
        blocks = until(lambda: journal.source.poll(1 << 20))
        assert all_values(blocks) == []
        journal.remember(blocks, 1)
    journal.log(1)
    blocks = journal.blocks(1)
    journal.remember(blocks, 0)

    journal.start()

    assert messages(blocks) == ["message 1"]
    assert lines(journal.blocks(1)) == lines(blocks)


# ── a crash, an end ──


@pytest.mark.parametrize("acknowledged", [0, 1, 2])
def test_what_was_not_acknowledged_comes_again_with_the_same_positions(journal, acknowledged):
    journal = journal().start()
    blocks = []
    for number in range(3):
        journal.log(2 * number, 2 * number + 1)
        blocks += journal.blocks(2)
    journal.remember(blocks, acknowledged)
    expected = lines(blocks[acknowledged:])

    journal.start()

    assert lines(journal.blocks(len(expected))) == expected
    assert journal.said("lost") == []


def test_journalctl_is_started_again_behind_the_last_entry_after_growing_pauses(journal, tmp_path):
    journal = journal()
    journal.log(1, 2)
    (tmp_path / "ends").touch()
    journal.start()
    before = journal.blocks(2)
    journal.until_ended()
    assert journal.source.next_poll() == 1.0
    (tmp_path / "fails").write_text("out of order\n")
    journal.clock.advance(1.0)
    journal.until_said("command says")
    journal.until_ended()
    assert journal.source.next_poll() == 2.0
    (tmp_path / "fails").unlink()
    (tmp_path / "ends").unlink()
    journal.log(3)
    journal.clock.advance(2.0)

    after = journal.blocks(1)

    assert messages(after) == ["message 3"]
    assert after[0].positions[0] == before[-1].end
    assert journal.said("command says") == [{"stderr": "out of order"}]
    assert journal.said("journalctl ended") == [{"code": 0}, {"code": 1}]


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_a_journal_that_lost_the_entry_is_said_and_a_new_generation_begins(journal, acknowledged):
    journal = journal()
    journal.log(1, 2)
    journal.start()
    (old, *_) = blocks = journal.blocks(2)
    journal.remember(blocks, acknowledged * len(blocks))
    journal.log(3, 4, 5)
    journal.vacuum(3)

    journal.start()
    (new,) = journal.blocks(2)

    assert messages([new]) == ["message 4", "message 5"]
    assert new.stream.generation != old.stream.generation
    assert new.positions[0] == 0
    assert old.stream.generation in journal.source.forgettable()
    [said] = journal.said("no longer has the entry")
    assert said["lost_at_most"] == (1 if acknowledged else 2)


def test_entries_that_are_missing_between_two_are_said(journal):
    journal = journal()
    journal.log(1, 2, 7)
    journal.start()

    assert len(journal.blocks(3)) >= 1

    assert [fields["entries"] for fields in journal.said("entries are missing")] == [4]


def test_nothing_is_missing_where_only_some_are_wanted(journal):
    journal = journal(units=["a.service"])
    journal.log(1, 2, 7)
    journal.start()

    journal.blocks(3)

    assert journal.said("missing") == []


@pytest.mark.parametrize("changed", [{"exclude_lines": ["nothing"]}, {"units": ["a.service"]}])
def test_other_options_begin_a_new_generation_where_the_old_one_stands(journal, changed):
    journal = journal()
    journal.log(1, 2)
    journal.start()
    blocks = journal.blocks(2)
    journal.remember(blocks, len(blocks))
    journal.log(3)

    journal.start(**changed)
    again = journal.blocks(1)

    assert messages(again) == ["message 3"]
    assert again[0].stream.generation != blocks[0].stream.generation
    assert len(journal.said("options changed")) == 1
    assert journal.said("no longer has") == []


def test_a_loss_after_options_changed_is_said_as_any_other(journal, tmp_path):
    journal = journal()
    journal.log(1, 2)
    journal.start()
    blocks = journal.blocks(2)
    journal.remember(blocks, len(blocks))
    journal.log(3)
    (tmp_path / "ends").touch()
    journal.start(units=["a.service"])
    assert messages(journal.blocks(1)) == ["message 3"]
    journal.until_ended()
    journal.log(4)
    journal.vacuum(3)
    journal.clock.advance(1.0)

    assert messages(journal.blocks(1)) == ["message 4"]
    assert len(journal.said("no longer has the entry")) == 1


def test_of_two_generations_the_later_goes_on(journal):
    journal = journal()
    journal.log(1, 2)
    journal.start()
    old = journal.blocks(2)
    journal.remember(old, len(old))
    journal.log(3)
    journal.vacuum(2)
    journal.start()
    new = journal.blocks(1)
    journal.remember(new, len(new))
    journal.log(4)

    journal.start()

    assert messages(journal.blocks(1)) == ["message 4"]
    assert journal.source.forgettable() == [old[0].stream.generation]


# ── refusals ──


def test_a_missing_journalctl_is_refused(journal):
    with pytest.raises(Refused, match=r"journal: /no/such can't be started: No such file or directory; install"):
        journal(program="/no/such").start()


def test_what_journalctl_does_not_take_is_refused_in_its_words(journal, tmp_path):
    journal = journal()
    (tmp_path / "fails").write_text("Failed to open /no/such: No such file or directory\n")

    with pytest.raises(Refused, match=r"ended with 1: Failed to open /no/such: .*; correct the source's options"):
        journal.start()


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("fails", "No journal files were opened due to insufficient permissions.\n"),
        ("fails", "Failed to open /var/log/journal/other: Permission denied\n"),
        ("says", "Hint: You are currently not seeing messages from other users and the system.\n"),
    ],
)
def test_a_journal_that_may_not_be_read_is_refused(journal, tmp_path, how, what):
    journal = journal()
    (tmp_path / how).write_text(what)

    with pytest.raises(Refused, match="group systemd-journal"):
        journal.start()


def test_with_once_a_journalctl_that_fails_is_not_the_end_of_the_journal(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(JournaldSource, "check", lambda self: None)
    journal = journal(once=True)
    (tmp_path / "fails").write_text("Out of memory\n")
    journal.start()

    with pytest.raises(Refused, match="journalctl ended with 1: Out of memory"):
        until(lambda: journal.source.poll(1 << 20))


# ── the real one ──


def write_journal(directory, numbers):
    """Add a file of entries to a journal."""
    directory.mkdir(exist_ok=True)
    export = b"".join(
        b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_MACHINE_ID=%s\nPRIORITY=%d\n"
        b"_SYSTEMD_UNIT=%s.service\nMESSAGE\n%s%s\n\n"
        % (
            (NOW + number) * 1_000_000,
            number * 1_000_000,
            BOOT.encode(),
            BOOT.encode(),
            number % 2,
            b"ab"[number % 2 :][:1],
            (text := b"message %d\n" % number * (1000 if number == 2 else 1)) and len(text).to_bytes(8, "little"),
            text,
        )
        for number in numbers
    )
    file = directory / "system.journal"
    subprocess.run([REMOTE, "-o", file, "-"], input=export, check=True, capture_output=True)


@pytest.fixture
def real(journal, tmp_path):
    if shutil.which("journalctl") is None or not os.path.exists(REMOTE):
        pytest.skip("journalctl and systemd-journal-remote are not installed")
    directory = tmp_path / "real"
    write_journal(directory, range(1, 6))
    return journal(program="journalctl", directory=str(directory))


def test_the_real_journalctl_prints_every_entry_in_full(real):
    real.start()

    blocks = real.blocks(5)

    assert messages(blocks) == [f"message {number}\n" * (1000 if number == 2 else 1) for number in range(1, 6)]


def test_after_a_crash_the_real_journalctl_goes_on_with_the_same_lines(real, tmp_path):
    real.start()
    blocks = real.blocks(5)
    real.remember(blocks, 0)
    real.start()
    assert lines(real.blocks(5)) == lines(blocks)
    real.remember(blocks, len(blocks))
    write_journal(tmp_path / "real", range(6, 8))

    real.start()
    after = real.blocks(2)

    assert messages(after) == ["message 6\n", "message 7\n"]
    assert after[0].positions[0] == blocks[-1].end
    assert real.said("") == []


def test_entries_that_are_gone_from_a_real_journal_are_said(real, tmp_path):
    real.start()
    blocks = real.blocks(5)
    real.remember(blocks, len(blocks))
    Path(tmp_path / "real" / "system.journal").unlink()
    write_journal(tmp_path / "real", range(10, 12))

    real.start()

    assert messages(real.blocks(2)) == ["message 10\n", "message 11\n"]
    assert len(real.said("no longer has the entry")) == 1


def test_the_real_journalctl_selects_entries_also_after_a_crash(real, tmp_path):
    real.start(units=["a.service"])
    blocks = real.blocks(2)
    assert messages(blocks) == ["message 2\n" * 1000, "message 4\n"]
    real.remember(blocks, len(blocks))
    write_journal(tmp_path / "real", range(6, 8))
    real.start(units=["a.service"])
    assert messages(real.blocks(1)) == ["message 6\n"]
    assert real.said("") == []


def test_the_real_journalctl_matches_entries(real):
    real.start(matches=["PRIORITY=1"])

    assert messages(real.blocks(3)) == [f"message {number}\n" for number in (1, 3, 5)]
