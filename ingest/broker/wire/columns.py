"""The fields of many records → columns.

Each field is read for all records at once, one field after the other, because where the next one is is known when the
one before was read. Reads past the end are harmless (they yield rubbish) and show at last: every record's headers
section must be there, and end exactly where the record ends.

Headers sections come in three kinds. Empty ones, and those of `ingest-pos` alone, are recognised and read in columns;
any other (the first record of a stream, flagged records, foreign headers) is read by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.blocks import Identity, Int64s
from ingest.broker.wire.headers import (
    POSITION_LIMIT,
    POSITION_SECTION,
    position_headers,
    read_headers,
)
from ingest.broker.wire.layout import Malformed
from ingest.broker.wire.pieces import copy_pieces
from ingest.broker.wire.varint import VARLONG, Bytes, read_varints


@dataclass(frozen=True, slots=True)
class Fields:
    """Where the fields of n records are, and the small ones themselves; all int64[n].

    Attributes:
        timestamp_deltas, offset_deltas: as they stand there.
        keys, values: first byte of each.
        key_lengths, value_lengths: negative = null.
        headers: first byte of each headers section.
        ends: end (exclusive) of each record, and so of its headers section.
    """

    timestamp_deltas: Int64s
    offset_deltas: Int64s
    keys: Int64s
    key_lengths: Int64s
    values: Int64s
    value_lengths: Int64s
    headers: Int64s
    ends: Int64s


def read_fields(data: Bytes, begins: Int64s, ends: Int64s) -> Fields:
    """Read everything before the headers of the records [begins, ends) (attributes to end, without the length).

    What comes back is only true of records whose headers `read_identity` then finds in order.

    Raises:
        Malformed: a number is too long.
    """
    timestamp_deltas, at = read_varints(data, begins + 1, VARLONG)
    offset_deltas, at = read_varints(data, at)
    key_lengths, keys = read_varints(data, at)
    value_lengths, values = read_varints(data, keys + np.maximum(key_lengths, 0))
    headers = values + np.maximum(value_lengths, 0)
    return Fields(timestamp_deltas, offset_deltas, keys, key_lengths, values, value_lengths, headers, ends)


def read_identity(data: Bytes, fields: Fields) -> tuple[Identity, dict[int, bytes], dict[int, bytes]]:
    """Read all headers: identity, row → `ingest-src`, row → `ingest-flags`. Proves that `fields` are what they seem.

    Raises:
        Malformed: a record's fields do not fill it exactly.
    """
    sizes = fields.ends - fields.headers
    counts = data.take(fields.headers, mode="clip")
    alone = (counts == 2) & (sizes == POSITION_SECTION)
    ours, (generation, start, end) = position_headers(data, fields.headers + 1)
    alone &= ours
    present = alone & (start < end) & (end < POSITION_LIMIT)
    for column in (generation, start, end):
        column *= present
    other = ~alone & ((counts != 0) | (sizes != 1))
    sources: dict[int, bytes] = {}
    flags: dict[int, bytes] = {}
    section = data.data
    for row in np.flatnonzero(other).tolist():
        try:
            carried = read_headers(section, int(fields.headers[row]), int(fields.ends[row]))
        except Malformed as error:
            raise Malformed(error.problem, row) from error
        if carried.position is not None:
            present[row] = True
            generation[row], start[row], end[row] = carried.position
        if carried.source is not None:
            sources[row] = carried.source
        if carried.flags is not None:
            flags[row] = carried.flags
    return Identity(present, generation, start.view(np.int64), end.view(np.int64)), sources, flags


def read_values(data: Bytes, starts: Int64s, lengths: Int64s) -> pa.BinaryArray:
    """Return the bytes [start, start + length) as an array, null where the length is negative."""
    array = copy_pieces(data, starts, starts + np.maximum(lengths, 0))
    null = lengths < 0
    if not null.any():
        return array
    valid = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(lengths), [valid, *array.buffers()[1:]])
