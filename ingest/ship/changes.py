"""The bytes of what has changed since a whole checkpoint was written: a line for each save.

    {"format", "version", "serial"}         serial: of the checkpoint that this changes
    crc32c of the rest, space, {"number", "entries", "forgotten"}
    …

Entries are whole, so a line may be applied twice, and lines may be missing: what is known is then older, never wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import crc32c
import msgspec

from ingest.errors import StateDamaged
from ingest.ship.entry import Entry

FORMAT: Final = "ingest-ship-changes"
VERSION: Final = 1


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One save.

    Attributes:
        number: of the saves since the checkpoint, from 1.
        entries: as they are now.
        forgotten: generations that are no more, as 16 hex digits.
    """

    number: int
    entries: list[Entry]
    forgotten: list[str]


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    serial: int


@dataclass(frozen=True, slots=True)
class Journal:
    """What such a file holds: changes of the checkpoint `serial`, and what is wrong with what follows; "" = nothing.

    A last line that was not written to its end is nothing wrong: its save never ended.
    """

    serial: int
    changes: tuple[Change, ...]
    problem: str = ""


def encode_head(serial: int) -> bytes:
    """Return the first line."""
    return msgspec.json.encode(_Header(FORMAT, VERSION, serial)) + b"\n"


def encode_change(change: Change) -> bytes:
    """Return the line of a save."""
    body = msgspec.json.encode(change)
    return b"%08x %b\n" % (crc32c.crc32c(body), body)


def decode_journal(data: bytes) -> Journal:
    """Return what the file holds, up to what can't be understood.

    Raises:
        StateDamaged: a newer version wrote it.
    """
    first, *lines = data.rstrip(b"\0").split(b"\n")  # where power failed, what was not synced may be zeros
    try:
        header = msgspec.json.decode(first, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Journal(-1, (), f"no header: {error}")
    if header.format != FORMAT:
        return Journal(-1, (), f'format "{header.format}" instead of "{FORMAT}"')
    if header.version > VERSION:
        raise StateDamaged(
            f"written by a newer version (format version {header.version}, this one knows {VERSION}); upgrade again"
        )
    changes: list[Change] = []
    for line in lines[:-1]:
        change = _decode(line)
        if change is None:
            return Journal(header.serial, tuple(changes), f"damaged after save {len(changes)}")
        changes.append(change)
    return Journal(header.serial, tuple(changes))


def _decode(line: bytes) -> Change | None:
    crc, _, body = line.partition(b" ")
    if crc != b"%08x" % crc32c.crc32c(body):
        return None
    try:
        return msgspec.json.decode(body, type=Change)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
