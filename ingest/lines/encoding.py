"""Encodings: where newlines are in bytes that are not UTF-8, and their text as UTF-8.

In UTF-16 a newline is two bytes and stands at an even distance from the beginning of the stream: half of one and half
of another make none. In all other encodings that are taken it is the byte 0x0A and nothing else.
"""

from __future__ import annotations

import codecs
from typing import Final

import numpy as np

from ingest.blocks import Int64s

UTF_8: Final = "utf-8"
MARKED: Final = "utf-16"
"""Little or big endian: the byte order mark at the beginning tells; without one little endian, as Windows writes."""
_LITTLE, _BIG = "utf-16le", "utf-16be"
_WIDE: Final = {_LITTLE: np.dtype("<u2"), _BIG: np.dtype(">u2")}
_NEWLINE: Final = 0x0A
_STATEFUL: Final = ("iso2022", "hz", "utf_7", "utf-7", "punycode", "idna", "unicode_escape", "raw_unicode_escape")
_MARKS: Final = {UTF_8: codecs.BOM_UTF8, _LITTLE: codecs.BOM_UTF16_LE, _BIG: codecs.BOM_UTF16_BE}
"""At the beginning of a stream they say how the rest is written, and are no part of it."""


def check_encoding(name: str) -> None:
    """Raise ValueError unless lines can be found in this encoding."""
    if name in _WIDE or name in (UTF_8, MARKED):
        return
    try:
        newline = "\n".encode(name)
    except LookupError:
        raise ValueError(
            f'no encoding is called "{name}"; there are "utf-16", "latin-1", "cp1252", "gb18030" …'
        ) from None
    if newline != b"\n" or codecs.lookup(name).name.startswith(_STATEFUL):
        raise ValueError(f'lines can\'t be found in "{name}": a newline must be the byte 0x0A and nothing else')


def marked(head: bytes) -> str:
    """Return which UTF-16 a stream is that begins so."""
    return _BIG if head[:2] == codecs.BOM_UTF16_BE else _LITTLE


def newline_width(encoding: str) -> int:
    """Return the bytes of a newline."""
    return 2 if encoding in _WIDE else 1


def mark_length(chunk: bytes, begin: int, encoding: str) -> int:
    """Return the bytes of the byte order mark at `begin`, 0 where there is none."""
    mark = _MARKS.get(encoding, b"")
    return len(mark) if chunk.startswith(mark, begin) else 0


def newlines(chunk: bytes, begin: int, encoding: str) -> Int64s:
    """Return the places in `chunk` at which newlines begin, from `begin` on, which is the first byte of a character."""
    if encoding in _WIDE:
        units = np.frombuffer(chunk, _WIDE[encoding], (len(chunk) - begin) // 2, begin)
        return 2 * np.flatnonzero(units == _NEWLINE) + begin
    return (np.flatnonzero(np.frombuffer(chunk, np.uint8, offset=begin) == _NEWLINE) + begin).astype(
        np.int64, copy=False
    )


def find_newline(chunk: bytes, encoding: str) -> int:
    """Return the place of the first newline in `chunk`, which begins with a character; -1 = none is in it."""
    if encoding not in _WIDE:
        return chunk.find(b"\n")
    found = newlines(chunk, 0, encoding)
    return int(found[0]) if len(found) else -1


def text_of(data: bytes, encoding: str) -> bytes:
    """Return the text as UTF-8; bytes that mean nothing become U+FFFD."""
    return data.decode(encoding, "replace").encode("utf-8", "replace")


def lines_as_text(chunk: bytes, starts: Int64s, ends: Int64s, encoding: str) -> tuple[bytes, Int64s, Int64s]:
    """Return the lines [start, end) of `chunk` as UTF-8, one behind the other with newlines between, and their places.

    Args:
        chunk: whose lines follow each other.
        starts: int64[n], ascending.
        ends: int64[n], newlines excluded.
        encoding: not UTF-8.
    """
    if not len(starts):
        return b"", starts, ends
    text = text_of(chunk[int(starts[0]) : int(ends[-1])], encoding)
    breaks = newlines(text, 0, UTF_8)
    if len(breaks) != len(starts) - 1:  # Rubbish before a newline has swallowed it.
        pieces = [
            text_of(chunk[start:end], encoding) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        pieces = [piece.replace(b"\n", "\N{REPLACEMENT CHARACTER}".encode()) for piece in pieces]
        text = b"\n".join(pieces)
        breaks = newlines(text, 0, UTF_8)
    edge = np.array([0], np.int64), np.array([len(text)], np.int64)
    return text, np.concatenate((edge[0], breaks + 1)), np.concatenate((breaks, edge[1]))
