import errno
import json
import os
import shutil

import numpy as np
import pytest

from ingest.api import Flag, StateDamaged, StreamState, Unavailable
from ingest.connectors.queue import log as log_module
from ingest.connectors.queue.frame import Broken, Frame, Held, frames, lines_frame, lines_of, segment_head
from ingest.connectors.queue.piece import Piece, merged
from ingest.connectors.queue.queues import Queues
from ingest.connectors.sources.stdin import StdinOptions
from tests.builders.sources import Events, all_values, context

LIMIT = 8 << 10


class Kept:
    """Queues, and the checkpoint that their house would keep."""

    def __init__(self, directory, limit=LIMIT):
        self.directory = directory
        self.spool = directory / "spool"
        self.limit = limit
        self.events = Events()
        self.states = {}
        self.begun = 0
        self.start()

    def start(self):
        self.begun += 1
        given = context(self.directory, first_generation=100 * self.begun, events=self.events)
        self.queues = Queues(given, StdinOptions(name="in", type="stdin", topic="logs"), self.limit)
        self.queues.resume(list(self.states.values()), ["a", "b"])

    def put(self, *values, stream="a"):
        self.queues.add(stream, Piece.of_values(values))
        self.queues.commit()

    def take(self, acknowledge=True):
        blocks = self.queues.take(1 << 20)
        while self.queues.pending:
            blocks += self.queues.take(1 << 20)
        for block in blocks if acknowledge else []:
            self.acknowledge(block)
        return blocks

    def acknowledge(self, block):
        generation, state = block.stream.generation, json.loads(json.dumps(dict(block.state)))
        self.states[generation] = StreamState(
            generation, block.stream.path, block.end, int(block.positions[-1]), (), state, state
        )
        self.queues.acknowledged(generation, block.end)

    def segments(self):
        return sorted(self.spool.glob("*/*.segment"))


def said(kept):
    return [text for text, _ in kept.events]


def of(*values):
    return Piece.of_values(values)


# ── frames ──

SEGMENT = segment_head("a", 0) + lines_frame(of(b"one", b"two\n"), 0, Held()) + lines_frame(of(b"x"), 9, Held(b"ha", 3))
ENDS = [frame.next for frame in frames(SEGMENT, True)]


def test_a_segment_holds_what_was_put_in():
    head, first, second = frames(SEGMENT, True)

    assert head.head["stream"] == "a"
    piece, held = lines_of(first)
    assert [piece.data[start:end] for start, end in zip(piece.starts, piece.ends, strict=True)] == [b"one", b"two\n"]
    assert (piece.after.tolist(), piece.span, held) == ([4, 9], 9, Held())
    assert lines_of(second)[1] == Held(b"ha", 3)


def test_what_a_crash_cut_off_is_torn_and_all_before_it_is_whole():
    for length in range(len(SEGMENT)):
        found = list(frames(SEGMENT[:length], True))

        whole = [each for each in found if isinstance(each, Frame)]
        assert [frame.next for frame in whole] == [end for end in ENDS if end <= length]
        torn = [each for each in found if isinstance(each, Broken)]
        assert [each.kind for each in torn] == ([] if length in (0, *ENDS) else ["torn"])


def test_a_changed_byte_is_damage():
    for place in range(ENDS[0], ENDS[1]):
        changed = bytearray(SEGMENT)
        changed[place] ^= 0x40

        _, broken, *_ = frames(bytes(changed), True)

        assert isinstance(broken, Broken)
        assert (broken.kind, broken.place) == ("damaged", ENDS[0])


def test_zeros_at_the_end_are_torn_since_a_power_cut_leaves_them():
    *_, last = frames(SEGMENT + bytes(500), True)

    assert last == Broken("torn", len(SEGMENT), None)


def test_pieces_become_one():
    flagged = Piece(b"abc", *(np.array(each) for each in ([0], [2], [9])), 10, {0: Flag(("truncated",), 8)}, {"x": 1})

    piece = merged([of(b"one", b""), flagged, of(b"z")])

    assert piece.after.tolist() == [4, 5, 14, 17]
    assert piece.span == 17
    assert piece.flags == {2: Flag(("truncated",), 8)}
    assert piece.dropped == {"x": 1}


# ── going on ──


def test_nothing_is_handed_out_before_it_is_durable(tmp_path):
    kept = Kept(tmp_path)
    kept.queues.add("a", of(b"one"))

    assert kept.take() == []
    kept.queues.commit()
    assert all_values(kept.take()) == [b"one"]


def test_what_is_more_than_memory_keeps_is_read_back_from_disk_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_REMEMBERED", 100)
    kept = Kept(tmp_path, limit=1 << 20)
    values = [b"%d" % number for number in range(1000)]
    for number in range(0, 1000, 10):
        kept.put(*values[number : number + 10])
        if number == 500:
            assert all_values(kept.queues.take(1)) == values[:10]

    assert all_values(kept.take()) == values[10:]


def test_streams_take_turns(tmp_path):
    kept = Kept(tmp_path)
    for _ in range(3):
        kept.put(b"1", stream="a")
        kept.put(b"1", stream="b")

    paths = [kept.queues.take(1)[0].stream.path for _ in range(6)]

    assert sorted(paths[:2]) == ["a", "b"]


def test_a_full_queue_takes_no_more_until_something_is_acknowledged(tmp_path):
    kept = Kept(tmp_path)
    while kept.queues.room("a"):
        kept.put(b"x" * 500)
    assert sum(path.stat().st_size for path in kept.segments()) >= LIMIT

    kept.take()

    assert kept.queues.room("a")
    assert len(kept.segments()) == 1


def test_a_full_disk_holds_everything_back_until_there_is_room(tmp_path, monkeypatch):
    kept = Kept(tmp_path)
    kept.put(b"before")
    real = os.pwrite
    room = [3]

    def pwrite(fd, data, place):
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        data = data[: room[0]]
        room[0] -= len(data)
        return real(fd, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    kept.put(b"one")
    kept.put(b"two")
    assert all_values(kept.take()) == [b"before"]
    assert not kept.queues.room("a")
    assert "No space left" in kept.queues.status()[0].decision

    room[0] = 1 << 20
    kept.queues.commit()

    assert [(block.positions.tolist(), all_values([block])) for block in kept.take()] == [
        ([7, 11, 15], [b"one", b"two"])
    ]
    assert kept.queues.room("a")
    assert said(kept) == ["queue can't be written, nothing more is read", "queue has room again"]
    kept.start()
    assert kept.take() == []


def test_a_disk_that_fails_is_said_with_its_place(tmp_path, monkeypatch):
    kept = Kept(tmp_path)
    kept.put(b"before")

    def broken(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Unavailable, match=r"spool/.*Input/output error"):
        kept.put(b"lost")

    monkeypatch.undo()
    kept.start()
    assert all_values(kept.take()) == [b"before"]


def test_what_is_held_back_survives(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"whole")
    kept.queues.log("a").hold(Held(b"ha", 7))
    kept.queues.commit()
    kept.take()

    kept.start()

    assert kept.queues.log("a").held == Held(b"ha", 7)
    assert kept.take() == []


def test_a_torn_append_is_counted_and_no_error(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take()
    kept.put(b"two")
    [segment] = kept.segments()
    os.truncate(segment, segment.stat().st_size - 1)

    kept.start()
    kept.put(b"three")
    [block] = kept.take()

    assert all_values([block]) == [b"three"]
    assert block.positions.tolist() == [4, 10]
    assert block.dropped == {"torn_append": 1}
    assert said(kept) == ["queue: the last append was cut off by a crash"]


# ── what a disk or a person does ──


def test_behind_damage_a_new_generation_goes_on_and_nothing_else_is_lost(tmp_path):
    kept = Kept(tmp_path)
    for value in (b"one", b"two", b"three"):
        kept.put(value)
    [first, *_] = kept.queues.take(1)
    kept.acknowledge(first)
    while kept.queues.room("a"):
        kept.put(b"x" * 500)
    whole = all_values(kept.take(acknowledge=False))
    segment = kept.segments()[0]
    data = bytearray(segment.read_bytes())
    data[data.index(b"two")] ^= 1
    segment.write_bytes(data)

    kept.start()
    blocks = kept.take()

    assert all_values(blocks) == whole[1:]
    assert {block.stream.generation for block in blocks}.isdisjoint({first.stream.generation})
    [(text, fields)] = kept.events
    assert text == "queue is damaged: what is whole behind it goes on in another generation"
    assert (fields["lost_from"], fields["lost_to"]) == (4, 8)
    assert str(segment) in fields["where"]
    assert first.stream.generation in kept.queues.forgettable()
    assert kept.segments() == []
    del kept.states[first.stream.generation], kept.states[blocks[0].stream.generation]
    kept.start()
    assert kept.take() == []


def test_damage_among_what_was_acknowledged_loses_and_repeats_nothing(tmp_path):
    kept = Kept(tmp_path)
    for value in (b"one", b"two", b"three"):
        kept.put(value)
    for _ in range(2):
        kept.acknowledge(*kept.queues.take(1))
    [segment] = kept.segments()
    segment.write_bytes(segment.read_bytes().replace(b"one", b"0ne"))

    kept.start()

    assert all_values(kept.take()) == [b"three"]
    [(_, fields)] = kept.events
    assert (fields["lost_from"], fields["lost_to"]) == (8, 8)


def test_damage_found_while_reading_is_left_to_a_new_start(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_REMEMBERED", 0)
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.put(b"two")
    [segment] = kept.segments()
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"one", b"0ne"))

    with pytest.raises(Unavailable, match="damaged"):
        kept.take()
    kept.start()

    assert all_values(kept.take()) == [b"two"]


def test_a_queue_that_was_deleted_is_said_and_a_new_generation_begins(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take()
    shutil.rmtree(kept.spool)

    kept.start()
    kept.put(b"two")
    [block] = kept.take()

    assert said(kept) == ["queue is gone: lines that were kept there and not acknowledged are lost"]
    assert list(kept.queues.forgettable()) == [100]
    assert (block.stream.generation, block.positions.tolist()) == (200, [0, 4])


def test_an_older_copy_of_a_queue_never_gives_one_position_to_two_lines(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    shutil.copytree(kept.spool, tmp_path / "copy")
    kept.put(b"two")
    kept.take()
    shutil.rmtree(kept.spool)
    shutil.copytree(tmp_path / "copy", kept.spool)

    kept.start()
    kept.put(b"three")
    [block] = kept.take()

    assert said(kept) == ["queue ends before what was read of it: a new one begins"]
    assert block.stream.generation != 100
    assert block.positions.tolist() == [0, 6]


def test_a_checkpoint_that_is_behind_begins_at_what_is_left(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take()
    old = dict(kept.states)
    while kept.queues.room("a"):
        kept.put(b"x" * 500)
    kept.take()
    kept.states = old

    kept.start()
    repeated = kept.take()

    assert {block.stream.generation for block in repeated} == {100}
    assert repeated[0].positions[0] > 4


def test_what_the_checkpoint_does_not_know_yet_is_handed_out(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take(acknowledge=False)

    kept.start()

    assert all_values(kept.take()) == [b"one"]


def test_a_queue_that_no_checkpoint_knows_any_more_goes_on_behind_what_was_acknowledged(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take()
    kept.put(b"two")
    kept.states = {}

    kept.start()
    blocks = kept.take(acknowledge=False)
    assert all_values(blocks) == [b"two"]
    assert blocks[0].positions.tolist() == [4, 8]

    [note] = kept.spool.glob("*/acknowledged")
    note.write_text("damaged")
    kept.start()
    assert all_values(kept.take()) == [b"one", b"two"], "twice rather than never"


def test_after_its_partition_is_gone_a_generation_goes_on_under_another_id(tmp_path):
    kept = Kept(tmp_path)
    kept.put(b"one")
    kept.take()
    kept.put(b"two")
    [old] = kept.states.values()
    kept.states = {7: StreamState(7, "a", old.position, old.position, (), old.state, old.birth)}

    kept.start()
    [block] = kept.take()

    assert (block.stream.generation, block.positions.tolist()) == (7, [4, 8])


@pytest.mark.parametrize("state", [{}, {"queue": "../x", "stream": "a"}, {"queue": 1, "stream": "a"}, {"queue": "x"}])
def test_a_state_that_can_not_be_understood_is_refused(tmp_path, state):
    kept = Kept(tmp_path)
    kept.states = {1: StreamState(1, "a", 0, 0, (), state, state)}

    with pytest.raises(StateDamaged, match="restore the state directory"):
        kept.start()


def test_files_of_a_newer_version_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.connectors.queue.frame.FORMAT", 2)
    kept = Kept(tmp_path)
    kept.put(b"one")

    with pytest.raises(StateDamaged, match="newer version"):
        kept.start()


def test_an_unterminated_line_is_a_boundary(tmp_path):
    kept = Kept(tmp_path)
    none = Piece(b"half", *(np.array(each) for each in ([0], [4], [4])), 4, {0: Flag(("partial",))})
    kept.queues.add("a", none)
    kept.queues.commit()

    [block] = kept.take()

    assert block.boundary
    assert block.end == 4
