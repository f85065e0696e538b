"""What a backfill looks at before it writes, its place on the local disk, and how long it tries."""

import fcntl
import gzip
import os
import subprocess
import sys

import pytest

from ingest.api import FileFacts
from ingest.backfill.claims import claimed, refuse, remembered
from ingest.backfill.decision import Decision, Kind, Place
from ingest.backfill.files import facts_of, listed
from ingest.backfill.intake import Tally
from ingest.backfill.outcome import Ending, Outcome, exit_code
from ingest.backfill.patience import LIMIT, GivenUp, Patience, Stopped
from ingest.backfill.spool import own_spool
from ingest.cli.interrupts import Interrupts
from ingest.cli.outcomes import print_outcomes, print_plan
from ingest.cli.progress import FileProgress
from ingest.config.load import load
from ingest.connectors.marks.mark import Mark
from ingest.errors import OutcomeUnknown, Refused, StateDamaged, Unavailable, UsageError
from ingest.ship.checkpoint_file import Content, encode
from ingest.ship.entry import Entry
from ingest.ship.recovery import NAME
from ingest.testing.clock import ManualClock

# ── files ──────────────────────────────────────────────────────────────────


def test_files_are_listed_once_the_oldest_first(tmp_path):
    for name, modified in [("new", 9), ("b", 5), ("a", 5)]:
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (modified, modified))
    os.symlink(tmp_path / "a", tmp_path / "link")
    names = [str(tmp_path / name) for name in ("new", "b", "link", "a")]

    files = listed([*names, os.path.relpath(names[0])])

    assert [os.path.basename(file.path) for file in files] == ["a", "b", "new"]
    assert [file.size for file in files] == [1, 1, 3]
    assert files[0].name == names[2]


def test_what_is_no_file_is_named_all_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()

    with pytest.raises(UsageError) as refusal:
        listed([str(tmp_path / name) for name in ("missing", "fifo", "file", ".")])

    text = str(refusal.value)
    assert "missing: No such file or directory" in text
    assert "fifo is not a regular file" in text
    assert "is a directory: name the files in it" in text
    assert "nothing was written" in text


def test_a_name_that_is_not_utf8_is_shown_with_escapes(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.log")
    with open(path, "wb") as file:
        file.write(b"x\n")

    (file,) = listed([os.fsdecode(path)])

    assert file.shown == f"{tmp_path}/caf\\xe9.log"


def test_facts_are_of_the_content_and_leave_out_what_can_not_be_read(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"content"))
    (tmp_path / "b").write_bytes(gzip.compress(b"x" * 100)[:20])

    (facts,) = facts_of(listed([str(tmp_path / "a"), str(tmp_path / "b")]))

    assert facts.head == b"content"
    assert facts.inode == os.stat(tmp_path / "a").st_ino


# ── claims ──────────────────────────────────────────────────────────────────


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "ingest.toml"
    path.write_text(f"""
        [state]
        dir = "{tmp_path}/state"
        [[source]]
        name = "live"
        type = "file"
        paths = ["{tmp_path}/live/*"]
        topic = "t"
        [[source]]
        name = "old"
        type = "file"
        paths = ["{tmp_path}/nowhere/*"]
        topic = "t"
        """)
    return load(path)


def entry(source, path, head, key=(1, 1)):
    state = {"device": key[0], "inode": key[1], "head": Mark.of(head, len(head)).to_json()}
    return Entry("0" * 16, source, "t", path, 0, 0, len(head), len(head), (), state)


def remember(tmp_path, *entries):
    (tmp_path / "state" / "ship").mkdir(parents=True)
    (tmp_path / "state" / "ship" / NAME).write_bytes(encode(Content("", list(entries))))


def ask(config, tmp_path, *files):
    return claimed(config, config.source[1], files, tmp_path / "state")


def test_files_of_every_live_source_are_claimed(config, tmp_path):
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "a.log").write_text("x\n")
    (facts,) = facts_of(listed([str(tmp_path / "live" / "a.log")]))

    assert ask(config, tmp_path, facts) == {facts.path: 'is matched by its paths: the source "live" ships it'}


def test_what_ship_remembers_is_claimed_also_of_a_source_that_is_gone(config, tmp_path):
    remember(tmp_path, entry("live", "/live/a", b"aaaa"), entry("gone", "/gone/b", b"bbbb"))
    files = [FileFacts(f"/x/{head}", 5, number, head.encode() * 6) for number, head in enumerate("abc")]

    assert ask(config, tmp_path, *files) == {
        "/x/a": 'begins with what it read from /live/a: the source "live" ships it',
        "/x/b": 'begins with what it read from /gone/b: the source "gone" shipped it',
    }


def test_nothing_is_remembered_where_ship_never_was(tmp_path):
    assert remembered(tmp_path / "ship") == []


def test_a_checkpoint_that_is_damaged_is_not_guessed_about_and_left_as_it_is(config, tmp_path):
    (tmp_path / "ship").mkdir()
    (tmp_path / "ship" / NAME).write_bytes(b"damaged")

    with pytest.raises(StateDamaged, match="says which files are shipped"):
        remembered(tmp_path / "ship")
    assert [path.name for path in (tmp_path / "ship").iterdir()] == [NAME]


def test_a_checkpoint_that_can_not_be_read_is_not_guessed_about(tmp_path):
    (tmp_path / "ship" / NAME).mkdir(parents=True)

    with pytest.raises(Refused, match="can't be read"):
        remembered(tmp_path / "ship")


def test_claimed_files_are_refused_by_name():
    refuse({})
    with pytest.raises(UsageError, match="/a is matched\n/b is known\nrefused, nothing was written"):
        refuse({"/b": "is known", "/a": "is matched"})


# ── the spool ──────────────────────────────────────────────────────────────────


def test_a_run_has_a_spool_of_its_own_and_leaves_none(tmp_path):
    with own_spool(tmp_path / "state") as one, own_spool(tmp_path / "state") as other:
        assert one != other
        (one / "file.parquet").write_text("x")
        assert one.stat().st_mode & 0o777 == 0o700

    assert [path.name for path in (tmp_path / "state" / "backfill").iterdir()] == ["lock"]


HOLDER = """
import sys
from pathlib import Path
from ingest.backfill.spool import own_spool
with own_spool(Path(sys.argv[1])) as spool:
    (spool / "rows").write_text("x")
    print(spool, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_is_removed_by_the_next_one_and_what_a_living_one_needs_is_not(tmp_path):
    state = tmp_path / "state"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        killed, living = (run.stdout.readline().strip() for run in runs)
        runs[0].kill()
        runs[0].wait()
        assert os.path.exists(killed)

        with own_spool(state):
            assert not os.path.exists(killed)
            assert os.path.exists(f"{living}/rows")
    finally:
        for run in runs:
            run.kill()
            run.communicate()


def test_a_spool_whose_run_died_before_it_had_its_lock_is_removed(tmp_path):
    (tmp_path / "state" / "backfill" / "1-x").mkdir(parents=True)

    with own_spool(tmp_path / "state") as spool:
        assert sorted(path.name for path in spool.parent.iterdir()) == sorted([spool.name, "lock"])


def test_a_state_directory_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "state").touch()

    with pytest.raises(UsageError), own_spool(tmp_path / "state"):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def refuse_lock(descriptor, flags):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse_lock)
    with pytest.raises(Refused, match="use a local disk"), own_spool(tmp_path / "state"):
        pass


# ── patience ──────────────────────────────────────────────────────────────────


class Work:
    """Fails so often before it succeeds."""

    def __init__(self, failures, error=None):
        self.failures = failures
        self.error = error or Unavailable("not now")
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


def patience(clock=None, said=None, stop=lambda: False):
    clock = clock or ManualClock()

    def wait(seconds):
        clock.sleep(seconds)
        return stop()

    return Patience(clock, wait, [].append if said is None else said.append)


@pytest.mark.parametrize("error", [Unavailable("not now"), OutcomeUnknown("who knows")])
def test_what_may_pass_is_tried_again_and_told_once(error):
    said = []

    assert patience(said=said)(Work(5, error)) == "done"
    assert said == [str(error)]


def test_it_is_given_up_after_a_while():
    clock = ManualClock()
    begun = clock.monotonic()

    with pytest.raises(GivenUp, match=r"not now\. Given up after"):
        patience(clock)(Work(10_000))
    assert LIMIT < clock.monotonic() - begun < LIMIT + 30


def test_failures_that_lie_far_apart_are_not_counted_together():
    clock = ManualClock()
    work = Work(50)

    def long_work():
        clock.sleep(LIMIT + 1)
        return work()

    assert patience(clock)(long_work) == "done"


def test_a_stop_ends_the_waiting():
    with pytest.raises(Stopped):
        patience(stop=lambda: True)(Work(1))


def test_what_will_not_pass_is_raised_at_once():
    work = Work(5, Refused("no"))

    with pytest.raises(Refused):
        patience()(work)
    assert work.calls == 1


def test_waiting_ends_when_a_signal_came():
    clock = ManualClock()
    with Interrupts(clock) as signals:
        assert not signals.wait(5)
        assert clock.monotonic() >= 1005
        os.kill(os.getpid(), 15)
        before = clock.monotonic()
        assert signals.wait(5)
        assert clock.monotonic() == before
        assert signals.caught == [15]


# ── what is said ──────────────────────────────────────────────────────────────────


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("x" * 1000)
    return listed([str(tmp_path / name) for name in ("a", "b", "c")])


def test_the_outcomes_are_a_table_with_totals_and_the_problems_are_errors(files, capsys):
    outcomes = [
        Outcome(files[0], Ending.DONE, Decision(Kind.RESUME, 1, 5, Place("h", "/old")), Tally(10, 9, 1, 1000)),
        Outcome(files[1], Ending.FAILED, None, problem="b: damaged"),
        Outcome(files[2], Ending.STOPPED, None, Tally(1000, 1000, 0, 5), "no answer"),
    ]

    print_outcomes(outcomes)
    out, err = capsys.readouterr()

    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["file", "lines", "rows", "quarantined", "bytes", "decision"]
    assert lines[1][1:] == ["10", "9", "1", "1_000", "resume", "at", "5,", "begun", "as", "/old"]
    assert [line[-1] for line in lines[2:4]] == ["failed", "stopped"]
    assert lines[4] == ["total", "1_010", "1_009", "1", "1_005"]
    assert "error: b: damaged\n" in err
    assert "no answer. What was committed stays; run again to go on there" in err
    assert exit_code(outcomes) == 1
    assert exit_code(outcomes[:1]) == 0


def test_the_plan_is_a_table_that_shows_what_is_refused(files, capsys):
    planned = Outcome(files[0], Ending.DONE, Decision(Kind.NEW, 255), lines=1000)

    print_plan(files[:2], [planned], {files[1].path: "is matched"})

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][1:] == ["1_000", "1_000", "00000000000000ff", "new"]
    assert lines[2][1:] == ["1_000", "refused"]


def test_nothing_is_said_of_what_is_quickly_done(files, capsys):
    clock = ManualClock()
    with FileProgress(files, clock.monotonic) as progress:
        progress.begin(files[0])
        progress.moved(500)
        progress.end(Outcome(files[0]))

    assert capsys.readouterr() == ("", "")


def test_away_from_a_terminal_a_line_is_said_now_and_then(files, capsys):
    clock = ManualClock()
    with FileProgress(files, clock.monotonic) as progress:
        progress.begin(files[0])
        for step in range(1, 26):
            clock.advance(1)
            progress.moved(step * 40)
        progress.end(Outcome(files[0], decision=Decision(Kind.NEW, 1)))

    name = files[0].name
    assert capsys.readouterr().err == f"{name}: 40 %\n{name}: 80 %\n{name}: new\n"


def test_on_a_terminal_a_bar_is_drawn(files, capsys, monkeypatch):
    clock = ManualClock()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with FileProgress(files, clock.monotonic) as progress:
        progress.begin(files[0])
        clock.advance(2)
        progress.moved(500)
        progress.end(Outcome(files[0], decision=Decision(Kind.NEW, 1)))

    assert "/3.0 kB" in capsys.readouterr().err
