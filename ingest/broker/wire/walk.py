"""Finding where records begin, without reading them one after the other where that can be avoided.

A record says how long it is, so where the last one begins is known only after all others: a chain. Instead of following
it link by link, the fast ways *guess* all links at once and then prove the guess:

    first record begins at 0,  each record's length leads to the beginning of the next,  the last one ends at the end,
    and there are as many as the batch says

A guess that passes is the chain, whatever made it; one that fails costs a little time and the plain walk decides.

    by position header   every record of ours carries `ingest-pos`: find the header, and the record ends 24 bytes on
    by zero bytes        a record without headers ends with a 0 (header count), and the next one's length (1 to 5 bytes)
                         is followed by a 0 (attributes): a pair of zeros so close together is a border
    one by one           the plain walk: a Python loop, about a quarter of a microsecond a record
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest.blocks import Int64s
from ingest.broker.wire.headers import POSITION_HEADER, POSITION_KEY, position_headers, skip_headers
from ingest.broker.wire.layout import Malformed
from ingest.broker.wire.varint import VARINT, Bytes, decode_varint, read_varints

_FEW = 48
"""Up to so many records the plain walk is the faster one."""
_PRUNINGS = 4
_SMALLEST = 7
"""Bytes of a record with nothing in it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the records of one batch are in its records section; n rows.

    Attributes:
        begins: int64[n], each record's first byte after its length.
        ends: int64[n], exclusive; the last one is the end of the section.
    """

    begins: Int64s
    ends: Int64s


def walk(data: Bytes, rows: int) -> Chain:
    """Return where the `rows` records of `data` are.

    Raises:
        Malformed: they are not `rows` records, one after the other, from the first byte to the last.
    """
    if rows < 0 or rows * _SMALLEST > len(data):
        raise Malformed(f"{rows} records do not fit into {len(data)} bytes")
    if rows <= _FEW:
        return walk_one_by_one(data, rows)
    starts = _guess(data, rows)
    chain = None if starts is None else _proven(data, starts, rows)
    return chain or walk_one_by_one(data, rows)


def walk_one_by_one(data: Bytes, rows: int) -> Chain:
    """Follow the chain record by record; what all the other ways must agree with.

    Raises:
        Malformed: as `walk`.
    """
    section = data.tobytes()
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    try:
        for _ in range(rows):
            byte = section[at]
            at += 1
            length = byte & 127
            shift = 7
            while byte > 127:
                byte = section[at]
                at += 1
                length |= (byte & 127) << shift
                shift += 7
            if length & 1 or shift > 7 * VARINT:
                raise Malformed(f"the length of its record {len(begins)} is negative or too long")
            begins.append(at)
            at += length >> 1
            ends.append(at)
    except IndexError:
        raise Malformed(f"it ends after {len(begins)} of {rows} records") from None
    if at != len(section):
        raise Malformed(f"its {rows} records end at byte {at} of {len(section)}")
    return Chain(np.array(begins, np.int64), np.array(ends, np.int64))


def _guess(data: Bytes, rows: int) -> Int64s | None:
    section = data.data
    try:
        length, at = decode_varint(section, 0)
        if POSITION_KEY in section[at : at + max(length, 0)].tobytes():
            return _starts_by_position_header(data, rows)
        return _starts_by_zero_bytes(data, rows)
    except Malformed:
        return None


def _starts_by_position_header(data: Bytes, rows: int) -> Int64s | None:
    keys = np.flatnonzero(data == POSITION_KEY[0])
    keys = keys[(keys > 0) & (keys <= len(data) - POSITION_HEADER.itemsize)]
    keys = keys[data[keys + 1] == POSITION_KEY[1]]
    if len(keys) != rows:  # These two bytes are elsewhere, too. Where they are not, the proof is as good as a look.
        keys = keys[position_headers(data, keys)[0]]
    if len(keys) != rows:
        return None
    ends = keys + POSITION_HEADER.itemsize
    counts = data[keys - 1]
    for row in np.flatnonzero(counts != 2):  # Records with more headers than that one, the first of each stream.
        if counts[row] & 129:
            return None
        ends[row] = skip_headers(data.data, int(ends[row]), int(counts[row] >> 1) - 1)
    return np.concatenate((np.zeros(1, np.int64), ends[:-1]))


def _starts_by_zero_bytes(data: Bytes, rows: int) -> Int64s | None:
    zeros = np.flatnonzero(data == 0)
    if len(zeros) < rows:
        return None
    starts = np.concatenate((np.zeros(1, np.int64), zeros[:-1] + 1))
    near = (zeros > starts) & (zeros - starts <= VARINT)
    near &= (data[zeros - 1] < 128) & (data[starts] & 1 == 0)  # A length ends there, and is not negative.
    starts, bodies = starts[near], zeros[near]
    lengths, begins = read_varints(data, starts) if len(starts) else (starts, starts)
    straight = begins == bodies
    return _pruned(starts[straight], (begins + lengths)[straight], len(data), rows)


def _pruned(starts: Int64s, ends: Int64s, size: int, rows: int) -> Int64s | None:
    """Drop guesses that no other guess leads to, or that lead to none, until `rows` are left."""
    for _ in range(_PRUNINGS):
        if len(starts) <= rows:
            break
        leads = np.isin(ends, starts) | (ends == size)
        keep = leads & ((starts == 0) | np.isin(starts, ends[leads]))
        if keep.all():
            break
        starts, ends = starts[keep], ends[keep]
    return starts if len(starts) == rows else None


def _proven(data: Bytes, starts: Int64s, rows: int) -> Chain | None:
    """Return the chain if `starts`, int64[n], begin all records; None = the guess was wrong."""
    lengths, begins = read_varints(data, starts)
    ends = begins + lengths
    if lengths.min() < 0 or ends[-1] != len(data) or (ends[:-1] != starts[1:]).any():
        return None
    return Chain(begins, ends)
