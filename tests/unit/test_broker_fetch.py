"""What a reader of committed records sees of a fetched partition."""

import struct

import numpy as np
import pyarrow as pa
import pytest

from ingest.broker.fetch import Answer, look, read
from ingest.broker.wire import Codec, CorruptBatch, OldFormat, encode_records, seal

ABORT, COMMIT = 0, 1


def data(base, values, producer=-1, transactional=False):
    records = encode_records(pa.array(values, pa.binary()), np.full(len(values), 1000, np.int64))
    return bytes(
        seal(records, Codec.LZ4, base_offset=base, producer_id=producer, transactional=transactional, leader_epoch=3)
    )


def read_fetched(buffer, topic, partition, fetch_offset, aborted):
    return read(look(Answer(topic, partition, fetch_offset, buffer, aborted)))


def marker(base, producer, kind):
    key = pa.array([struct.pack(">hh", 0, kind)], pa.binary())
    records = encode_records(pa.array([struct.pack(">hi", 0, 0)], pa.binary()), np.array([1000], np.int64), keys=key)
    sealed = seal(records, Codec.NONE, base_offset=base, producer_id=producer, transactional=True, control=True)
    return bytes(sealed)


A, B, C = b"a", b"b", b"c"


@pytest.mark.parametrize(
    ("batches", "aborted", "values", "next_offset"),
    [
        ([], [], None, 0),
        ([data(0, [A, B])], [], [A, B], 2),
        ([data(0, [A], 5, True), marker(1, 5, COMMIT)], [], [A], 2),
        ([data(0, [A], 5, True), marker(1, 5, ABORT)], [(0, 5)], [], 2),
        ([data(0, [A], 5, True), marker(1, 5, ABORT), data(2, [B], 5, True), marker(3, 5, COMMIT)], [(0, 5)], [B], 4),
        ([data(0, [A], 5, True), data(1, [B]), data(2, [C], 6, True), marker(3, 5, ABORT)], [(0, 5)], [B, C], 4),
        ([data(0, [A], 5), data(1, [B], 5, True)], [(1, 5)], [A], 2),
        ([marker(0, 5, COMMIT)], [], [], 1),
    ],
    ids=[
        "nothing",
        "plain",
        "committed",
        "aborted",
        "aborted, then committed by the same producer",
        "aborted between others",
        "aborted only from its first offset on",
        "a marker alone",
    ],
)
def test_aborted_records_and_markers_are_left_out_but_counted(batches, aborted, values, next_offset):
    fetched = read_fetched(b"".join(batches), "t", 0, 0, aborted)
    assert fetched.error is None
    assert fetched.next_offset == next_offset
    if values is None:
        assert fetched.blocks == []
    else:
        assert [value for block in fetched.blocks for value in block.values.to_pylist()] == values
        assert fetched.blocks[-1].next_offset == next_offset


def test_records_below_the_fetch_offset_and_a_batch_cut_short_are_left_out():
    buffer = data(0, [A, B, C]) + data(3, [A])[:-1]
    fetched = read_fetched(buffer, "t", 0, 1, [])
    assert [block.offsets.tolist() for block in fetched.blocks] == [[1, 2]]
    assert (fetched.next_offset, fetched.blocks[-1].leader_epoch) == (3, 3)


def test_what_stands_before_a_corrupt_batch_is_returned_with_the_error():
    broken = bytearray(data(2, [C] * 9))
    broken[-1] ^= 1
    fetched = read_fetched(data(0, [A, B]) + bytes(broken) + data(11, [A]), "t", 4, 0, [])
    assert [block.values.to_pylist() for block in fetched.blocks] == [[A, B]]
    assert fetched.next_offset == 2
    assert isinstance(fetched.error, CorruptBatch)
    assert "topic t partition 4" in str(fetched.error)
    assert "offset 2" in str(fetched.error)


def test_a_corrupt_first_batch_leaves_the_position_where_it_is():
    broken = bytearray(data(5, [A] * 9))
    broken[-1] ^= 1
    fetched = read_fetched(bytes(broken), "t", 0, 5, [])
    assert (fetched.blocks, fetched.next_offset) == ([], 5)
    assert isinstance(fetched.error, CorruptBatch)


def test_what_to_fetch_next_is_known_before_anything_is_decoded():
    broken = bytearray(data(2, [C] * 9))
    broken[-1] ^= 1
    assert look(Answer("t", 4, 0, data(0, [A, B]) + bytes(broken), [])).next_offset == 11
    assert look(Answer("t", 4, 7, data(0, [A, B])[:-1], [])).next_offset == 7


def test_an_old_message_format_is_an_error():
    old = bytearray(data(0, [A]))
    old[16] = 1
    assert isinstance(read_fetched(bytes(old), "t", 0, 0, []).error, OldFormat)
