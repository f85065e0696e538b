r"""The codecs that a records section may be compressed with, both ways, with a bound on what comes out.

0 none
1 gzip      one or more members
2 snappy    Xerial's framing: 16 bytes (\x82SNAPPY\0, version, compatible version), then blocks of int32 length + raw
snappy; or one raw snappy block without any framing, as some clients write
3 lz4       one frame with *independent* blocks: brokers refuse linked ones with an unknown server error
4 zstd      one or more frames, with or without their content size
"""

from __future__ import annotations

import enum
import io
import struct
import zlib
from typing import Self

import lz4.frame
import snappy
import zstandard

from ingest.broker.wire.layout import Malformed, Readable

MAX_UNCOMPRESSED = 1 << 30
"""Bytes that one batch may expand to. Brokers bound the compressed size only, and a megabyte can hold a terabyte."""

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_BLOCK = 32 << 10
_SNAPPY_RATIO = 64
"""No element of the snappy format yields more bytes than this for each of its own."""
_LZ4_RATIO = 256
_SIZE = struct.Struct(">i")
_PIECE = 1 << 20


class Codec(enum.IntEnum):
    """A compression codec by its number in a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the codec called "none", "gzip", "snappy", "lz4" or "zstd".

        Raises:
            ValueError: there is none of that name.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            names = ", ".join(codec.name.lower() for codec in cls)
            raise ValueError(f'no codec "{name}"; there are {names}') from None


def compress(codec: Codec, data: Readable) -> bytes:
    """Return `data` compressed, at the fast end of each codec's levels; releases the GIL."""
    match codec:
        case Codec.NONE:
            return bytes(data)
        case Codec.GZIP:
            gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)
            return gzip.compress(data) + gzip.flush()
        case Codec.SNAPPY:
            return _compress_snappy(memoryview(data))
        case Codec.LZ4:
            frame: bytes = lz4.frame.compress(data, block_linked=False, block_size=lz4.frame.BLOCKSIZE_MAX256KB)
            return frame
        case Codec.ZSTD:
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def decompress(codec: int, data: memoryview, limit: int = MAX_UNCOMPRESSED) -> Readable:
    """Return what `data` was before it was compressed.

    Raises:
        Malformed: no such codec, bytes that the codec refuses, bytes left over, or more than `limit` bytes.
    """
    try:
        match codec:
            case Codec.NONE:
                return data
            case Codec.GZIP:
                return _decompress_gzip(data, limit)
            case Codec.SNAPPY:
                return _decompress_snappy(data, limit)
            case Codec.LZ4:
                return _decompress_lz4(data, limit)
            case Codec.ZSTD:
                return _decompress_zstd(data, limit)
    except (zlib.error, snappy.UncompressError, RuntimeError, zstandard.ZstdError, MemoryError) as error:
        raise Malformed(f"{Codec(codec).name.lower()} can't decompress it ({error})") from error
    raise Malformed(f"no codec has the number {codec}")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Malformed(f"it expands to more than {limit} bytes")


def _decompress_gzip(data: memoryview, limit: int) -> bytes:
    members: list[bytes] = []
    left: Readable = data
    room = limit
    while left:
        gzip = zlib.decompressobj(wbits=_GZIP)
        member = gzip.decompress(left, room + 1)
        _check_size(len(member), room)
        if not gzip.eof:
            raise Malformed("its gzip member ends too early")
        members.append(member)
        room -= len(member)
        left = gzip.unused_data
    return b"".join(members)


def _compress_snappy(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK):
        block = snappy.compress(bytes(data[start : start + _XERIAL_BLOCK]))
        parts += (_SIZE.pack(len(block)), block)
    return b"".join(parts)


def _decompress_snappy(data: memoryview, limit: int) -> bytes:
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _decompress_snappy_block(data, limit)
    parts: list[bytes] = []
    room = limit
    at = len(_XERIAL_HEADER)
    while at < len(data):
        if at + _SIZE.size > len(data):
            raise Malformed("its last snappy block ends too early")
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        if size < 0 or at + size > len(data):
            raise Malformed(f"a snappy block of {size} bytes does not fit in it")
        parts.append(_decompress_snappy_block(data[at : at + size], room))
        room -= len(parts[-1])
        at += size
    return b"".join(parts)


def _decompress_snappy_block(block: memoryview, limit: int) -> bytes:
    size = 0
    for step, byte in enumerate(block[:5]):
        size |= (byte & 127) << 7 * step
        if byte < 128:
            break
    # The library allocates what the block claims, so the claim is looked at first.
    _check_size(size, min(limit, _SNAPPY_RATIO * len(block)))
    plain: bytes = snappy.decompress(bytes(block))
    return plain


def _decompress_lz4(data: memoryview, limit: int) -> bytes:
    claimed = lz4.frame.get_frame_info(data)["content_size"]
    _check_size(claimed, min(limit, _LZ4_RATIO * len(data)))
    plain: bytes
    if _LZ4_RATIO * len(data) <= limit:
        plain, used = lz4.frame.decompress(data, return_bytes_read=True)
        if used != len(data):
            raise Malformed(f"{len(data) - used} bytes follow its lz4 frame")
        return plain
    return _decompress_lz4_in_pieces(data, limit)


def _decompress_lz4_in_pieces(data: memoryview, limit: int) -> bytes:
    reader = lz4.frame.LZ4FrameDecompressor()
    pieces = [reader.decompress(data, max_length=_PIECE)]
    size = len(pieces[0])
    while not reader.eof:
        _check_size(size, limit)
        if reader.needs_input:
            raise Malformed("its lz4 frame ends too early")
        pieces.append(reader.decompress(b"", max_length=_PIECE))
        size += len(pieces[-1])
    _check_size(size, limit)
    if reader.unused_data:
        raise Malformed(f"{len(reader.unused_data)} bytes follow its lz4 frame")
    return b"".join(pieces)


def _decompress_zstd(data: memoryview, limit: int) -> bytes:
    claimed = zstandard.frame_content_size(data)
    if 0 < claimed <= min(limit, 64 * len(data)):
        try:
            return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        except zstandard.ZstdError:
            pass  # Perhaps several frames: the reader below knows how, and has the last word.
    pieces: list[bytes] = []
    size = 0
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        while piece := reader.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            _check_size(size, limit)
    return b"".join(pieces)
