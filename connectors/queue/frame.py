"""What one append looks like on disk, and what is found of it after a crash. Pure.

    frame     [length u32][crc32c of the payload u32][crc32c of these eight bytes u32][payload]
    payload   [length of the head u32][head: a JSON object][body]

Little endian. The first frame of a segment describes the segment, the others hold lines:

    head      format, kind = "segment", stream, begin
    head      kind = "lines", begin, end, rows, flags, dropped, held, beyond
    body      starts u32[rows], ends u32[rows], after u64[rows], the bytes of the lines, then `held` bytes held back

`begin` and `end` are positions. A frame is written by one call and made durable before the next one is written, so only
the last of a queue can be torn.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import crc32c
import numpy as np

from ingest.api import Flag, Int64s

from .piece import Piece

FORMAT: Final = 1
PREFIX: Final = struct.Struct("<III")
_HEAD: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame: its head, its body, and the places in the segment where it begins and ends."""

    head: dict[str, Any]
    body: bytes
    place: int
    next: int


@dataclass(frozen=True, slots=True)
class Broken:
    """No whole frame at `place`; `next` = where one may begin again, None = not known."""

    kind: Literal["torn", "damaged"]
    place: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """The beginning of a line whose end has not come: its first bytes, and how many more there were."""

    data: bytes = b""
    beyond: int = 0


def segment_head(stream: str, begin: int) -> bytes:
    """Return the frame that begins a segment."""
    return _seal({"format": FORMAT, "kind": "segment", "stream": stream, "begin": begin}, b"")


def lines_frame(piece: Piece, begin: int, held: Held) -> bytes:
    """Return the frame of lines that are appended at position `begin`."""
    head = {
        "kind": "lines",
        "begin": begin,
        "end": begin + piece.span,
        "rows": len(piece.starts),
        "flags": {str(row): [list(flag.names), flag.length] for row, flag in piece.flags.items()},
        "dropped": piece.dropped,
        "held": len(held.data),
        "beyond": held.beyond,
    }
    columns = [piece.starts.astype("<u4"), piece.ends.astype("<u4"), piece.after.astype("<u8")]
    return _seal(head, b"".join([*(column.tobytes() for column in columns), piece.data, held.data]))


def lines_of(frame: Frame) -> tuple[Piece, Held]:
    """Return what `lines_frame` was given."""
    head, body, rows = frame.head, frame.body, int(frame.head["rows"])
    starts, ends = (_column(body, "<u4", rows, 4 * rows * number) for number in range(2))
    after = _column(body, "<u8", rows, 8 * rows)
    stop = len(body) - int(head["held"])
    flags = {int(row): Flag(tuple(names), length) for row, (names, length) in head["flags"].items()}
    span = int(head["end"]) - int(head["begin"])
    piece = Piece(body[16 * rows : stop], starts, ends, after, span, flags, dict(head["dropped"]))
    return piece, Held(body[stop:], int(head["beyond"]))


def frames(data: bytes, last: bool) -> Iterator[Frame | Broken]:
    """Yield what a segment holds, from its beginning.

    Args:
        data: the segment.
        last: nothing was appended after it: the frame at its very end may be torn by a crash.
    """
    place = 0
    while place < len(data):
        found = read_frame(data, place)
        if isinstance(found, Broken) and not last:
            found = Broken("damaged", found.place, found.next)
        yield found
        if found.next is None:
            return
        place = found.next


def read_frame(data: bytes, place: int) -> Frame | Broken:
    """Return the frame at `place`, of a segment after which nothing was appended."""
    prefix = data[place : place + PREFIX.size]
    if len(prefix) < PREFIX.size:
        return Broken("torn", place, None)
    length, crc, own = PREFIX.unpack(prefix)
    if crc32c.crc32c(prefix[:8]) != own:
        zeros = not data[place:].strip(b"\0")  # a power cut left the length of the file and not its bytes
        return Broken("torn" if zeros else "damaged", place, None)
    begin, end = place + PREFIX.size, place + PREFIX.size + length
    payload = data[begin:end]
    if len(payload) < length:
        return Broken("torn", place, None)
    if crc32c.crc32c(payload) != crc:
        return Broken("torn" if end == len(data) else "damaged", place, end)
    (size,) = _HEAD.unpack_from(payload)
    body = _HEAD.size + size
    return Frame(json.loads(payload[_HEAD.size : body]), payload[body:], place, end)


def _seal(head: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    payload = b"".join([_HEAD.pack(len(text)), text, body])
    numbers = struct.pack("<II", len(payload), crc32c.crc32c(payload))
    return b"".join([numbers, _HEAD.pack(crc32c.crc32c(numbers)), payload])


def _column(body: bytes, kind: str, rows: int, offset: int) -> Int64s:
    return np.frombuffer(body, kind, rows, offset).astype(np.int64)
