"""The three headers that travel with a record, and the headers section of a record in general.

    section   count varint, then per header: key length varint, key, value length varint (-1 = null), value

    ingest-pos     24 bytes: generation, start, end; unsigned 64-bit, big endian; valid when start < end < 2^63
    ingest-src     JSON about the stream; on the first record of each stream in a batch
    ingest-flags   JSON {"flags": […], "length": …}; on unusual records only

The last header of a name counts, as everywhere in Kafka; of `ingest-pos` the last valid one. So a stream processor that
copies headers and a second shipper that adds its own agree about who speaks.

A section that holds `ingest-pos` alone is 37 bytes: 02 14 "ingest-pos" 30, and the value.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np

from ingest.blocks import Bools, Flag, Int64s, UInt64s
from ingest.broker.wire.layout import Malformed, Readable
from ingest.broker.wire.varint import Bytes, decode_varint, encode_varint

HEADER_POS = "ingest-pos"
HEADER_SRC = "ingest-src"
HEADER_FLAGS = "ingest-flags"

_POSITION = struct.Struct(">QQQ")
POSITION_SIZE = _POSITION.size
POSITION_KEY = encode_varint(len(HEADER_POS)) + HEADER_POS.encode() + encode_varint(POSITION_SIZE)
"""What stands between the header count and the 24 bytes of the position."""
POSITION_SECTION = 1 + len(POSITION_KEY) + POSITION_SIZE
"""Bytes of a headers section that holds the position alone."""
POSITION_LIMIT = 1 << 63

POSITION_HEADER = np.dtype([("head", "<u8"), ("tail", "<u4"), ("generation", ">u8"), ("start", ">u8"), ("end", ">u8")])
"""POSITION_KEY, as two numbers, and the position."""
_HEAD = int.from_bytes(POSITION_KEY[:8], "little")
_TAIL = int.from_bytes(POSITION_KEY[8:], "little")

_POS_KEY = HEADER_POS.encode()
_SRC_KEY = HEADER_SRC.encode()
_FLAGS_KEY = HEADER_FLAGS.encode()


@dataclass(slots=True)
class Carried:
    """What one record's headers say. `position` is (generation, start, end)."""

    position: tuple[int, int, int] | None = None
    source: bytes | None = None
    flags: bytes | None = None


def encode_header(key: str, value: bytes | None) -> bytes:
    """Return one header as it stands in a record."""
    name = key.encode()
    if value is None:
        return encode_varint(len(name)) + name + encode_varint(-1)
    return encode_varint(len(name)) + name + encode_varint(len(value)) + value


def flag_value(flag: Flag) -> bytes:
    """Return the value of `ingest-flags`: canonical JSON (sorted, no spaces, UTF-8)."""
    members: dict[str, object] = {"flags": list(flag.names)}
    if flag.length is not None:
        members["length"] = flag.length
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def position_value(generation: int, start: int, end: int) -> bytes:
    """Return the value of `ingest-pos`."""
    return _POSITION.pack(generation, start, end)


def position_headers(data: Bytes, at: Int64s) -> tuple[Bools, tuple[UInt64s, UInt64s, UInt64s]]:
    """Look for an `ingest-pos` header at each of the positions `at` (>= 0). Past the end there is none.

    Returns:
        Where there is one; and generation, start and end as they would stand there, unchecked.
    """
    size = POSITION_HEADER.itemsize
    if len(data) < size:
        nothing = np.zeros(len(at), np.uint64)
        return np.zeros(len(at), np.bool_), (nothing, nothing.copy(), nothing.copy())
    # Of all windows of that size, one at each byte; as void numpy moves each with one copy, whatever its alignment.
    windows = np.ndarray((len(data) - size + 1,), np.dtype((np.void, size)), data, strides=(1,))
    inside = at < len(windows)
    seen = windows[np.minimum(at, len(windows) - 1)].view(POSITION_HEADER)
    numbers = seen["generation"].astype(np.uint64), seen["start"].astype(np.uint64), seen["end"].astype(np.uint64)
    return inside & (seen["head"] == _HEAD) & (seen["tail"] == _TAIL), numbers


def read_headers(data: Readable, at: int, end: int) -> Carried:
    """Read the headers section [at, end) of one record.

    Raises:
        Malformed: it is shorter or longer than it says.
    """
    carried = Carried()
    count, at = decode_varint(data, at)
    if not 0 <= count <= end - at:
        raise Malformed(f"a record can't have {count} headers")
    for _ in range(count):
        key, at = _read_bytes(data, at, end)
        value, at = _read_bytes(data, at, end)
        if key is None:
            raise Malformed("a record has a header without a name")
        if value is not None:
            _carry(carried, key, value)
    if at != end:
        raise Malformed(f"the headers of a record end {at - end} bytes after it")
    return carried


def skip_headers(data: Readable, at: int, count: int) -> int:
    """Return the position after `count` headers that begin at `at`.

    Raises:
        Malformed: they run past the end.
    """
    for _ in range(count):
        _, at = _read_bytes(data, at, len(data))
        _, at = _read_bytes(data, at, len(data))
    return at


def _carry(carried: Carried, key: bytes, value: bytes) -> None:
    if key == _POS_KEY and len(value) == POSITION_SIZE:
        generation, start, end = _POSITION.unpack(value)
        if start < end < POSITION_LIMIT:
            carried.position = (generation, start, end)
    elif key == _SRC_KEY:
        carried.source = value
    elif key == _FLAGS_KEY:
        carried.flags = value


def _read_bytes(data: Readable, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(data, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise Malformed(f"a header of {size} bytes does not fit in its record")
    return bytes(data[at : at + size]), at + size
