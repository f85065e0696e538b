"""Lines cut and sealed into batches before they are sent."""

import itertools

import pytest

from ingest.broker.batches import OutgoingBatch, cut, seal_parts
from ingest.broker.wire import Codec, batch_spans, concat, decode_batches
from tests.builders.lines import TRUNCATED, line_block, numbered, stream

NOW = 1_700_000_000_000


def decoded(parts):
    sealed = b"".join(bytes(part.sealed) for part in parts)
    spans = batch_spans(sealed)
    assert len(spans) == len(parts)
    return [next(decode_batches(part.sealed, batch_spans(part.sealed), "t", 0, 0)) for part in parts]


def shapes(pieces):
    return [[(int(block.positions[0]), block.rows, source) for block, source in piece] for piece in pieces]


@pytest.mark.parametrize(
    ("pieces", "shape"),
    [
        (1, [[(0, 3, b"a"), (100, 2, b"b")]]),
        (2, [[(0, 2, b"a")], [(4, 1, b"a"), (100, 2, b"b")]]),
        (5, [[(0, 1, b"a")], [(2, 1, b"a")], [(4, 1, b"a")], [(100, 1, b"b")], [(102, 1, b"b")]]),
    ],
)
def test_a_cut_keeps_every_line_once_in_order_and_repeats_its_source(pieces, shape):
    segments = [(line_block([b"1", b"2", b"3"]), b"a"), (line_block([b"4", b"5"], begin=100, of=stream(5)), b"b")]
    assert shapes(cut(segments, pieces)) == shape


def test_lines_that_fit_are_one_batch():
    (part,) = seal_parts([(numbered(100), b"{}")], Codec.LZ4, NOW, 1 << 20)
    assert part.rows == 100
    assert part.first == (0xFEDCBA9876543210, 0)
    assert part.timestamp_ms == NOW


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("limit", [400, 2000, 8000])
def test_no_batch_of_several_lines_is_larger_than_the_limit_and_nothing_is_lost(codec, limit):
    segments = [(numbered(60), b"one"), (numbered(40, begin=9000, of=stream(9)), b"two")]
    parts = seal_parts(segments, codec, NOW, limit)
    assert all(len(part.sealed) <= limit for part in parts)
    block = concat_rows(decoded(parts))
    expected = [*itertools.pairwise(segments[0][0].positions), *itertools.pairwise(segments[1][0].positions)]
    assert block == [(int(start), int(end)) for start, end in expected]


def concat_rows(blocks):
    return [pair for b in blocks for pair in zip(b.identity.start.tolist(), b.identity.end.tolist(), strict=True)]


def test_a_single_line_is_sealed_however_large_it_is():
    (part,) = seal_parts([(numbered(1, width=5000), b"{}")], Codec.NONE, NOW, 100)
    assert part.rows == 1
    assert len(part.sealed) > 5000


def test_each_part_of_a_cut_block_starts_with_its_source_and_flags_stay_with_their_lines():
    block = line_block([b"%03d" % number * 30 for number in range(30)], flags={17: TRUNCATED})
    blocks = decoded(seal_parts([(block, b"src")], Codec.NONE, NOW, 1500))
    assert len(blocks) > 2
    assert all(found.sources == {0: b"src"} for found in blocks)
    flagged = [int(found.identity.start[row]) for found in blocks for row in found.flags]
    assert flagged == [int(block.positions[17])]


def test_a_batch_takes_the_producers_state_and_keeps_it_over_further_drains():
    (part,) = seal_parts([(numbered(3), b"{}")], Codec.ZSTD, NOW, 1 << 20)
    batch = OutgoingBatch(part, None)
    assert (batch.append(1, None, b"x", []), batch.is_full(), batch.next_offset()) == (None, True, 3)
    batch.set_producer_state(77, 2, 40, False)
    before = bytes(batch.buffer())
    batch.close()
    batch.close()
    assert bytes(batch.buffer()) == before
    (header,) = batch_spans(before)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (77, 2, 40)
    assert concat(list(decode_batches(before, [header], "t", 0, 0))).rows == 3
    assert batch.size_in_bytes() == len(before)
