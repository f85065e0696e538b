import gzip
import io
import zlib

import lz4.frame
import pytest
import snappy
import zstandard
from kafka import codec as reference

from ingest.broker.wire import Codec
from ingest.broker.wire.codecs import compress, decompress
from ingest.broker.wire.layout import Malformed

TEXT = b"".join(b"%d the quick brown fox\n" % number for number in range(20_000))
PACKED = [codec for codec in Codec if codec]
THEIRS = {
    Codec.GZIP: (reference.gzip_encode, reference.gzip_decode),
    Codec.SNAPPY: (reference.snappy_encode, reference.snappy_decode),
    Codec.LZ4: (reference.lz4_encode, reference.lz4_decode),
    Codec.ZSTD: (reference.zstd_encode, reference.zstd_decode),
}


def plain(codec, packed, limit=1 << 30):
    return bytes(decompress(codec, memoryview(packed), limit))


def streamed_zstd(data):
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(data)
    return out.getvalue()


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("data", [b"", b"x", TEXT], ids=["nothing", "a byte", "text"])
def test_every_codec_gives_back_what_it_took(codec, data):
    assert plain(codec, compress(codec, data)) == data


@pytest.mark.parametrize("codec", PACKED)
def test_kafka_python_and_we_read_each_other(codec):
    encode, decode = THEIRS[codec]
    assert plain(codec, encode(TEXT)) == TEXT
    assert decode(compress(codec, TEXT)) == TEXT


@pytest.mark.parametrize(
    ("codec", "packed"),
    [
        (Codec.GZIP, gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        (Codec.SNAPPY, snappy.compress(TEXT)),
        (Codec.LZ4, lz4.frame.compress(TEXT, store_size=False, content_checksum=True)),
        (Codec.ZSTD, zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])),
        (Codec.ZSTD, streamed_zstd(TEXT)),
    ],
    ids=["two gzip members", "snappy without framing", "lz4 without size", "two zstd frames", "zstd without size"],
)
def test_other_writers_ways_are_read_too(codec, packed):
    assert plain(codec, packed) == TEXT


def test_lz4_blocks_are_independent_because_brokers_refuse_linked_ones():
    assert lz4.frame.get_frame_info(compress(Codec.LZ4, TEXT))["block_linked"] is False


@pytest.mark.parametrize("codec", PACKED)
def test_a_batch_that_expands_beyond_the_bound_is_refused(codec):
    with pytest.raises(Malformed, match="more than"):
        plain(codec, compress(codec, bytes(1 << 20)), limit=(1 << 20) - 1)


@pytest.mark.parametrize("codec", PACKED)
def test_a_batch_that_expands_just_to_the_bound_is_read(codec):
    assert plain(codec, compress(codec, bytes(1 << 20)), limit=1 << 20) == bytes(1 << 20)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, (5 << 20) + 3])
def test_long_lz4_frames_are_read_in_pieces_under_a_small_bound(size):
    packed = compress(Codec.LZ4, bytes(size))
    assert plain(Codec.LZ4, packed, limit=size) == bytes(size)
    with pytest.raises(Malformed, match="more than"):
        plain(Codec.LZ4, packed, limit=size - 1)
    with pytest.raises(Malformed):
        plain(Codec.LZ4, packed[:-9], limit=size)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4])
@pytest.mark.parametrize("cut", [1, 3, 10, 500])
def test_bytes_cut_short_are_refused(codec, cut):
    with pytest.raises(Malformed):
        plain(codec, compress(codec, TEXT)[:-cut])


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_bytes_left_over_are_refused(codec):
    with pytest.raises(Malformed):
        plain(codec, compress(codec, TEXT) + b"left over")


@pytest.mark.parametrize("size", [-1, 1 << 30])
def test_a_snappy_block_of_impossible_size_is_refused(size):
    packed = bytearray(compress(Codec.SNAPPY, TEXT))
    packed[16:20] = size.to_bytes(4, "big", signed=True)
    with pytest.raises(Malformed, match="does not fit"):
        plain(Codec.SNAPPY, packed)


def test_sizes_that_are_only_claimed_allocate_nothing():
    claims_4_gib = b"\xff\xff\xff\xff\x0f" + b"\0"
    with pytest.raises(Malformed, match="more than"):
        plain(Codec.SNAPPY, claims_4_gib)
    frame = bytearray(lz4.frame.compress(b"x"))
    frame[6:14] = (1 << 62).to_bytes(8, "little")
    with pytest.raises(Malformed):
        plain(Codec.LZ4, frame)


@pytest.mark.parametrize("number", [5, 6, 7])
def test_codecs_that_do_not_exist_are_refused(number):
    with pytest.raises(Malformed, match=f"no codec has the number {number}"):
        plain(number, b"x")


def test_codecs_have_the_names_of_the_configuration():
    assert [Codec.of(name) for name in ("none", "gzip", "snappy", "lz4", "zstd")] == list(Codec)
    with pytest.raises(ValueError, match="there are none, gzip, snappy, lz4, zstd"):
        Codec.of("brotli")


def test_gzip_is_written_for_speed():
    assert len(compress(Codec.GZIP, TEXT)) > len(zlib.compress(TEXT, 9))
