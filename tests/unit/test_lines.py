import random
from itertools import pairwise

import pytest

from ingest.api import Flag, Stream
from ingest.lines import Assembler, Framing, cut, split_lines
from tests.builders.sources import all_values, values

PLAIN = Framing(max_line=1 << 20, drop_empty=False)
STREAM = Stream(7, "here", "stdin", "in")


def found(chunk, lines):
    return [chunk[start:end] for start, end in zip(lines.starts, lines.ends, strict=True)]


@pytest.mark.parametrize(
    ("chunk", "closing", "expected", "end"),
    [
        (b"", False, [], 0),
        (b"", True, [], 0),
        (b"a\n", False, [b"a"], 2),
        (b"a\nb", False, [b"a"], 2),
        (b"a\nb", True, [b"a", b"b"], 3),
        (b"\n\n", False, [b"", b""], 2),
        (b"a\r\n\rb\n", False, [b"a\r", b"\rb"], 6),
        (b"\x00\xff\n", True, [b"\x00\xff"], 3),
        (b"abc", False, [], 0),
    ],
)
def test_lines_end_at_newlines_alone(chunk, closing, expected, end):
    lines = split_lines(chunk, 0, 0, 0, PLAIN, closing)

    assert found(chunk, lines) == expected
    assert lines.end == end
    assert lines.boundary == (closing and not chunk.endswith(b"\n") and chunk != b"")


def test_positions_count_from_the_position_of_the_chunk_and_begin_with_what_was_sent():
    lines = split_lines(b"xxxab\nc\n", 3, 100, 98, PLAIN, False)

    assert lines.positions.tolist() == [98, 103, 105]
    assert lines.starts.tolist() == [3, 6]


def test_dropped_lines_lie_inside_the_next_interval_or_behind_the_last():
    lines = split_lines(b"\na\n\n\nb\n\n", 0, 10, 10, Framing(100, True), False)

    assert lines.positions.tolist() == [10, 13, 17]
    assert (lines.end, lines.dropped) == (18, {"empty_line": 4})


def test_a_block_of_empty_lines_alone_moves_the_end_and_makes_no_record():
    lines = split_lines(b"\n\n\n", 0, 10, 8, Framing(100, True), False)

    assert (lines.positions.tolist(), lines.end) == ([8], 13)


def test_long_lines_are_cut_and_say_how_long_they_were():
    chunk = b"short\n" + b"x" * 11 + b"\n" + b"y" * 30
    lines = split_lines(chunk, 0, 0, 0, Framing(10, False), True)

    assert found(chunk, lines) == [b"short", b"x" * 10, b"y" * 10]
    assert lines.flags == {1: Flag(("truncated",), 11), 2: Flag(("truncated", "partial"), 30)}
    assert lines.positions.tolist() == [0, 6, 18, 48]
    assert lines.dropped == {"truncated": 2}


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        (b"abcdef", 3, 3),
        ("aé€🙂b".encode(), 1, 1),
        ("aé€🙂b".encode(), 2, 1),
        ("aé€🙂b".encode(), 3, 3),
        ("aé€🙂b".encode(), 5, 3),
        ("aé€🙂b".encode(), 6, 6),
        ("aé€🙂b".encode(), 9, 6),
        ("aé€🙂b".encode(), 10, 10),
        (b"\x80" * 9, 5, 5),
        ("🙂🙂".encode(), 3, 3),
    ],
)
def test_a_cut_divides_no_character_unless_the_bytes_are_no_text(text, length, expected):
    assert cut(text, 0, length) == expected


@pytest.mark.parametrize("seed", range(30))
def test_lines_do_not_depend_on_how_the_bytes_were_divided(seed):
    chance = random.Random(seed)
    framing = Framing(20, chance.random() < 0.5)
    data = b"".join(
        chance.choice([b"\n", b"a", b"longer text ", "é€🙂".encode(), b"\xff", b"\r\n", b"z" * 25]) for _ in range(300)
    )
    whole = Assembler(framing)
    divided = Assembler(framing)
    places = sorted(chance.sample(range(len(data) + 1), 40))

    expected = whole.feed(STREAM, data) + whole.feed(STREAM, b"", closing=True)
    blocks = []
    for begin, end in pairwise([0, *places, len(data)]):
        blocks += divided.feed(STREAM, data[begin:end])
    blocks += divided.feed(STREAM, b"", closing=True)

    def records(blocks):
        return [
            (int(block.positions[row]), int(block.positions[row + 1]), value, block.flags.get(row))
            for block in blocks
            for row, value in enumerate(values(block))
        ]

    assert records(blocks) == records(expected)
    assert divided.position == whole.position == len(data)


def test_a_line_without_end_needs_no_more_memory_than_it_may_be_long():
    assembler = Assembler(Framing(100, False))
    for _ in range(1000):
        assert assembler.feed(STREAM, b"x" * 10_000) == []
        assert len(assembler._rest) <= 101

    blocks = assembler.feed(STREAM, b"\nnext\n")

    assert all_values(blocks) == [b"x" * 100, b"next"]
    assert blocks[0].flags == {0: Flag(("truncated",), 10_000_000)}
    assert blocks[1].positions.tolist() == [10_000_001, 10_000_006]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_assembler_that_begins_in_the_middle_goes_on_with_the_same_lines(encoding):
    content = ("one\n" + "\0" * 40 + "two\n\n" + "x" * 300 + "\nrest").encode(encoding)

    def rows(blocks):
        return [
            line for block in blocks for line in zip(pairwise(block.positions.tolist()), values(block), strict=True)
        ]

    def feed(assembler, begin):
        pieces = [content[place : place + 4] for place in range(begin, len(content), 4)]
        blocks = [block for piece in pieces for block in assembler.feed(STREAM, piece)]
        return blocks + assembler.feed(STREAM, b"", closing=True)

    whole = Assembler(Framing(100, True, encoding))
    blocks = feed(whole, 0)

    assert len(blocks) > 10
    for number, block in enumerate(blocks[:-1]):
        before = content[max(0, block.end - 10) : block.end]
        again = Assembler(whole.framing, block.end, int(block.positions[-1]), before)
        assert rows(feed(again, block.end)) == rows(blocks[number + 1 :])
