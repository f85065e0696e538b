"""The contract suite of a Source: each promise in the docstrings of `ingest.api.Source` is one test.

A connector's author writes

    class MyRig(SourceRig): ...

    class TestMySource(SourceContract):
        @pytest.fixture
        def rig(self, tmp_path):
            rig = MyRig(tmp_path)
            yield rig
            rig.close()

and runs pytest. A rig is the world around one source with one stream, fresh for each test.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pytest

from ingest.api import Flag, LineBlock, Source, SourceContext, StateDamaged, StreamState
from ingest.testing.clock import ManualClock

AnySource = Source[Any]

MAX_LINE = 1000
_PATIENCE = 10.0  # seconds after which a call counts as blocking
_ROUNDS = 1000
_QUIET = 2.0  # seconds without anything after which a source counts as at rest


class SourceRig(Protocol):
    """What the suite asks of the world around a source."""

    clock: ManualClock

    def build(self, context: SourceContext, **options: Any) -> AnySource:
        """Make the source with these options beside the necessary ones; the suite calls `resume`."""
        ...

    def write(self, data: bytes) -> None:
        """Let the stream grow by `data`."""
        ...

    def finish(self) -> None:
        """Let what has to happen happen (time, the end of the input) so that an unterminated last line is given out."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One record: its interval, value and flag."""

    generation: int
    start: int
    end: int
    value: bytes
    flag: Flag | None


@dataclass(slots=True)
class Reading:
    """What a source handed out, and what a checkpoint would hold of it."""

    blocks: list[LineBlock] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        """Return all records in order."""
        return [
            Line(
                block.stream.generation,
                int(block.positions[row]),
                int(block.positions[row + 1]),
                block.data[block.starts[row] : block.ends[row]],
                block.flags.get(row),
            )
            for block in self.blocks
            for row in range(block.rows)
        ]

    @property
    def values(self) -> list[bytes]:
        """Return the values of all records."""
        return [line.value for line in self.lines]

    def state(self, acknowledged: int) -> list[StreamState]:
        """Return what a source resumes with after so many of the blocks (all of one generation) were acknowledged.

        The states go through JSON, as in the checkpoint.
        """
        if not self.blocks:
            return []
        first = self.blocks[0]
        position = sent = int(first.positions[0])
        state: dict[str, Any] = {}
        for block in self.blocks[:acknowledged]:
            position, sent, state = block.end, int(block.positions[-1]), dict(block.state)
        boundaries = tuple(block.end for block in self.blocks if block.boundary and block.end > position)
        return [
            StreamState(
                first.stream.generation,
                first.stream.path,
                position,
                sent,
                boundaries,
                json.loads(json.dumps(state)),
                json.loads(json.dumps(dict(first.state))),
            )
        ]


class SourceContract:
    """Subclass it and provide the fixture `rig`.

    Attributes:
        rereadable: the class attribute that the source is to have.
    """

    rereadable: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _begin(self, rig: SourceRig, tmp_path: Path) -> None:
        self.rig = rig
        self.spool = tmp_path / "spool"
        self.ids = itertools.count(0xFFFF_FFFF_0000_0001)

    def start(self, states: Sequence[StreamState] = (), *, once: bool = False, **options: Any) -> AnySource:
        """Build a source as after a start of the process, and resume it."""
        context = SourceContext(
            clock=self.rig.clock,
            host="here",
            max_line=MAX_LINE,
            once=once,
            new_generation=lambda: next(self.ids),
            spool=self.spool,
            event=lambda text, **fields: None,
        )
        source = self.rig.build(context, **options)
        source.resume(states)
        return source

    def read(self, source: AnySource, max_bytes: int = 1 << 20) -> Reading:
        """Poll until nothing more comes, letting time pass as the source asks."""
        reading = Reading()
        idle, quiet = 0, 0.0
        for _ in range(_ROUNDS):
            blocks = _promptly(source, max_bytes)
            reading.blocks += blocks
            idle, quiet = (0, 0.0) if blocks else (idle + 1, quiet)
            if idle >= 3 and quiet >= _QUIET:
                return reading
            pause = source.next_poll()
            assert pause >= 0
            quiet += pause
            self.rig.clock.advance(pause)
        raise AssertionError("the source does not come to rest")

    # ── reading ──

    def test_where_nothing_is_a_poll_returns_at_once_with_nothing(self) -> None:
        """`poll` never waits for data."""
        source = self.start()

        assert self.read(source).lines == []

        source.close()

    def test_lines_come_in_order_with_contiguous_intervals(self) -> None:
        """Newlines alone end lines; each interval begins where the one before ended; bytes are unchanged."""
        source = self.start()
        self.rig.write(b"one\ntwo\r\n\n\xff\x00three\n")

        lines = self.read(source).lines

        assert [line.value for line in lines] == [b"one", b"two\r", b"", b"\xff\x00three"]
        assert [(line.start, line.end) for line in lines] == [(0, 4), (4, 9), (9, 10), (10, 18)]
        source.close()

    def test_blocks_have_the_columns_that_they_promise(self) -> None:
        """What `LineBlock` says of shapes, types and order."""
        source = self.start()
        for number in range(50):
            self.rig.write(b"line %d\n" % number * 20)

        reading = self.read(source)

        assert len(reading.lines) == 1000
        assert len({block.stream.generation for block in reading.blocks}) == 1
        for before, block in zip([None, *reading.blocks], reading.blocks, strict=False):
            assert isinstance(block.data, bytes)
            assert block.stream.source == source.options.name
            for column in (block.starts, block.ends, block.positions):
                assert column.dtype == np.int64
            assert len(block.positions) == len(block.starts) + 1 == len(block.ends) + 1
            assert np.all(np.diff(block.positions) > 0)
            assert np.all(block.starts <= block.ends)
            assert block.end >= block.positions[-1]
            assert block.positions[0] == (0 if before is None else before.positions[-1])
            assert json.loads(json.dumps(dict(block.state))) == block.state
        source.close()

    def test_a_small_appetite_still_brings_everything(self) -> None:
        """`max_bytes` bounds one call, never what is read in the end."""
        source = self.start()
        written = [b"%d" % number for number in range(300)]
        self.rig.write(b"".join(value + b"\n" for value in written))

        assert self.read(source, max_bytes=1).values == written

        source.close()

    def test_an_unterminated_line_is_held_back_until_its_rest_comes(self) -> None:
        """A line written in two halves is one record."""
        source = self.start()
        self.rig.write(b"whole\nha")
        assert self.read(source).values == [b"whole"]

        self.rig.write(b"lf\n")

        assert [(line.value, line.start, line.end) for line in self.read(source).lines] == [(b"half", 6, 11)]
        source.close()

    def test_an_unterminated_last_line_is_given_out_flagged_once_nothing_more_comes(self) -> None:
        """A boundary where the bytes can be read again: then they may have grown."""
        source = self.start()
        self.rig.write(b"whole\nhalf")
        reading = self.read(source)

        self.rig.finish()
        late = self.read(source)

        assert reading.values == [b"whole"]
        assert late.lines == [Line(reading.lines[0].generation, 6, 10, b"half", Flag(("partial",)))]
        assert [block.boundary for block in late.blocks if block.rows] == [self.rereadable]
        source.close()

    def test_an_overlong_line_is_cut_at_a_character_and_flagged_and_its_neighbours_are_whole(self) -> None:
        """Its interval covers the whole line, newline included."""
        source = self.start()
        long = "é".encode() * MAX_LINE
        self.rig.write(b"x\nx" + long + b"\nnext\n")

        lines = self.read(source).lines

        assert [line.value for line in lines] == [b"x", b"x" + long[: MAX_LINE - 2], b"next"]
        assert [line.flag for line in lines] == [None, Flag(("truncated",), 2 * MAX_LINE + 1), None]
        assert [line.end for line in lines] == [2, 2 + 2 * MAX_LINE + 2, 2 * MAX_LINE + 9]
        source.close()

    def test_dropped_empty_lines_belong_to_the_interval_of_the_next_record(self) -> None:
        """Trailing ones move `end` alone."""
        source = self.start(empty_lines="drop")
        self.rig.write(b"\na\n\n\nb\n\n")

        reading = self.read(source)

        assert [(line.value, line.start, line.end) for line in reading.lines] == [(b"a", 0, 3), (b"b", 3, 7)]
        assert reading.blocks[-1].end == 8
        source.close()

    def test_with_once_it_finishes_after_what_was_there(self) -> None:
        """`finished` turns true by polling alone."""
        self.rig.write(b"a\nb\n")
        source = self.start(once=True)
        if not self.rereadable:
            self.rig.finish()

        values = self.read(source).values

        assert values == [b"a", b"b"]
        assert source.finished()
        source.close()

    def test_what_is_absorbed_is_handed_out_by_the_polls_that_follow(self) -> None:
        """In its order, before what came later."""
        source = self.start()
        self.rig.write(b"a\nb")
        source.absorb()
        source.absorb()
        self.rig.write(b"c\n")

        assert self.read(source).values == [b"a", b"bc"]

        source.close()

    # ── going on after a crash ──

    @pytest.mark.parametrize("acknowledged", [0, 1, 3, 6])
    def test_what_was_not_acknowledged_comes_again_with_the_same_positions(self, acknowledged: int) -> None:
        """Same bytes, same ends, same generation; what can not be read again does not come at all."""
        source = self.start()
        reading = Reading()
        for number in range(6):
            self.rig.write(b"first %d\n\nsecond %d\n" % (number, number))
            reading.blocks += self.read(source).blocks
        assert len(reading.blocks) == 6
        source.close()

        again = self.start(reading.state(acknowledged))
        repeated = self.read(again).lines

        expected = [line for block in reading.blocks[acknowledged:] for line in Reading([block]).lines]
        assert repeated == (expected if self.rereadable else [])
        again.close()

    def test_after_a_crash_it_goes_on_where_it_stood(self) -> None:
        """New bytes belong to the same generation, if the old ones can be read again."""
        source = self.start()
        self.rig.write(b"before\n")
        reading = self.read(source)
        source.close()

        again = self.start(reading.state(len(reading.blocks)))
        self.rig.write(b"after\n")
        lines = self.read(again).lines

        assert [line.value for line in lines] == [b"after"]
        if self.rereadable:
            assert lines[0].generation == reading.lines[0].generation
            assert (lines[0].start, lines[0].end) == (7, 13)
        else:
            assert lines[0].generation != reading.lines[0].generation
        again.close()

    def test_a_dropped_line_at_the_end_keeps_intervals_contiguous_over_a_crash(self) -> None:
        """`position` and `sent` differ there; the next interval begins at `sent`."""
        source = self.start(empty_lines="drop")
        self.rig.write(b"a\n\n")
        reading = self.read(source)
        source.close()

        again = self.start(reading.state(len(reading.blocks)), empty_lines="drop")
        self.rig.write(b"b\n")
        lines = self.read(again).lines

        assert [(line.value, line.start, line.end) for line in lines] == [
            (b"b", 2, 5) if self.rereadable else (b"b", 0, 2)
        ]
        again.close()

    def test_a_line_end_that_the_bytes_do_not_decide_is_kept_when_they_are_read_again(self) -> None:
        """`StreamState.boundaries` divide a line that has grown together since."""
        source = self.start()
        self.rig.write(b"whole\nhalf")
        reading = self.read(source)
        self.rig.finish()
        reading.blocks += self.read(source).blocks
        source.close()
        if not self.rereadable:
            return

        self.rig.write(b" and rest\n")
        again = self.start(reading.state(1))
        lines = self.read(again).lines

        assert [(line.value, line.start, line.end) for line in lines] == [(b"half", 6, 10), (b" and rest", 10, 20)]
        assert lines[0] == reading.lines[1]
        again.close()

    def test_a_state_that_it_does_not_understand_is_refused(self) -> None:
        """Never a silent start from zero or from the end."""
        source = self.start()
        self.rig.write(b"a\n")
        (state,) = self.read(source).state(1)
        source.close()
        nonsense = {"what": ["is", "this"]}
        damaged = StreamState(state.generation, state.path, 2, 2, (), nonsense, nonsense)

        if self.rereadable:
            with pytest.raises(StateDamaged):
                self.start([damaged])
        else:
            again = self.start([damaged])
            assert state.generation in set(again.forgettable())
            again.close()

    # ── the rest ──

    def test_its_status_says_where_it_is(self) -> None:
        """One row for the one stream."""
        source = self.start()
        self.rig.write(b"a\nbc\n")
        reading = self.read(source)
        source.acknowledged(reading.lines[0].generation, 5)

        (status,) = source.status()

        assert (status.generation, status.position) == (reading.lines[0].generation, 5)
        assert status.path == reading.blocks[0].stream.path
        assert status.size in (None, 5)
        assert status.decision
        source.close()

    def test_a_stream_that_is_there_is_not_forgotten(self) -> None:
        """However long nothing comes."""
        source = self.start()
        self.rig.write(b"a\n")
        reading = self.read(source)
        source.acknowledged(reading.lines[0].generation, 2)
        self.rig.clock.advance(90 * 86400)

        self.read(source)

        assert reading.lines[0].generation not in set(source.forgettable())
        source.close()

    def test_the_class_says_whether_bytes_can_be_read_again(self) -> None:
        """The documentation of delivery rests on it."""
        source = self.start()

        assert source.rereadable is self.rereadable

        source.close()


def _promptly(source: AnySource, max_bytes: int) -> list[LineBlock]:
    """Poll, and fail instead of waiting where the poll waits."""
    result: list[list[LineBlock]] = []
    poll = threading.Thread(target=lambda: result.append(source.poll(max_bytes)), daemon=True)
    poll.start()
    poll.join(_PATIENCE)
    assert not poll.is_alive(), "poll blocks"
    assert result, "poll raised"
    return result[0]
