"""Bytes that nobody should have written: a clear error or records, never anything else."""

import random as randoms

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.broker import wire
from ingest.broker.wire import walk
from ingest.broker.wire.layout import Malformed
from tests.builders import batches

quick = settings(deadline=None, max_examples=100)


def mutated(batch, random):
    """A few bytes changed, taken out, put in or repeated; most of the time the length field is right again."""
    batch = bytearray(batch)
    for _ in range(random.choice([1, 1, 2, 5])):
        at = random.randrange(random.choice([0, 17, 61, 61, 61]) % len(batch), len(batch))
        match random.randrange(5):
            case 0:
                batch[at] = random.choice([0, 1, 2, 127, 128, 255, random.randrange(256)])
            case 1:
                batch[at] ^= 1 << random.randrange(8)
            case 2:
                del batch[at : at + random.randrange(1, 9)]
            case 3:
                batch[at:at] = random.randbytes(random.randrange(1, 9))
            case 4:
                other = random.randrange(len(batch))
                batch[at : at + 8] = batch[other : other + 8]
    if random.random() < 0.8 and len(batch) >= 12:
        batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    return bytes(batch)


def reads_or_refuses(buffer, check_crc):
    try:
        spans = wire.batch_spans(buffer, "logs", 3)
        for block in wire.decode_batches(buffer, spans, "logs", 3, 2, check_crc):
            batches.columns(block)
            batches.carried(block)
            assert (block.offsets >= 2).all()
            assert (block.offsets[1:] > block.offsets[:-1]).all()
            assert not block.rows or block.offsets[-1] < block.next_offset
        for span in spans:
            wire.control_type(buffer, span, "logs", 3)
    except (wire.CorruptBatch, wire.OldFormat):
        pass


@quick
@given(st.one_of(batches.records(), batches.many_records(max_size=90)), batches.codecs, st.integers(0, 1 << 32))
def test_a_mutated_batch_is_read_or_refused(records, codec, seed):
    random = randoms.Random(seed)
    good = wire.seal(batches.encoded(records), codec, base_offset=random.choice([0, 5]))
    for _ in range(20):
        reads_or_refuses(mutated(good, random), check_crc=False)


@quick
@given(batches.records(), batches.codecs, st.integers(0, 1 << 32))
def test_with_the_checksum_a_change_after_it_is_always_refused(records, codec, seed):
    random = randoms.Random(seed)
    batch = wire.seal(batches.encoded(records), codec)
    batch[random.randrange(21, len(batch))] ^= random.randrange(1, 256)
    (span,) = wire.batch_spans(batch)
    with pytest.raises(wire.CorruptBatch, match="checksum"):
        wire.decode_batch(batch, span, "logs", 3, 0)


@quick
@given(st.binary(max_size=300))
def test_rubbish_is_no_batch(rubbish):
    reads_or_refuses(rubbish, check_crc=True)


@quick
@given(batches.many_records(max_size=90), st.integers(0, 1 << 32))
def test_guessing_where_records_begin_agrees_with_walking(records, seed):
    random = randoms.Random(seed)
    body = batches.encoded(records).body
    for section in (body, mutated(body, random), mutated(body, random)):
        if len(section) < 7 * len(records):
            continue  # Too short for so many records, and refused before anybody walks.
        assert walked(walk.walk, section, len(records)) == walked(walk.walk_one_by_one, section, len(records))


def walked(how, section, rows):
    try:
        chain = how(np.frombuffer(section, np.uint8), rows)
    except Malformed:
        return None
    return chain.begins.tolist(), chain.ends.tolist()
