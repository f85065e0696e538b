r"""Lines and records → the records section of a batch, uncompressed.

One record:

    length          varint     bytes after this field
    attributes      int8       0, nothing is defined
    timestamp delta varlong    to the batch's first timestamp
    offset delta    varint     to the batch's base offset
    key length      varint     -1 = null; then the key
    value length    varint     -1 = null; then the value
    headers                    see `headers`

`encode_lines` writes no record by itself. It lays out, in one pool of bytes, a *prefix* for each line (all fields up to
the value length), a *suffix* for each line (header count and `ingest-pos`, 37 bytes), the rare *extra* headers, and the
values as they stand in the blocks; then the pieces are copied together in the order of the wire:

    pool     │ prefix 0 ▒ prefix 1 ▒ … │ suffix 0 suffix 1 … │ extras │ value 0 ▒ value 1 ▒ … │      ▒ = gap
    body     prefix 0, value 0, suffix 0, extra 0, prefix 1, value 1, suffix 1, …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.blocks import Int64s, LineBlock
from ingest.broker.wire.headers import (
    HEADER_FLAGS,
    HEADER_SRC,
    POSITION_KEY,
    POSITION_SECTION,
    encode_header,
    flag_value,
)
from ingest.broker.wire.layout import Readable
from ingest.broker.wire.pieces import LIMIT, copy_pieces, room
from ingest.broker.wire.varint import Bytes, encode_varint, widths, write_varints

_NULL = encode_varint(-1)
_WIDTHS = 6
"""Above every width of a varint: base of the numbers that stand for a combination of widths."""


@dataclass(frozen=True, slots=True)
class EncodedRecords:
    """A records section before compression, and what the header must say about it.

    Attributes:
        body: its bytes (bytes, or anything else with the buffer protocol).
        rows: records in it.
        first_timestamp: milliseconds; what the timestamp deltas are relative to.
        max_timestamp: milliseconds.
        last_offset_delta: offset delta of the last record.
    """

    body: Readable
    rows: int
    first_timestamp: int
    max_timestamp: int
    last_offset_delta: int


def encode_lines(segments: Sequence[tuple[LineBlock, bytes]], timestamp_ms: int) -> EncodedRecords:
    """Encode one record for each line of each block, in order, all with the same timestamp and null keys.

    Every record carries `ingest-pos`; the first of each segment `ingest-src` too; flagged rows `ingest-flags`.

    Args:
        segments: blocks, whose values stand in ascending order in their data, each with the value of its `ingest-src`.
            Blocks without lines add nothing.
        timestamp_ms: milliseconds since 1970.

    Raises:
        ValueError: no line at all, 2 GiB or more, or starts and ends that do not ascend within their data.
    """
    segments = [segment for segment in segments if segment[0].rows]
    if not segments:
        raise ValueError("no lines to encode")
    blocks = [block for block, _ in segments]
    parts, starts, ends = _values(blocks)
    extras = _extras(segments)
    extra_rows = np.fromiter(extras, np.int64, len(extras))
    extra_bytes = [b"".join(headers) for headers in extras.values()]
    extra_sizes = np.array([len(headers) for headers in extra_bytes], np.int64)
    tails = np.full(len(starts), POSITION_SECTION)
    tails[extra_rows] += extra_sizes
    prefixes, prefix_sizes = _prefixes(ends - starts, tails)
    suffixes = _suffixes(blocks)
    suffixes[extra_rows, 0] = [2 * (1 + len(headers)) for headers in extras.values()]
    sections = [prefixes.reshape(-1), suffixes.reshape(-1), np.frombuffer(b"".join(extra_bytes), np.uint8)]
    pool = _pool([*sections, *parts])
    _, suffixes_at, extras_at, values_at = np.cumsum([0, *(section.size for section in sections)]).tolist()
    begin = np.empty((len(starts), 3), np.int64)
    begin[:, 0] = np.arange(0, suffixes_at, prefixes.shape[1])
    begin[:, 1] = starts + values_at
    begin[:, 2] = np.arange(suffixes_at, extras_at, POSITION_SECTION)
    end = begin + POSITION_SECTION
    end[:, 0] = begin[:, 0] + prefix_sizes
    end[:, 1] = ends + values_at
    after = 3 * (extra_rows + 1)
    extra_ends = np.cumsum(extra_sizes) + extras_at
    piece_starts = np.insert(begin.reshape(-1), after, extra_ends - extra_sizes)
    piece_ends = np.insert(end.reshape(-1), after, extra_ends)
    body = _joined(pool, piece_starts, piece_ends)
    return EncodedRecords(body, len(starts), timestamp_ms, timestamp_ms, len(starts) - 1)


def _values(blocks: Sequence[LineBlock]) -> tuple[list[Bytes], Int64s, Int64s]:
    """Return the stretches of data that hold the values, and where in their concatenation each value is."""
    parts: list[Bytes] = []
    shifts: list[int] = []
    size = 0
    for block in blocks:
        first, last = int(block.starts[0]), int(block.ends[-1])
        if not 0 <= first <= last <= len(block.data):
            raise ValueError(f"values at [{first}, {last}) of {len(block.data)} bytes")
        parts.append(np.frombuffer(memoryview(block.data)[first:last], np.uint8))
        shifts.append(size - first)
        size += last - first
    rows = [block.rows for block in blocks]
    shift = np.repeat(shifts, rows)
    starts = np.concatenate([block.starts for block in blocks]) + shift
    ends = np.concatenate([block.ends for block in blocks]) + shift
    if (starts > ends).any() or (starts[1:] < ends[:-1]).any():
        raise ValueError("starts and ends of a block do not ascend")
    return parts, starts, ends


def _extras(segments: Sequence[tuple[LineBlock, bytes]]) -> dict[int, list[bytes]]:
    """Return row → the headers that follow `ingest-pos`, rows ascending, numbered over all segments."""
    extras: dict[int, list[bytes]] = {}
    row = 0
    for block, source in segments:
        extras[row] = [encode_header(HEADER_SRC, source)]
        for flagged, flag in sorted(block.flags.items()):
            if not 0 <= flagged < block.rows:
                raise ValueError(f"a flag for row {flagged} of {block.rows}")
            extras.setdefault(row + flagged, []).append(encode_header(HEADER_FLAGS, flag_value(flag)))
        row += block.rows
    return extras


def _prefixes(lengths: Int64s, tails: Int64s) -> tuple[Bytes, Int64s]:
    """Return everything up to the value of each record, in slots of one width, and how much of each slot counts.

    Args:
        lengths: of the values.
        tails: bytes of each record after its value.
    """
    deltas = np.arange(len(lengths))
    delta_widths = widths(deltas)
    length_widths = widths(lengths)
    bodies = 2 + len(_NULL) + delta_widths + length_widths + lengths + tails
    body_widths = widths(bodies)
    sizes = body_widths + delta_widths + length_widths + (2 + len(_NULL))
    slots = np.empty((len(lengths), int(sizes.max())), np.uint8)
    # Records of the same three widths have their fields in the same columns; an ordinary block has two such shapes.
    shapes = (body_widths * _WIDTHS + delta_widths) * _WIDTHS + length_widths
    for shape in np.flatnonzero(np.bincount(shapes)):
        rows = np.flatnonzero(shapes == shape)
        body, delta, length = (int(kind[rows[0]]) for kind in (body_widths, delta_widths, length_widths))
        fields = np.zeros((len(rows), int(sizes[rows[0]])), np.uint8)
        at = body + 2  # attributes and timestamp delta stay 0
        write_varints(fields[:, :body], bodies[rows], body)
        write_varints(fields[:, at : at + delta], deltas[rows], delta)
        fields[:, at + delta] = _NULL[0]
        write_varints(fields[:, at + delta + 1 :], lengths[rows], length)
        slots[rows, : fields.shape[1]] = fields
    return slots, sizes


def _suffixes(blocks: Sequence[LineBlock]) -> Bytes:
    """Return the header count (of one header) and `ingest-pos` of each record, uint8[n, 37]."""
    rows = [block.rows for block in blocks]
    positions = np.empty((sum(rows), 3), ">u8")
    positions[:, 0] = np.repeat(np.array([block.stream.generation for block in blocks], np.uint64), rows)
    positions[:, 1] = np.concatenate([block.positions[:-1] for block in blocks])
    positions[:, 2] = np.concatenate([block.positions[1:] for block in blocks])
    suffixes = np.empty((len(positions), POSITION_SECTION), np.uint8)
    suffixes[:, 0] = 2
    suffixes[:, 1 : 1 + len(POSITION_KEY)] = np.frombuffer(POSITION_KEY, np.uint8)
    suffixes[:, 1 + len(POSITION_KEY) :] = positions.view(np.uint8).reshape(len(positions), -1)
    return suffixes


def _pool(parts: Sequence[Bytes]) -> Bytes:
    size = sum(part.size for part in parts)
    if size > LIMIT:
        raise ValueError(f"{size} bytes of lines do not fit into one record batch")
    pool = room(size)
    np.concatenate(parts, out=pool)
    return pool


def _joined(pool: Bytes, starts: Int64s, ends: Int64s) -> Readable:
    size = int((ends - starts).sum())
    if size > LIMIT:
        raise ValueError(f"{size} bytes of records do not fit into one record batch")
    return memoryview(copy_pieces(pool, starts, ends).buffers()[2])[:size]


def encode_records(
    values: pa.BinaryArray,
    timestamps: Int64s,
    offsets: Int64s | None = None,
    keys: pa.BinaryArray | None = None,
    headers: Sequence[Sequence[tuple[str, bytes | None]]] | None = None,
) -> EncodedRecords:
    """Encode any records, one by one: slow, and as simple as the format allows.

    Args:
        values: n values; null = tombstone.
        timestamps: int64[n], milliseconds; the first is what the others are relative to.
        offsets: int64[n], offset deltas to the batch's base offset, ascending; None = 0 … n - 1.
        keys: n keys; None = all null.
        headers: n lists of (key, value or None); None = no headers.
    """
    rows = len(values)
    deltas = range(rows) if offsets is None else [int(offset) for offset in offsets]
    first = int(timestamps[0]) if rows else -1
    body = bytearray()
    for row in range(rows):
        record = b"".join(
            (
                b"\0",
                encode_varint(int(timestamps[row]) - first),
                encode_varint(deltas[row]),
                _nullable(None if keys is None else keys[row].as_py()),
                _nullable(values[row].as_py()),
                encode_varint(0 if headers is None else len(headers[row])),
                *(encode_header(key, value) for key, value in (() if headers is None else headers[row])),
            )
        )
        body += encode_varint(len(record)) + record
    return EncodedRecords(bytes(body), rows, first, int(timestamps.max()) if rows else -1, deltas[-1] if rows else 0)


def _nullable(value: bytes | None) -> bytes:
    return _NULL if value is None else encode_varint(len(value)) + value
