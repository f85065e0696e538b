"""Both directions of the codec against kafka-python's own, on random records."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords

from ingest.broker import wire
from tests.builders import batches

offsets = st.integers(0, 1 << 40)
# Batches of many records are large by design.
quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.data_too_large])


@quick
@given(batches.records(), batches.codecs, offsets)
def test_kafka_python_reads_what_we_write(records, codec, base):
    batch = wire.seal(batches.encoded(records), codec, base_offset=base)
    assert batches.read_by_kafka_python(batch) == batches.expected(records, base)


@quick
@given(batches.records(), batches.codecs, offsets)
def test_we_read_what_kafka_python_writes(records, codec, base):
    block = batches.decoded(batches.built_by_kafka_python(records, codec, base))
    assert batches.columns(block) == [row[:4] for row in batches.expected(records, base)]
    assert batches.carried(block) == [batches.carried_by(record.headers) for record in records]
    assert block.next_offset == base + records[-1].delta + 1


@quick
@given(batches.many_records(), batches.codecs)
def test_we_read_big_batches_of_kafka_python(records, codec):
    block = batches.decoded(batches.built_by_kafka_python(records, codec))
    assert batches.columns(block) == [row[:4] for row in batches.expected(records)]
    assert batches.carried(block) == [batches.carried_by(record.headers) for record in records]


@quick
@given(batches.many_records(max_size=80), st.sampled_from([(-1, -1, -1), (7, 1, 99)]), st.booleans())
def test_uncompressed_batches_are_the_same_bytes_as_kafka_pythons(records, producer, transactional):
    transactional = transactional and producer[0] >= 0
    batch = wire.seal(batches.encoded(records), wire.Codec.NONE, leader_epoch=0)
    wire.stamp(batch, *producer, transactional=transactional)
    assert batch == batches.built_by_kafka_python(records, producer=producer, transactional=transactional)


@quick
@given(batches.records(), batches.codecs, st.integers(-1, 1 << 45))
def test_log_append_time_is_the_timestamp_of_every_record(records, codec, appended):
    batch = wire.seal(batches.encoded(records), codec, timestamp_type=wire.TimestampType.LOG_APPEND_TIME)
    _set_max_timestamp(batch, appended)
    block = batches.decoded(batch, check_crc=False)
    assert block.timestamps.tolist() == [appended] * len(records)
    theirs = batches.DefaultRecordBatch(bytes(batch))
    assert [one.timestamp for one in theirs] == block.timestamps.tolist()


def _set_max_timestamp(batch, milliseconds):
    """As a broker does it."""
    struct.pack_into(">q", batch, 35, milliseconds)


@quick
@given(batches.records(), offsets, st.integers(-3, 30_000))
def test_a_fetch_from_the_middle_drops_the_records_before_it(records, base, skip):
    batch = batches.built_by_kafka_python(records, base_offset=base)
    block = batches.decoded(batch, fetch_offset=base + skip)
    assert batches.columns(block) == [row[:4] for row in batches.expected(records, base) if row[0] >= base + skip]
    kept = [record for record in records if record.delta >= skip]
    assert batches.carried(block) == [batches.carried_by(record.headers) for record in kept]
    assert block.next_offset == base + records[-1].delta + 1


@quick
@given(st.lists(st.tuples(batches.records(), batches.codecs), min_size=1, max_size=5), st.integers(0, 40), st.data())
def test_a_fetch_response_is_read_as_kafka_python_reads_it(parts, cut, data):
    base = data.draw(offsets)
    first = base
    buffer = bytearray()
    for records, codec in parts:
        buffer += batches.built_by_kafka_python(records, codec, base)
        base += records[-1].delta + 1 + data.draw(st.integers(0, 3))
    buffer = bytes(buffer[: len(buffer) - cut])
    theirs = [
        (one.offset, one.timestamp, one.key, one.value)
        for batch in _whole_batches(MemoryRecords(buffer))
        for one in batch
    ]
    spans = wire.batch_spans(buffer)
    fetch_offset = first + data.draw(st.integers(0, 20))
    together = list(wire.decode_batches(buffer, spans, "logs", 3, fetch_offset))
    one_by_one = [wire.decode_batch(buffer, span, "logs", 3, fetch_offset) for span in spans]
    rows = [row for block in together for row in batches.columns(block)]
    assert rows == [row for row in theirs if row[0] >= fetch_offset]
    if spans:
        (block,) = together
        joined = wire.concat(one_by_one)
        assert batches.columns(block) == batches.columns(joined)
        assert batches.carried(block) == batches.carried(joined)
        assert (block.next_offset, block.leader_epoch, block.nbytes) == (
            joined.next_offset,
            joined.leader_epoch,
            joined.nbytes,
        )


def _whole_batches(records):
    while records.has_next():
        yield records.next_batch()
