import dataclasses
import struct

import numpy as np
import pyarrow as pa
import pytest

from ingest.blocks import Flag, LineBlock, Stream
from ingest.broker import wire
from ingest.broker.wire import walk
from ingest.errors import Fatal
from tests.builders import batches
from tests.builders.batches import Record, position

NOW = 1_700_000_000_000
STREAM = Stream(0xFEDCBA9876543210, "web-1", "/var/log/app.log", "app")


def lines_block(lines, begin=0, flags=None, generation=STREAM.generation):
    edges = np.concatenate(([0], np.cumsum([len(line) + 1 for line in lines]))).astype(np.int64)
    return LineBlock(
        dataclasses.replace(STREAM, generation=generation),
        b"".join(line + b"\n" for line in lines),
        edges[:-1],
        edges[1:] - 1,
        edges + begin,
        int(edges[-1]) + begin,
        flags or {},
    )


def records(count, **changes):
    return [Record(row, NOW, None, b"value %d" % row)._replace(**changes) for row in range(count)]


def sealed(some, codec=wire.Codec.NONE, **options):
    return wire.seal(batches.encoded(some), codec, **options)


# ── what is on the wire ──────────────────────────────────────────────────────────────────


def test_a_line_is_this_record():
    body = wire.encode_lines([(lines_block([b"hello"], begin=7, flags={0: Flag(("partial",), 123)}), b"{}")], NOW).body
    assert (
        bytes(body)
        == (
            b"\xda\x01"  # 109 bytes follow
            b"\x00\x00\x00"  # attributes, timestamp delta, offset delta
            b"\x01"  # null key
            b"\x0ahello"
            b"\x06"  # three headers
            b"\x14ingest-pos\x30" + struct.pack(">QQQ", STREAM.generation, 7, 13) + b"\x14ingest-src\x04{}"
            b'\x18ingest-flags\x44{"flags":["partial"],"length":123}'
        )
    )


def test_the_header_of_a_batch_has_each_field_at_its_place():
    options = {"base_offset": 11, "leader_epoch": 5, "producer_id": 77, "producer_epoch": 2, "base_sequence": 40}
    batch = sealed(records(3), transactional=True, **options)
    (header,) = wire.batch_spans(batch)
    for name, value in options.items():
        assert getattr(header, name) == value
    assert (header.start, header.end, header.magic) == (0, len(batch), 2)
    assert (header.first_timestamp, header.max_timestamp) == (NOW, NOW)
    assert (header.count, header.last_offset_delta, header.last_offset, header.next_offset) == (3, 2, 13, 14)
    assert header.transactional
    assert not header.control
    assert header.timestamp_type is wire.TimestampType.CREATE_TIME


@pytest.mark.parametrize("codec", wire.Codec)
def test_a_batch_says_which_codec_it_has(codec):
    batch = sealed(records(100), codec)
    assert wire.batch_spans(batch)[0].codec == codec


@pytest.mark.parametrize("codec", wire.Codec)
def test_what_a_codec_makes_no_smaller_is_left_as_it_is(codec):
    batch = sealed(records(1), codec)
    assert wire.batch_spans(batch)[0].codec == wire.Codec.NONE
    assert batches.columns(batches.decoded(batch)) == [(0, NOW, None, b"value 0")]


@pytest.mark.parametrize("codec", wire.Codec)
def test_a_stamped_batch_is_the_batch_sealed_with_that_state(codec):
    late = sealed(records(100), codec)
    wire.stamp(late, 9, 1, 1000, transactional=True)
    state = {"producer_id": 9, "producer_epoch": 1, "base_sequence": 1000}
    assert late == sealed(records(100), codec, transactional=True, **state)
    wire.stamp(late, 9, 1, 1000)
    assert late == sealed(records(100), codec, **state)


@pytest.mark.parametrize("size", [0, 1, 62, 63, 64, 65, 8190, 8191, 8192, 8193, 1048574, 1048575, 1048576])
def test_values_of_sizes_around_the_borders_of_varints_come_back(size):
    lines = [b"x" * size, b"", b"y" * size]
    batch = wire.seal(wire.encode_lines([(lines_block(lines), b"{}")], NOW), wire.Codec.LZ4)
    assert batches.decoded(batch).values.to_pylist() == lines
    assert [row[3] for row in batches.read_by_kafka_python(batch)] == lines


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 8191, 8192, 8193])
def test_batches_of_row_counts_around_the_borders_of_varints_come_back(rows):
    lines = [b"%d" % row for row in range(rows)]
    batch = wire.seal(wire.encode_lines([(lines_block(lines), b"{}")], NOW), wire.Codec.ZSTD)
    block = batches.decoded(batch)
    assert block.values.to_pylist() == lines
    assert block.offsets.tolist() == list(range(rows))
    assert [row[:4] for row in batches.read_by_kafka_python(batch)] == batches.columns(block)


def test_lines_that_are_all_empty_come_back():
    block = batches.decoded(wire.seal(wire.encode_lines([(lines_block([b""] * 100), b"{}")], NOW), wire.Codec.NONE))
    assert block.values.to_pylist() == [b""] * 100
    assert block.identity.end.tolist() == list(range(1, 101))


def test_blocks_without_lines_add_nothing():
    empty, full = (lines_block([]), b"empty"), (lines_block([b"a"]), b"full")
    block = batches.decoded(wire.seal(wire.encode_lines([empty, full, empty], NOW), wire.Codec.NONE))
    assert (block.rows, block.sources) == (1, {0: b"full"})
    with pytest.raises(ValueError, match="no lines"):
        wire.encode_lines([empty], NOW)


@pytest.mark.parametrize(
    ("starts", "ends"),
    [([0, 2], [2, 99]), ([-1, 2], [1, 3]), ([2, 0], [3, 1]), ([0, 2], [3, 4]), ([0, 3], [1, 2])],
    ids=["past the end", "before the data", "backwards", "overlapping", "negative length"],
)
def test_a_block_whose_values_are_not_in_order_inside_its_data_is_refused(starts, ends):
    good = lines_block([b"a", b"bc"])
    bad = dataclasses.replace(good, starts=np.array(starts), ends=np.array(ends))
    with pytest.raises(ValueError, match=r"ascend|values at"):
        wire.encode_lines([(bad, b"{}")], NOW)


def test_a_flag_outside_its_block_is_refused():
    bad = lines_block([b"a"], flags={1: Flag(("partial",))})
    with pytest.raises(ValueError, match="flag for row 1"):
        wire.encode_lines([(bad, b"{}"), (lines_block([b"b"]), b"{}")], NOW)


# ── what is read ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "own",
    [(position(1, 5, 9),), (), (position(1, 5, 9), (wire.HEADER_SRC, b"s"))],
    ids=["ours", "without headers", "every record with a second header"],
)
@pytest.mark.parametrize("key", [None, b"constant"])
@pytest.mark.parametrize("sizes", [(100,), (3, 100, 9000, 0)], ids=["alike", "of all lengths"])
def test_ordinary_batches_are_never_walked_record_by_record(own, key, sizes, monkeypatch):
    some = [Record(row, NOW + row, key, b"v" * sizes[row % len(sizes)], own) for row in range(200)]
    some[0] = some[0]._replace(headers=(*own, (wire.HEADER_SRC, b"first"))) if own else some[0]
    monkeypatch.setattr(walk, "walk_one_by_one", None)
    assert batches.columns(batches.decoded(sealed(some))) == [row[:4] for row in batches.expected(some)]


def test_batches_of_many_streams_are_never_walked_record_by_record(monkeypatch):
    segments = [(lines_block([b"a", b"b" * row], generation=row), b"%d" % row) for row in range(1, 100)]
    batch = wire.seal(wire.encode_lines(segments, NOW), wire.Codec.LZ4)
    monkeypatch.setattr(walk, "walk_one_by_one", None)
    block = batches.decoded(batch)
    assert block.sources == {2 * row: b"%d" % (row + 1) for row in range(99)}
    assert block.identity.generation[::2].tolist() == list(range(1, 100))


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ((), None),
        ((position(1, 5, 9),), (1, 5, 9)),
        ((position((1 << 64) - 1, 0, (1 << 63) - 1),), ((1 << 64) - 1, 0, (1 << 63) - 1)),
        ((position(1, 9, 9),), None),
        ((position(1, 9, 5),), None),
        ((position(1, 5, 1 << 63),), None),
        (((wire.HEADER_POS, b"short"),), None),
        (((wire.HEADER_POS, None),), None),
        (((wire.HEADER_POS, bytes(25)),), None),
        ((("ingest-pox", position(1, 5, 9)[1]),), None),
        ((position(1, 5, 9), position(2, 6, 7)), (2, 6, 7)),
        ((position(1, 5, 9), (wire.HEADER_POS, b"")), (1, 5, 9)),
        ((position(1, 5, 9), position(2, 7, 6)), (1, 5, 9)),
        ((("trace", b"x"), position(1, 5, 9), ("trace", None)), (1, 5, 9)),
    ],
)
@pytest.mark.parametrize("count", [1, 100])
def test_identity_is_the_last_valid_position_header(headers, identity, count):
    block = batches.decoded(sealed(records(count, headers=headers)))
    assert [found for found, _, _ in batches.carried(block)] == [identity] * count


def test_timestamps_are_missing_where_the_batch_has_none():
    block = batches.decoded(sealed(records(3, timestamp=-1)))
    assert block.timestamps.tolist() == [-1, -1, -1]


def test_a_batch_thinned_out_by_compaction_accounts_for_all_its_offsets():
    thin = [Record(delta, NOW, b"k", b"v") for delta in (3, 4, 90)]
    last = dataclasses.replace(batches.encoded(thin), last_offset_delta=99)
    block = batches.decoded(wire.seal(last, wire.Codec.NONE, base_offset=1000))
    assert block.offsets.tolist() == [1003, 1004, 1090]
    assert block.next_offset == 1100


@pytest.mark.parametrize("codec", wire.Codec)
def test_a_batch_emptied_by_compaction_moves_the_next_offset(codec):
    empty = dataclasses.replace(batches.encoded([]), last_offset_delta=9)
    buffer = wire.seal(empty, wire.Codec.NONE, base_offset=50)
    struct.pack_into(">h", buffer, 21, codec)
    block = batches.decoded(buffer, check_crc=False)
    assert (block.rows, block.next_offset, block.keys) == (0, 60, None)
    assert batches.columns(block) == []


def test_a_batch_wholly_before_the_fetch_offset_has_no_rows():
    block = batches.decoded(sealed(records(3, headers=(position(1, 5, 9), (wire.HEADER_SRC, b"s")))), fetch_offset=3)
    assert (block.rows, block.next_offset, block.sources) == (0, 3, {})
    assert block.identity.present.tolist() == []


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        (struct.pack(">hh", 0, 0), wire.ControlType.ABORT),
        (struct.pack(">hh", 0, 1), wire.ControlType.COMMIT),
        (struct.pack(">hh", 0, 2), None),
        (struct.pack(">hhq", 1, 1, 0), wire.ControlType.COMMIT),
    ],
)
def test_control_batches_say_commit_or_abort(key, meaning):
    marker = [Record(0, NOW, key, struct.pack(">hi", 0, 1))]
    batch = sealed(marker, control=True, transactional=True, producer_id=5, producer_epoch=0)
    (header,) = wire.batch_spans(batch)
    assert header.control
    assert header.transactional
    assert wire.control_type(batch, header) is meaning
    if len(key) == 4:  # All that kafka-python takes.
        theirs = next(iter(batches.DefaultRecordBatch(bytes(batch))))
        assert (theirs.abort, theirs.commit) == (meaning is wire.ControlType.ABORT, meaning is wire.ControlType.COMMIT)


@pytest.mark.parametrize("key", [None, b"", b"\0\0"])
def test_a_control_batch_without_a_marker_is_corrupt(key):
    batch = sealed([Record(0, NOW, key, b"")], control=True)
    with pytest.raises(wire.CorruptBatch, match=r"topic logs partition 3: .* without a marker"):
        wire.control_type(batch, wire.batch_spans(batch)[0], "logs", 3)


# ── fetch responses ──────────────────────────────────────────────────────────────────


def response(*sizes):
    """Batches of these many records each, one after the other."""
    buffer, base = b"", 0
    for size in sizes:
        buffer += bytes(sealed(records(size), base_offset=base))
        base += size
    return buffer


@pytest.mark.parametrize("cut", [1, 50, 61, 70, 100])
def test_a_last_batch_cut_short_is_left_out(cut):
    whole = response(3, 5)
    assert [header.count for header in wire.batch_spans(whole + whole[: len(whole) - cut])[:2]] == [3, 5]
    assert [header.count for header in wire.batch_spans(response(3, 5)[:-cut])] == [3]
    assert wire.batch_spans(response(1)[:-1]) == []


@pytest.mark.parametrize("magic", [0, 1, 3])
def test_other_message_formats_are_named(magic):
    buffer = bytearray(response(1))
    buffer[16] = magic
    with pytest.raises(wire.OldFormat, match=f"format {magic}") as caught:
        wire.batch_spans(buffer)
    assert isinstance(caught.value, Fatal)


@pytest.mark.parametrize("length", [-1, 0, 48])
def test_a_length_too_short_for_a_batch_is_corrupt(length):
    buffer = bytearray(response(2, 3))
    second = wire.batch_spans(buffer)[1].start
    struct.pack_into(">i", buffer, second + 8, length)
    with pytest.raises(wire.CorruptBatch, match=f"topic logs partition 3: the record batch at offset 2 .* {length} "):
        wire.batch_spans(buffer, "logs", 3)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind):
    buffer = kind(response(2, 3))
    (block,) = wire.decode_batches(buffer, wire.batch_spans(buffer), "logs", 3, 0)
    assert block.offsets.tolist() == [0, 1, 2, 3, 4]


def test_blocks_are_as_big_as_bounded(monkeypatch):
    buffer = response(10, 10, 10, 300, 10)
    monkeypatch.setattr("ingest.broker.wire.decode.BLOCK_BYTES", 700)
    blocks = list(wire.decode_batches(buffer, wire.batch_spans(buffer), "logs", 3, 0))
    assert [block.rows for block in blocks] == [30, 300, 10]
    assert [block.next_offset for block in blocks] == [30, 330, 340]
    assert sum(block.nbytes for block in blocks) == len(buffer)


@pytest.mark.parametrize("place", ["body", "offset delta", "base offset"])
def test_what_comes_before_a_corrupt_batch_comes_out_first(place):
    buffer = bytearray(response(3, 4, 5, 6))
    third = wire.batch_spans(buffer)[2].start
    match place:
        case "body":
            buffer[third + 61] ^= 2
        case "offset delta":
            buffer[third + 61 + 3] = 100
        case "base offset":
            struct.pack_into(">q", buffer, third, 6)
    blocks = wire.decode_batches(buffer, wire.batch_spans(buffer), "logs", 3, 0, check_crc=False)
    taken = []
    with pytest.raises(wire.CorruptBatch) as caught:
        taken.extend(row for block in blocks for row in block.offsets.tolist())
    assert taken == [0, 1, 2, 3, 4, 5, 6]
    assert caught.value.base_offset == (6 if place == "base offset" else 7)


# ── corruption ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "form", "value", "problem"),
    [
        ("count", ">57xi", 0, "its 0 records end at byte 0"),
        ("count", ">57xi", 2, "its 2 records end at byte"),
        ("count", ">57xi", 4, "it ends after 3 of 4 records"),
        ("count", ">57xi", -1, "-1 records do not fit"),
        ("count", ">57xi", (1 << 31) - 1, "2147483647 records do not fit"),
        ("last offset delta", ">23xi", 1, "offset delta 2, the batch's last one is 1"),
        ("last offset delta", ">23xi", -1, "its offsets can't be"),
        ("base offset", ">q", -5, "begins before offset 0"),
        ("base offset", ">q", (1 << 63) - 3, "its offsets can't be"),
        ("codec", ">21xh", 3, "lz4 can't decompress it"),
        ("codec", ">21xh", 7, "no codec has the number 7"),
    ],
)
def test_a_header_that_contradicts_its_records_is_corrupt(field, form, value, problem):
    batch = sealed(records(3))
    head = struct.calcsize(form) - struct.calcsize(">" + form[-1])
    struct.pack_into(">" + form[-1], batch, head, value)
    with pytest.raises(wire.CorruptBatch, match=problem):
        batches.decoded(batch, check_crc=False)


@pytest.mark.parametrize("checked", [True, False])
def test_the_checksum_is_looked_at_unless_told_otherwise(checked):
    batch = sealed(records(3))
    batch[-2] ^= 1  # inside the last value
    if checked:
        with pytest.raises(wire.CorruptBatch, match=r"topic logs partition 3: .* at offset 0 .* checksum"):
            batches.decoded(batch)
    else:
        assert batches.decoded(batch, check_crc=False).rows == 3


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"\x0c\x00\x00\x00\x01\x01\x00", None),
        (b"\x8c\x00\x00\x00\x00\x01\x01\x00", None),
        (b"\x0c\x00\x00\x00\x03\x7f\x00", None),
        (b"\x0c\x00\x80\x00\x00\x01\x00", "the headers of a record end|can't have|runs past"),
        (b"\x0c\x00\x00\x00\x01\x01\x02", "a record can't have 1 headers"),
        (b"\x0c\x00\x00\x00\x01\x01\x01", "a record can't have -1 headers"),
        (b"\x0c\x00\x00\x00\x01\x01\x80", "a record can't have|runs past"),
        (b"\x0c\x00\x00\x00\x01\x7e\x00", "a record can't have|runs past"),
        (b"\x0d\x00\x00\x00\x01\x01\x00", "the length of its record 0"),
        (b"\x80\x80\x80\x80\x80\x01\x00\x00\x00\x00\x00\x00", "the length of its record 0"),
        (b"\x0e\x00\x00\x00\x01\x01\x00\x00", "the headers of a record end -1 bytes after it"),
        (b"\x12\x00\x00\x00\x01\x01\x02\x01\x00\x00", "a header without a name"),
        (b"\x12\x00\x00\x00\x01\x01\x02\x04ab", "runs past|does not fit"),
        (b"\x12\x00\x00\x00\x01\x01\x02\x7eab", "a header of 63 bytes does not fit"),
        (b"\x12\x00\x00\x80\x80\x80\x80\x80\x01\x01", "more than 5 bytes"),
    ],
)
@pytest.mark.parametrize("count", [1, 64])
def test_a_record_that_contradicts_itself_is_corrupt(record, problem, count):
    body = record + b"".join(b"\x0c\x00\x00%c\x01\x01\x00" % (2 * row) for row in range(1, count))
    batch = wire.seal(wire.EncodedRecords(body, count, NOW, NOW, count - 1), wire.Codec.NONE)
    if problem is None:
        assert batches.decoded(batch).values.to_pylist() == [None] * count
    else:
        with pytest.raises(wire.CorruptBatch, match=problem):
            batches.decoded(batch)


@pytest.mark.parametrize("deltas", [[0, 0], [1, 0], [5, 5, 6]])
def test_offsets_that_do_not_ascend_are_corrupt(deltas):
    some = [Record(delta, NOW, None, b"v") for delta in deltas]
    last = dataclasses.replace(batches.encoded(some), last_offset_delta=9)
    with pytest.raises(wire.CorruptBatch, match="comes after"):
        batches.decoded(wire.seal(last, wire.Codec.NONE))


def test_a_header_from_elsewhere_reads_nothing_outside_the_buffer():
    batch = sealed(records(3))
    (header,) = wire.batch_spans(batch)
    for start, end in ((-1, 60), (0, len(batch) + 1), (5, 60), (len(batch), len(batch) + 61)):
        with pytest.raises(wire.CorruptBatch, match="said to be at"):
            wire.decode_batch(batch, dataclasses.replace(header, start=start, end=end), "logs", 3, 0)


def test_a_corrupt_batch_says_where_it_is_and_what_to_do():
    batch = sealed(records(3), base_offset=42)
    batch[70] ^= 1
    with pytest.raises(wire.CorruptBatch) as caught:
        batches.decoded(batch)
    error = caught.value
    assert isinstance(error, Fatal)
    assert (error.topic, error.partition, error.base_offset) == ("logs", 3, 42)
    assert "kafka-dump-log" in str(error)


# ── joins and slices ──────────────────────────────────────────────────────────────────


def test_joined_blocks_keep_every_column_in_its_place():
    first = sealed(records(2, headers=(position(1, 5, 9), (wire.HEADER_SRC, b"s"))))
    second = sealed(records(3, key=b"k", value=None), base_offset=10, leader_epoch=4)
    third = sealed(records(1, headers=((wire.HEADER_FLAGS, b"f"),)), base_offset=20, leader_epoch=6)
    joined = wire.concat([batches.decoded(batch) for batch in (first, second, third)])
    assert [row[0] for row in batches.columns(joined)] == [0, 1, 10, 11, 12, 20]
    assert joined.keys.to_pylist() == [None, None, b"k", b"k", b"k", None]
    assert joined.values.null_count == 3
    assert joined.identity.present.tolist() == [True, True, False, False, False, False]
    assert (joined.sources, joined.flags) == ({0: b"s", 1: b"s"}, {5: b"f"})
    assert (joined.next_offset, joined.leader_epoch) == (21, 6)
    assert joined.nbytes == len(first) + len(second) + len(third)


def test_blocks_that_do_not_belong_together_are_not_joined():
    block = batches.decoded(sealed(records(2)))
    with pytest.raises(ValueError, match="no blocks"):
        wire.concat([])
    with pytest.raises(ValueError, match="several topic partitions"):
        wire.concat([block, dataclasses.replace(block, partition=4)])
    with pytest.raises(ValueError, match="not consecutive"):
        wire.concat([block, block])


def test_only_the_last_slice_of_a_block_carries_what_is_true_of_its_end():
    whole = dataclasses.replace(
        lines_block([b"a", b"b", b"c"], begin=5, flags={0: Flag(("truncated",), 9), 2: Flag(("partial",))}),
        end=100,
        boundary=True,
        state={"x": 1},
    )
    first, last = wire.slice_block(whole, 0, 2), wire.slice_block(whole, 2, 3)
    assert (first.end, first.boundary, first.state, first.flags) == (9, False, {}, {0: Flag(("truncated",), 9)})
    assert (last.end, last.boundary, last.state, last.flags) == (100, True, {"x": 1}, {0: Flag(("partial",))})
    assert first.positions.tolist() == [5, 7, 9]
    assert last.positions.tolist() == [9, 11]
    assert first.data is whole.data


def test_records_can_be_encoded_without_keys_headers_and_offsets():
    values = pa.array([b"a", None, b""], pa.binary())
    batch = wire.seal(wire.encode_records(values, np.array([NOW, NOW - 1, NOW + 1])), wire.Codec.NONE)
    assert batches.columns(batches.decoded(batch)) == [
        (0, NOW, None, b"a"),
        (1, NOW - 1, None, None),
        (2, NOW + 1, None, b""),
    ]
    assert wire.batch_spans(batch)[0].max_timestamp == NOW + 1
