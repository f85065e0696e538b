"""The bytes of a whole checkpoint.

{"format", "version", "crc32c", "bytes"} of the second line, newline, the second line
"""

from __future__ import annotations

from typing import Final

import crc32c
import msgspec

from ingest.errors import StateDamaged
from ingest.ship.entry import Entry

FORMAT: Final = "ingest-ship-checkpoint"
VERSION: Final = 2
"""1: no changes beside it."""


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint file holds. `serial`: how many there were before; changes to it name it."""

    machine: str
    entries: list[Entry]
    serial: int = 0


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    crc32c: str
    bytes: int


class Damaged(Exception):
    """A checkpoint file is not what was written."""


def encode(content: Content) -> bytes:
    """Return the file's bytes."""
    body = msgspec.json.encode(content)
    header = _Header(FORMAT, VERSION, f"{crc32c.crc32c(body):08x}", len(body))
    return msgspec.json.encode(header) + b"\n" + body + b"\n"


def decode(data: bytes) -> Content:
    """Return what the file holds.

    Raises:
        Damaged: not what `encode` wrote; the text says what is wrong.
        StateDamaged: whole, but a newer version wrote it.
    """
    first, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"no header: {error}") from error
    if header.format != FORMAT:
        raise Damaged(f'format "{header.format}" instead of "{FORMAT}"')
    if header.version > VERSION:
        raise StateDamaged(
            f"written by a newer version (format version {header.version}, this one knows {VERSION}); upgrade again"
        )
    body = rest[: header.bytes]
    if len(body) != header.bytes or rest != body + b"\n":
        raise Damaged(f"{len(rest)} bytes after the header instead of {header.bytes + 1}")
    if f"{crc32c.crc32c(body):08x}" != header.crc32c:
        raise Damaged("its checksum is wrong")
    try:
        return msgspec.json.decode(body, type=Content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"its content can't be understood: {error}") from error
