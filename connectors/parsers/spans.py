"""Pieces of one buffer of bytes, many at a time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import Bools, Int64s

Bytes: TypeAlias = npt.NDArray[np.uint8]

QUOTE, COLON, BACKSLASH = b'":\\'


def bytes_of(text: pa.StringArray) -> tuple[Bytes, Int64s]:
    """Return the buffer of an array's bytes, and int64[n + 1], where its values start and the last one ends."""
    if not len(text):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = text.buffers()
    bounds = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), bounds


def texts(data: Bytes, starts: Int64s, ends: Int64s, kind: pa.DataType) -> pa.Array:
    """Return pieces of the buffer as an array of strings or binaries, copied one after another.

    Args:
        data: fewer than 2^31 bytes; of strings, valid UTF-8 in each piece.
        starts: int64[n].
        ends: int64[n], exclusive.
        kind: pa.string() or pa.binary().
    """
    rows = len(starts)
    if not rows:
        return pa.array([], kind)
    # Every second value is a piece; those between are never looked at, though some may end before they start.
    bounds = np.empty(2 * rows + 2, np.int32)
    bounds[0] = 0
    bounds[1:-1:2] = starts
    bounds[2::2] = ends
    # What `take` believes to be the size of all values: it makes room for the share of those it takes.
    bounds[-1] = min(2 * int((ends - starts).sum()), len(data))
    pieces = pa.Array.from_buffers(kind, 2 * rows + 1, [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    return pieces.take(pa.array(np.arange(1, 2 * rows + 1, 2, dtype=np.int32)))


def string_columns(data: Bytes, starts: Int64s, ends: Int64s, valid: Bools) -> list[pa.StringArray]:
    """Return k columns of n pieces of the buffer, copied at once: a call for each costs more than what it does.

    Args:
        data: see `texts`.
        starts: int64[k, n].
        ends: int64[k, n], exclusive.
        valid: bool[k, n]; the others are null, and where they would be does not matter.
    """
    if not valid.all():
        ends = np.where(valid, ends, starts)
    found = texts(data, starts.ravel(), ends.ravel(), pa.string())
    found = pa.Array.from_buffers(pa.string(), len(found), [bitmap(valid.ravel()), *found.buffers()[1:]])
    size = starts.shape[1]
    return [found.slice(number * size, size) for number in range(len(starts))]


def empty_as_null(text: pa.StringArray) -> pa.StringArray:
    """Return the same texts, not copied, with null for those that are empty."""
    data, bounds = bytes_of(text)
    filled = np.diff(bounds) > 0
    return pa.Array.from_buffers(
        text.type, len(text), [bitmap(filled), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)]
    )


def bitmap(valid: Bools | None) -> pa.Buffer | None:
    """Return which values are not null as Arrow wants it; None = none is null."""
    return None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def equal(data: Bytes, starts: Int64s, text: bytes) -> Bools | np.bool_:
    """Return which of the places hold the text, or True if all do; there must be so many bytes at each."""
    if not len(starts):
        return np.True_
    found = windows(data, len(text))[starts].tobytes()
    if found == text * len(starts):
        return np.True_
    matrix = np.frombuffer(found, np.uint8).reshape(-1, len(text))
    same: Bools = (matrix == np.frombuffer(text, np.uint8)).all(axis=1)
    return same


def exactly(data: Bytes, starts: Int64s, ends: Int64s, text: bytes) -> Bools:
    """Return which of the spans hold the text and nothing else; `starts` and `ends` have any shape."""
    found: Bools = ends - starts == len(text)
    if text and found.any():
        found[found] = equal(data, starts[found], text)
    return found


def windows(data: Bytes, length: int) -> npt.NDArray[Any]:
    """Return `length` bytes from each place in `data`, without copying: an overlapping array of raw bytes.

    Much faster to index than numbers at odd places, and as fast for 30 bytes as for 3.
    """
    return np.ndarray((len(data) - length + 1,), f"V{length}", data, strides=(1,))
