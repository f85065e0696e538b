"""`encode_lines`, the fast encoder, against `encode_records`, the plain one."""

import json
import random as randoms

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.blocks import Flag, LineBlock, Stream
from ingest.broker import wire
from tests.builders import batches

quick = settings(deadline=None, max_examples=80)
NOW = 1_700_000_000_000


@st.composite
def blocks(draw, most_rows):
    """A block whose values lie anywhere in its data, gaps between them, in positions that skip bytes."""
    random = randoms.Random(draw(st.integers(0, 1 << 32)))
    rows = draw(st.integers(0, most_rows))
    width = draw(st.sampled_from([0, 3, 30, 63, 64, 100, 8192, 20_000]))
    data, starts, ends = bytearray(random.randbytes(random.randrange(3))), [], []
    positions = [draw(st.sampled_from([0, 5, (1 << 40) + 3]))]
    for _ in range(rows):
        starts.append(len(data))
        data += random.choice([b"a", b"\0", b"\xff"]) * random.choice([width, random.randint(0, width)])
        ends.append(len(data))
        data += b"\n" * random.randrange(3)
        positions.append(positions[-1] + ends[-1] - starts[-1] + random.randint(1, 9))
    flagged = random.sample(range(rows), k=min(rows, random.choice([0, 0, 1, 3])))
    names = [("partial",), ("truncated",), ("partial", "truncated")]
    return LineBlock(
        Stream(random.getrandbits(64), "web-1", "/var/log/app.log", "app"),
        bytes(data),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(positions, np.int64),
        positions[-1],
        {row: Flag(random.choice(names), random.choice([None, 123456])) for row in flagged},
    )


def segments(most_rows, most):
    sources = st.binary(max_size=200)
    return st.lists(st.tuples(blocks(most_rows), sources), min_size=1, max_size=most)


def plainly(segments):
    values, headers = [], []
    for block, source in segments:
        for row in range(block.rows):
            start, end = block.positions[row : row + 2].tolist()
            own = [batches.position(block.stream.generation, start, end)]
            if row == 0:
                own.append((wire.HEADER_SRC, source))
            if row in block.flags:
                own.append((wire.HEADER_FLAGS, flags_json(block.flags[row])))
            values.append(block.data[block.starts[row] : block.ends[row]])
            headers.append(own)
    return wire.encode_records(pa.array(values, pa.binary()), np.full(len(values), NOW), headers=headers)


def flags_json(flag):
    members = {"flags": list(flag.names)} | ({} if flag.length is None else {"length": flag.length})
    return json.dumps(members, separators=(",", ":")).encode()


def same(ours, reference):
    assert bytes(ours.body) == reference.body
    for name in ("rows", "first_timestamp", "max_timestamp", "last_offset_delta"):
        assert getattr(ours, name) == getattr(reference, name)


@quick
@given(segments(most_rows=150, most=3).filter(lambda parts: any(block.rows for block, _ in parts)))
def test_few_long_segments_are_the_same_bytes_as_record_by_record(parts):
    same(wire.encode_lines(parts, NOW), plainly(parts))


@quick
@given(segments(most_rows=2, most=40).filter(lambda parts: any(block.rows for block, _ in parts)))
def test_many_short_segments_are_the_same_bytes_as_record_by_record(parts):
    same(wire.encode_lines(parts, NOW), plainly(parts))


@quick
@given(blocks(60).filter(lambda block: block.rows), st.data())
def test_slices_of_a_block_hold_its_records(block, data):
    cut = data.draw(st.integers(0, block.rows))
    halves = [(wire.slice_block(block, 0, cut), b"s"), (wire.slice_block(block, cut, block.rows), b"s")]
    for half, _ in halves:
        assert len(half.positions) == half.rows + 1
    assert halves[0][0].positions[-1] == halves[1][0].positions[0]
    whole = batches.decoded(wire.seal(wire.encode_lines([(block, b"s")], NOW), wire.Codec.NONE))
    parts = batches.decoded(wire.seal(wire.encode_lines(halves, NOW), wire.Codec.NONE))
    assert parts.values == whole.values
    assert [(position, flags) for position, _, flags in batches.carried(parts)] == [
        (position, flags) for position, _, flags in batches.carried(whole)
    ]


@quick
@given(segments(most_rows=150, most=3).filter(lambda parts: any(block.rows for block, _ in parts)), batches.codecs)
def test_lines_come_back_with_their_identity(parts, codec):
    block = batches.decoded(wire.seal(wire.encode_lines(parts, NOW), codec, base_offset=7))
    row = 0
    for lines, source in parts:
        if lines.rows:
            assert block.sources[row] == source
        for line in range(lines.rows):
            assert block.values[row].as_py() == lines.data[lines.starts[line] : lines.ends[line]]
            assert block.identity.generation[row] == lines.stream.generation
            assert block.identity.start[row] == lines.positions[line]
            assert block.identity.end[row] == lines.positions[line + 1]
            assert (row in block.flags) == (line in lines.flags)
            row += 1
    assert block.rows == row
    assert block.identity.present.all()
    assert block.offsets.tolist() == list(range(7, 7 + row))
