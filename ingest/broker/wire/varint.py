"""Variable-length integers, one at a time and in columns.

A number is zigzag encoded (0, -1, 1, -2 … become 0, 1, 2, 3 …), then written seven bits a byte, low bits first; every
byte but the last has its high bit set. In records a `varint` is at most 5 bytes, a `varlong` (timestamp delta) 10.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.blocks import Int64s
from ingest.broker.wire.layout import Malformed, Readable

Bytes: TypeAlias = npt.NDArray[np.uint8]

VARINT = 5
VARLONG = 10
_FIT_32 = 4
"""So many bytes, of seven bits each, fit into 32 bits."""
_BORDERS = tuple(1 << (7 * bytes_ - 1) for bytes_ in range(1, 5))
"""64, 8192, 1048576, 134217728: from each of these on a non-negative number takes one byte more."""


def encode_varint(value: int) -> bytes:
    """Return `value`, a signed 64-bit number, as a varint."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def decode_varint(data: Readable, at: int) -> tuple[int, int]:
    """Read the varint at `at`; return it and the position after it.

    Raises:
        Malformed: it runs past the end, or over 5 bytes.
    """
    if at < len(data) and (byte := data[at]) < 128:
        return (byte >> 1) ^ -(byte & 1), at + 1
    bits = 0
    for step, byte in enumerate(data[at : at + VARINT]):
        bits |= (byte & 127) << 7 * step
        if byte < 128:
            return (bits >> 1) ^ -(bits & 1), at + step + 1
    raise Malformed("a number runs past its end")


def widths(values: Int64s) -> Int64s:
    """Return how many bytes each of the non-negative `values` (below 2^34) takes."""
    result = np.ones(len(values), np.int64)
    most = int(values.max(initial=0))
    for border in _BORDERS:
        if most < border:
            break
        result += values >= border
    return result


def write_varints(target: Bytes, values: Int64s, width: int) -> None:
    """Write non-negative `values`, all of the same width, into the columns of `target`, uint8[n, width]."""
    bits = values << 1
    for column in range(width):
        target[:, column] = (bits >> 7 * column) & 127 | (128 if column < width - 1 else 0)


def read_varints(data: Bytes, at: Int64s, most: int = VARINT) -> tuple[Int64s, Int64s]:
    """Read a varint at each of the positions `at`; return the numbers and the positions after them.

    Positions past the end of `data` are read as its last byte and yield rubbish: whoever calls must check, sooner or
    later, that the positions after stay inside. Positions only ever grow, so one check at the end is enough.

    Raises:
        Malformed: one runs over `most` bytes.
    """
    byte = data.take(at, mode="clip")
    after = at + 1
    if byte.max(initial=0) < 128:
        return _SHORT.take(byte), after
    bits: npt.NDArray[Any] = (byte & 127).astype(np.uint32)
    longer = byte > 127
    for step in range(1, most):
        if step == _FIT_32:
            bits = bits.astype(np.uint64)
        byte = data.take(after, mode="clip")
        more = (byte & 127).astype(bits.dtype) << bits.dtype.type(7 * step)
        if longer.all():
            bits |= more
            after += 1
        else:
            bits |= more * longer.astype(bits.dtype)
            after += longer.astype(np.int64)
        longer &= byte > 127
        if not longer.any():
            return _unzigzag(bits), after
    raise Malformed(f"a number of more than {most} bytes", int(longer.argmax()))


def _unzigzag(bits: npt.NDArray[Any]) -> Int64s:
    signed = f"i{bits.itemsize}"
    one = bits.dtype.type(1)
    result: Int64s = ((bits >> one).view(signed) ^ -(bits & one).view(signed)).astype(np.int64, copy=False)
    return result


_SHORT = _unzigzag(np.arange(128, dtype=np.uint64))
"""The numbers of one byte."""
