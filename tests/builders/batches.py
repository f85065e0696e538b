"""Record batches for tests, and kafka-python's own codec as the reference for ours."""

import struct
from random import Random
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from ingest.broker import wire

TOPIC, PARTITION = "logs", 3
VARINT_BORDERS = [0, 1, 63, 64, 8191, 8192]


class Record(NamedTuple):
    """`delta` is the offset's distance from the batch's base offset."""

    delta: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def position(generation, start, end):
    return (wire.HEADER_POS, struct.pack(">QQQ", generation, start, end))


def encoded(records):
    """The records by our own encoder."""
    return wire.encode_records(
        pa.array([record.value for record in records], pa.binary()),
        np.array([record.timestamp for record in records], np.int64),
        np.array([record.delta for record in records], np.int64),
        pa.array([record.key for record in records], pa.binary()),
        [list(record.headers) for record in records],
    )


def built_by_kafka_python(records, codec=wire.Codec.NONE, base_offset=0, producer=(-1, -1, -1), transactional=False):
    builder = DefaultRecordBatchBuilder(2, codec, transactional, *producer, batch_size=1 << 30)
    for record in records:
        assert builder.append(record.delta, record.timestamp, record.key, record.value, list(record.headers))
    batch = builder.build()
    struct.pack_into(">q", batch, 0, base_offset)  # Not covered by the checksum: brokers write it.
    return bytes(batch)


def read_by_kafka_python(batch):
    """[(offset, timestamp, key, value, headers)], checksum proven."""
    theirs = DefaultRecordBatch(bytes(batch))
    assert theirs.validate_crc()
    return [(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in theirs]


def expected(records, base_offset=0):
    """What `read_by_kafka_python` should say."""
    return [(base_offset + one.delta, one.timestamp, one.key, one.value, tuple(one.headers)) for one in records]


def decoded(batch, fetch_offset=0, check_crc=True):
    (header,) = wire.batch_spans(batch)
    return wire.decode_batch(batch, header, TOPIC, PARTITION, fetch_offset, check_crc)


def columns(block):
    """[(offset, timestamp, key, value)] of a RecordBlock, whose arrays must be sound."""
    block.values.validate(full=True)
    keys = [None] * block.rows if block.keys is None else block.keys.to_pylist()
    assert block.keys is None or block.keys.null_count < block.rows
    return list(zip(block.offsets.tolist(), block.timestamps.tolist(), keys, block.values.to_pylist(), strict=True))


def carried(block):
    """[(position, source, flags)] of a RecordBlock, as `carried_by` says it of one list of headers."""
    identity = block.identity
    return [
        (
            (int(identity.generation[row]), int(identity.start[row]), int(identity.end[row]))
            if identity.present[row]
            else None,
            block.sources.get(row),
            block.flags.get(row),
        )
        for row in range(block.rows)
    ]


def carried_by(headers):
    """What a record's headers mean, the slow way."""
    found = {wire.HEADER_POS: None, wire.HEADER_SRC: None, wire.HEADER_FLAGS: None}
    for key, value in headers:
        if value is None or key not in found:
            continue
        if key == wire.HEADER_POS:
            numbers = struct.unpack(">QQQ", value) if len(value) == 24 else (0, 0, 0)
            value = numbers if numbers[1] < numbers[2] < 1 << 63 else found[key]
        found[key] = value
    return tuple(found.values())


# ── strategies ──────────────────────────────────────────────────────────────────

codecs = st.sampled_from(list(wire.Codec))
_sized = st.builds(
    lambda size, byte: bytes([byte]) * size, st.sampled_from([*VARINT_BORDERS, 8190, 200_000]), st.integers(0, 255)
)
_bytes = st.one_of(st.binary(max_size=30), _sized)
_positions = st.one_of(
    st.builds(
        lambda *numbers: struct.pack(">QQQ", *numbers),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, (1 << 63) - 2),
        st.integers(0, (1 << 63) + 1),
    ),
    st.binary(min_size=22, max_size=26),
)
headers = st.lists(
    st.one_of(
        st.tuples(st.just(wire.HEADER_POS), _positions),
        st.tuples(
            st.sampled_from([wire.HEADER_POS, wire.HEADER_SRC, wire.HEADER_FLAGS, "trace", "", "é"]),
            st.none() | st.binary(max_size=40),
        ),
    ),
    max_size=4,
).map(tuple)


@st.composite
def records(draw, max_size=8):
    """Few records of every kind, with offset gaps."""
    gaps = st.one_of(st.just(1), st.integers(1, 10_000))
    delta = -1
    result = []
    for _ in range(draw(st.integers(1, max_size))):
        delta += draw(gaps)
        timestamp = draw(st.integers(-1, 1 << 45))
        result.append(Record(delta, timestamp, draw(st.none() | _bytes), draw(st.none() | _bytes), draw(headers)))
    return result


@st.composite
def many_records(draw, min_size=50, max_size=300):
    """Many records, alike as those of one producer are, with now and then an odd one: what the fast ways are for."""
    # A seed and not its choices: there would be more of them than hypothesis takes.
    random = Random(draw(st.integers(0, 1 << 32)))
    rows = draw(st.integers(min_size, max_size))
    width = draw(st.sampled_from([0, 5, 40, 64, 300, 9000]))
    alphabet = draw(st.sampled_from([b"ab ", b"\0\1", b"\x14ingest-pos\x30\0\2", bytes(range(256))]))
    style = draw(st.sampled_from(["bare", "positioned", "foreign"]))
    odd = draw(st.sampled_from([0.0, 0.02, 0.5]))
    key = draw(st.none() | st.just(b"constant"))
    result = []
    for row in range(rows):
        value = bytes(random.choices(alphabet, k=random.randint(0, width)))
        own: tuple[tuple[str, bytes | None], ...] = ()
        if style == "positioned":
            own = (position(random.getrandbits(64), row * 100, row * 100 + 100),)
        if style == "foreign":
            own = (("trace", random.randbytes(16)), ("span", None))
        if random.random() < odd:
            own = (*own, random.choice([(wire.HEADER_SRC, b"{}"), (wire.HEADER_FLAGS, b"{}"), position(1, 9, 8)]))
            value = random.choice([None, b"", value])
        result.append(Record(row, 1_700_000_000_000 + random.choice([0, 0, 7, -5]), key, value, own))
    return result
