import json
import os
import signal
import sys

import pytest

from ingest.api import Flag, Framing, Refused, StreamState
from ingest.connectors.command.complaints import Complaints
from ingest.connectors.command.times import next_turn, pause_after
from ingest.connectors.queue.frame import Held
from ingest.connectors.sources.exec import ExecOptions, ExecSource, held_back
from ingest.testing.clock import ManualClock
from tests.builders.sources import Events, all_values, context
from tests.builders.waiting import until


class Command:
    """An exec source, and the checkpoint that its house would keep."""

    def __init__(self, directory, command, *, once=False, max_line=100, **options):
        self.directory = directory
        self.clock = ManualClock()
        self.events = Events()
        self.once = once
        self.max_line = max_line
        self.options = ExecOptions(name="job", type="exec", topic="logs", command=command, **options)
        self.states = {}
        self.begun = 0
        self.source = None

    def start(self):
        self.begun += 1
        given = context(
            self.directory,
            clock=self.clock,
            max_line=self.max_line,
            once=self.once,
            first_generation=100 * self.begun,
            events=self.events,
        )
        self.source = ExecSource(self.options, given)
        self.source.resume(list(self.states.values()))
        return self

    def kill(self):
        """Leave everything as kill -9 does, but for the command, which would hear of its closed output."""
        os.killpg(self.source._run.pid, signal.SIGKILL)
        self.source._run.end()
        self.source._run = None

    def blocks(self, count):
        """Poll until there are so many lines."""
        found = []

        def enough():
            found.extend(self.source.poll(1 << 20))
            return sum(block.rows for block in found) >= count

        until(enough)
        return found

    def acknowledge(self, blocks):
        for block in blocks:
            generation, state = block.stream.generation, json.loads(json.dumps(dict(block.state)))
            self.states[generation] = StreamState(
                generation, block.stream.path, block.end, int(block.positions[-1]), (), state, state
            )
            self.source.acknowledged(generation, block.end)

    def said(self, text):
        return [fields for event, fields in self.events if event == text]


@pytest.fixture
def commands(tmp_path):
    made = []

    def make(*command, **options):
        made.append(Command(tmp_path, list(command), **options))
        return made[-1].start()

    yield make
    for each in made:
        each.source.close()


def sh(script):
    return ("sh", "-c", script)


# ── decisions ──


@pytest.mark.parametrize(
    ("code", "lasted", "before", "expected"),
    [
        (1, 0.1, None, 1.0),
        (1, 0.1, 1.0, 2.0),
        (1, 0.1, 32.0, 60.0),
        (1, 0.1, 60.0, 60.0),
        (0, 0.1, 32.0, 1.0),
        (1, 60.0, 32.0, 1.0),
    ],
)
def test_a_command_that_fails_quickly_has_to_wait_longer(code, lasted, before, expected):
    assert pause_after(code, lasted, 1.0, before) == expected


def test_a_wait_that_was_asked_for_is_never_shortened():
    assert pause_after(1, 0.0, 300.0, 300.0) == 300.0


@pytest.mark.parametrize(("ended", "expected"), [(100.0, 130.0), (129.0, 130.0), (130.0, 130.0), (131.0, 160.0)])
def test_turns_that_pass_while_it_runs_are_left_out(ended, expected):
    assert next_turn(100.0, ended, 30.0) == expected


@pytest.mark.parametrize(
    ("before", "data", "left", "moved", "expected"),
    [
        (Held(), b"ab\ncd", 2, True, Held(b"cd")),
        (Held(b"cd"), b"ef", 4, False, Held(b"cdef")),
        (Held(b"cdef"), b"\n", 0, True, Held()),
        (Held(b"abcdef"), b"ghi", 9, False, Held(b"abcdef", 3)),
        (Held(b"abcdef", 3), b"jk", 11, False, Held(b"abcdef", 5)),
        (Held(b"abcdef", 3), b"j\nk", 1, True, Held(b"k")),
        (Held(), b"0123456789", 10, False, Held(b"012345", 4)),
    ],
)
def test_of_an_overlong_line_the_beginning_and_a_number_are_kept(before, data, left, moved, expected):
    assert held_back(before, data, left, moved, Framing(5, False)) == expected


def test_complaints_are_bounded_and_counted():
    events = Events()
    complaints = Complaints(events)

    complaints.hear(b"".join(b"line %d\n" % number for number in range(50)), 0.0)
    complaints.hear(b"more\n\n" + b"x" * 9000, 60.0)
    complaints.hear(b"", 61.0, closing=True)

    assert [fields.get("stderr", fields.get("lines")) for _, fields in events] == [
        *(f"line {number}" for number in range(10)),
        40,
        "more",
        "x" * 200,
    ]


# ── a command that goes on ──


def test_what_a_command_writes_comes_as_lines(commands):
    command = commands(*sh("echo one; echo two; exec sleep 1000"))

    blocks = command.blocks(2)

    assert all_values(blocks) == [b"one", b"two"]
    assert {block.stream.path for block in blocks} == {"exec:job"}


def test_a_command_that_ended_is_started_again_after_a_while(commands):
    command = commands(*sh("echo again"))
    assert all_values(command.blocks(1)) == [b"again"]
    until(lambda: command.source.poll(1 << 20) == [] and command.source._run is None)

    assert command.source.next_poll() == 1.0
    command.clock.advance(1.0)
    [block] = command.blocks(1)

    assert block.positions.tolist() == [6, 12]


def test_a_command_that_fails_is_said_with_its_code(commands):
    command = commands(*sh("echo problem >&2; exit 3"))

    until(lambda: command.source.poll(1 << 20) == [] and command.source._run is None)

    assert command.said("command failed") == [{"command": "sh", "code": 3}]
    assert command.said("command says") == [{"stderr": "problem"}]


def test_what_a_command_left_running_is_ended_with_it(commands, tmp_path):
    command = commands(*sh(f"sleep 1000 & echo $! > {tmp_path}/pid; echo left"))

    assert all_values(command.blocks(1)) == [b"left"]
    until(lambda: command.source.poll(1 << 20) == [] and command.source._run is None)

    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}/exe")


def test_a_schedule_runs_it_at_its_turns_alone(commands):
    command = commands(*sh("echo turn"), every=30.0)
    assert all_values(command.blocks(1)) == [b"turn"]
    until(lambda: command.source.poll(1 << 20) == [] and command.source._run is None)

    command.clock.advance(29.0)
    assert command.source.poll(1 << 20) == []
    assert command.source.next_poll() == 1.0
    command.clock.advance(1.0)

    assert all_values(command.blocks(1)) == [b"turn"]


def test_with_once_it_runs_once_to_its_end(commands):
    command = commands(*sh("echo a; printf half"), once=True)

    blocks = command.blocks(2)
    until(lambda: not command.source.poll(1 << 20) and command.source.finished())
    command.clock.advance(100.0)

    assert command.source.poll(1 << 20) == []
    assert all_values(blocks) == [b"a", b"half"]
    assert blocks[-1].flags == {blocks[-1].rows - 1: Flag(("partial",))}


def test_a_program_that_is_not_there_is_said_at_the_start(tmp_path):
    with pytest.raises(Refused, match=r"job: /no/such can't be started: No such file or directory; correct `command`"):
        Command(tmp_path, ["/no/such"]).start()


def test_a_program_that_vanishes_is_tried_again(commands, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho there\n")
    program.chmod(0o755)
    command = commands(str(program))
    command.blocks(1)
    until(lambda: command.source.poll(1 << 20) == [] and command.source._run is None)
    program.rename(tmp_path / "away")

    command.clock.advance(1.0)
    assert command.source.poll(1 << 20) == []
    (tmp_path / "away").rename(program)
    command.clock.advance(100.0)

    assert command.said("command can't be started") == [{"why": "No such file or directory"}]
    assert all_values(command.blocks(1)) == [b"there"]


# ── a crash, an end ──


def test_what_was_read_survives_a_crash(commands):
    command = commands(*sh("echo one; echo two; printf half; exec sleep 1000"))
    first = command.blocks(2)
    until(lambda: command.source.poll(1 << 20) == [] and command.source._held.data == b"half")

    command.kill()
    command.options = ExecOptions(name="job", type="exec", topic="logs", command=["sleep", "1000"])
    command.start()
    again = command.blocks(3)

    assert all_values(again) == [b"one", b"two", b"half"]
    assert [place for block in first for place in block.positions.tolist()][-1] == 8
    assert again[-1].positions.tolist()[-1] == 12
    assert again[-1].flags == {again[-1].rows - 1: Flag(("partial",))}


def test_an_overlong_line_that_a_crash_cut_off_has_the_length_that_was_read(commands):
    command = commands(*sh(f"head -c {300_000} /dev/zero | tr '\\0' x; exec sleep 1000"))
    until(lambda: command.source.poll(1 << 20) == [] and command.source._held.beyond > 299_000 - 101)
    until(lambda: command.source.poll(1 << 20) == [] and command.source._fed == 300_000)

    command.kill()
    command.options = ExecOptions(name="job", type="exec", topic="logs", command=["sleep", "1000"])
    command.start()
    [block] = command.blocks(1)

    assert all_values([block]) == [b"x" * 100]
    assert block.flags == {0: Flag(("truncated", "partial"), 300_000)}
    assert block.end == 300_000


def test_a_command_may_say_its_last_words_when_ingest_stops(commands):
    command = commands(*sh("trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done"))
    command.acknowledge(command.blocks(1))

    command.source.close()
    command.start()

    assert all_values(command.blocks(1))[0] == b"bye"


def test_a_command_that_does_not_end_is_killed(commands, monkeypatch):
    monkeypatch.setattr("ingest.connectors.command.run._GRACE", 0.2)
    command = commands(*sh("trap '' TERM; echo ready; while :; do sleep 0.01; done"))
    command.blocks(1)
    pid = command.source._run.pid

    command.source.close()

    assert not os.path.exists(f"/proc/{pid}")


def test_a_full_queue_lets_the_command_wait(commands):
    script = "import sys\nfor n in range(40_000): sys.stdout.write(f'{n:0100d}\\n')"
    command = commands(sys.executable, "-c", script, once=True, queue_bytes=1 << 20, max_line=1000)
    until(lambda: command.source.absorb() or not command.source.queues.room("exec:job"))

    blocks = []
    while not command.source.finished():
        some = command.source.poll(1 << 20)
        command.acknowledge(some)
        blocks += some

    assert all_values(blocks) == [b"%0100d" % number for number in range(40_000)]
    assert sum(path.stat().st_size for path in (command.directory / "spool").glob("*/*.segment")) < 1 << 20
