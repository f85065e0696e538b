"""Content → records: contiguous positions, the digest of exactly what is covered, the flags of unusual lines."""

import hashlib
import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.backfill import feed as module
from ingest.backfill.content import new_digest
from ingest.backfill.feed import Feed, Lines, gathered, portions
from ingest.blocks import Stream
from ingest.lines import Framing
from ingest.sink.dedup import parse_source_header
from ingest.sink.rows import flag_text

STREAM = Stream(7, "host", "/a.log", "web", {"env": "test"})


def feed(*, at=0, before=b"", max_line=100, drop_empty=False, partial=False):
    digest = new_digest()
    digest.update(before)
    lines = Lines("t", STREAM, Framing(max_line, drop_empty), 1_700_000_000_000)
    return Feed(lines, at, digest, partial=partial)


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def records(blocks):
    """[(start, end, value)]"""
    return [
        (int(start), int(end), value.as_py())
        for block in blocks
        for start, end, value in zip(block.identity.start, block.identity.end, block.values, strict=True)
    ]


def fed(made, *pieces, close=True):
    blocks = [block for piece in pieces for block in made.take(piece)]
    return blocks + (made.close() if close else [])


def test_offsets_are_the_positions_of_lines():
    (block,) = fed(feed(), b"one\ntwo\n\nfour\n")

    assert records([block]) == [(0, 4, b"one"), (4, 8, b"two"), (8, 9, b""), (9, 14, b"four")]
    assert block.offsets.tolist() == [0, 4, 8, 9]
    assert block.next_offset == 14
    assert block.timestamps.tolist() == [1_700_000_000_000] * 4
    assert block.identity.present.all()
    assert set(block.identity.generation.tolist()) == {7}


def test_the_first_record_of_a_block_introduces_the_stream():
    (block,) = fed(feed(), b"one\n")

    source = parse_source_header(block.sources[0])
    assert (source.generation, source.topic, source.partition) == (7, "t", -1)
    assert (source.host, source.path, source.source) == ("host", "/a.log", "web")


def test_a_last_line_without_a_newline_is_taken_and_flagged():
    made = feed()
    blocks = fed(made, b"one\ntw", b"o")

    assert records(blocks) == [(0, 4, b"one"), (4, 7, b"two")]
    assert flag_text(blocks[-1].flags[0]) == "partial"
    assert made.digest == digest(b"one\ntwo")


def test_a_newline_that_comes_later_ends_that_line_and_begins_no_other():
    made = feed(at=3, before=b"two", partial=True)
    blocks = fed(made, b"\nthree\n")

    assert records(blocks) == [(3, 10, b"three")]
    assert made.digest == digest(b"two\nthree\n")


def test_a_newline_alone_that_comes_later_is_no_record():
    made = feed(at=3, before=b"two", partial=True)

    assert fed(made, b"\n") == []
    assert made.digest == digest(b"two")


def test_more_of_a_last_line_that_comes_later_is_a_record_of_its_own():
    assert records(fed(feed(at=3, partial=True), b"nty\n\n")) == [(3, 7, b"nty"), (7, 8, b"")]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"\n\none\n"], [(0, 6, b"one")]),
        ([b"one\n\n\n"], [(0, 6, b"one")]),
        ([b"\n", b"\n", b"one\n"], [(0, 6, b"one")]),
        ([b"one\n", b"\n\n", b"two\n"], [(0, 4, b"one"), (4, 10, b"two")]),
        ([b"one\n\ntwo\n\n", b"\nthree"], [(0, 4, b"one"), (4, 10, b"two"), (10, 16, b"three")]),
        ([b"\n\n\n"], []),
    ],
)
def test_empty_lines_that_are_dropped_lie_inside_the_intervals_of_others(pieces, expected):
    made = feed(drop_empty=True)
    blocks = fed(made, *pieces)

    content = b"".join(pieces)
    assert records(blocks) == expected
    assert made.digest == digest(content[: expected[-1][1]] if expected else b"")


def test_lines_left_out_are_counted():
    made = feed(drop_empty=True)
    fed(made, b"\n\none\n\n", b"\n")

    assert made.dropped == 4


def test_a_line_that_is_too_long_is_cut_and_its_neighbours_are_not():
    blocks = fed(feed(max_line=10), b"before\n", b"x" * 50, b"x" * 50 + b"\nafter\n")

    assert records(blocks) == [(0, 7, b"before"), (7, 108, b"x" * 10), (108, 114, b"after")]
    flagged = [json.loads(header) for block in blocks for header in block.flags.values()]
    assert flagged == [{"flags": ["truncated"], "length": 100}]


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    last=st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")),
    cuts=st.lists(st.integers(0, 150), max_size=6),
    max_line=st.sampled_from([1, 5, 100]),
    drop_empty=st.booleans(),
    at=st.sampled_from([0, 5]),
)
@example(lines=[b"", b"a" * 12, b"", b""], last=b"", cuts=[3, 9, 14], max_line=5, drop_empty=True, at=0)
def test_records_are_contiguous_and_the_digest_covers_them_however_the_content_is_cut(
    lines, last, cuts, max_line, drop_empty, at
):
    content = b"".join(line + b"\n" for line in lines) + last
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    pieces = [content[begin:end] for begin, end in pairwise(edges)]
    made = feed(at=at, before=b"-" * at, max_line=max_line, drop_empty=drop_empty)
    expected = [line for line in [*lines, *([last] if last else [])] if line or not drop_empty]

    position = at
    values = []
    for piece in [*pieces, None]:
        for block in made.close() if piece is None else made.take(piece):
            for start, end, value in records([block]):
                assert start == position
                position = end
                values.append(value)
            assert block.next_offset == position
        assert made.digest == digest((b"-" * at + content)[:position])
    assert [value[:1] for value in values] == [line[:1] for line in expected]
    assert all(line.startswith(value) and len(value) <= max_line for value, line in zip(values, expected, strict=True))
    if expected:
        assert position == at + len(content) or drop_empty


def test_very_many_lines_are_taken_in_portions(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    piece = b"\n" * 95 + b"x"

    parts = list(portions(piece))

    assert b"".join(parts) == piece
    assert max(part.count(b"\n") for part in parts) <= 11
    assert list(portions(b"few\nlines\n")) == [b"few\nlines\n"]


def test_values_are_gathered_from_wherever_they_lie():
    import numpy as np

    data = b"xxoneyytwozz"
    values = gathered(data, np.array([2, 7, 12], np.int64), np.array([5, 10, 12], np.int64))

    values.validate(full=True)
    assert values.to_pylist() == [b"one", b"two", b""]
