"""Copying many pieces of one buffer together, in C and without the GIL.

Arrow's `take` on a binary array is the fastest gather of byte strings there is in reach. Its offsets array says
"element k is [offsets[k], offsets[k + 1])", so with starts and ends interleaved

    offsets    start 0, end 0, start 1, end 1, …

the even elements are the pieces and the odd ones what lies between them, which nobody takes (and which may
therefore be of negative length: pieces can be in any order, and overlap).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.blocks import Int64s
from ingest.broker.wire.varint import Bytes

LIMIT = (1 << 31) - 1
"""Bytes that a buffer may have, and the pieces together: Arrow's offsets are 32 bits wide."""


def copy_pieces(buffer: Bytes, starts: Int64s, ends: Int64s) -> pa.BinaryArray:
    """Return the pieces [starts[k], ends[k]) of `buffer` as a binary array without nulls.

    Nothing is checked: 0 <= start <= end <= len(buffer) <= LIMIT must hold, or memory is read that is not ours.
    """
    rows = len(starts)
    offsets = np.empty(2 * rows, np.int32)
    offsets[0::2] = starts
    offsets[1::2] = ends
    elements = max(2 * rows - 1, 0)
    pieces = pa.Array.from_buffers(pa.binary(), elements, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
    return pieces.take(pa.array(np.arange(0, elements, 2, dtype=np.int32)))


def room(size: int) -> Bytes:
    """Return `size` uninitialised bytes from Arrow's pool, which keeps big ones instead of giving them back."""
    return np.frombuffer(pa.allocate_buffer(size), np.uint8)
