import os

import pytest

from ingest.api import Flag, MultilineOptions
from ingest.connectors.sources.stdin import StdinOptions, StdinSource
from ingest.testing.clock import ManualClock
from tests.builders.sources import all_values, context


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    ends = {"reader": reader, "writer": writer}
    yield ends
    for end in ends.values():
        os.close(end)


def source(directory, descriptor, clock=None, **options):
    options = StdinOptions(name="in", type="stdin", topic="logs", **options)
    made = StdinSource(options, context(directory, max_line=100, clock=clock))
    made.descriptor = descriptor
    made.resume([])
    return made


def test_the_end_of_the_input_finishes_it_without_once(tmp_path, pipe):
    stdin = source(tmp_path, pipe["reader"])
    os.write(pipe["writer"], b"a\nhalf")
    assert all_values(stdin.poll(1 << 20)) == [b"a"]
    assert not stdin.finished()

    os.close(pipe.pop("writer"))
    (block,) = stdin.poll(1 << 20)

    assert all_values([block]) == [b"half"]
    assert block.flags == {0: Flag(("partial",))}
    assert stdin.finished()
    assert stdin.poll(1 << 20) == []


def test_a_file_as_standard_input_is_read_to_its_end(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"line\n" * 100_000)
    with path.open("rb") as file:
        stdin = source(tmp_path, file.fileno())
        values = []
        while not stdin.finished():
            values += all_values(stdin.poll(1 << 20))

    assert values == [b"line"] * 100_000


def test_a_silent_input_is_polled_now_and_then(tmp_path, pipe):
    stdin = source(tmp_path, pipe["reader"])

    assert stdin.poll(1 << 20) == []
    assert 0 < stdin.next_poll() < 1
    os.write(pipe["writer"], b"a\n")
    assert stdin.next_poll() == 0


def test_closing_leaves_the_descriptor_open(tmp_path, pipe):
    stdin = source(tmp_path, pipe["reader"])

    stdin.close()

    os.fstat(pipe["reader"])


def test_each_process_is_a_generation_of_its_own_that_ends_with_the_input(tmp_path, pipe):
    stdin = source(tmp_path, pipe["reader"])
    os.write(pipe["writer"], b"a\n")
    (block,) = stdin.poll(1 << 20)
    assert list(stdin.forgettable()) == []

    os.close(pipe.pop("writer"))
    stdin.poll(1 << 20)

    assert list(stdin.forgettable()) == [block.stream.generation]


def test_an_event_goes_out_once_nothing_has_come_for_a_while(tmp_path, pipe):
    clock = ManualClock()
    stdin = source(tmp_path, pipe["reader"], clock, multiline=MultilineOptions(preset="java"))
    os.write(pipe["writer"], b"one\n\tat x\n")
    assert stdin.poll(1 << 20) == []
    clock.advance(4)
    assert stdin.poll(1 << 20) == []
    clock.advance(2)
    assert all_values(stdin.poll(1 << 20)) == [b"one\n\tat x"]
