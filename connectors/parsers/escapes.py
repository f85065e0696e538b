r"""Escapes in strings: found and judged in many lines at once, and undone in columns of texts.

An escape is two bytes (`\n`, `\"`, `\/` …) or six (`\u00e9`). Halves of a character beyond the first 65,536
(`\ud83d\ude00`) count as wrong here: such lines are for the reference.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.spans import BACKSLASH, Bytes, bytes_of

FILLER = 1
"""Stands for a byte of an escape: no line that is looked at holds it, no template either."""

_MEANING = np.zeros(256, np.uint8)
_MEANING[list(rb'"\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
_UNICODE = ord("u")
_NO_DIGIT = 255
_HEX = np.full(256, _NO_DIGIT, np.uint8)
_HEX[list(b"0123456789abcdef")] = range(16)
_HEX[list(b"ABCDEF")] = range(10, 16)
_ONE, _TWO = 0x80, 0x800
_HALVES, _HALF = 0xF800, 0xD800


def escapes_in(data: Bytes) -> Int64s:
    """Return where escapes begin: at every second backslash of those that stand in a row.

    Args:
        data: bytes in which no backslash is the last.
    """
    slashes = np.flatnonzero(data == BACKSLASH)
    if not len(slashes):
        return slashes
    number = np.arange(len(slashes))
    first = np.ones(len(slashes), np.bool_)
    first[1:] = slashes[1:] != slashes[:-1] + 1
    places: Int64s = slashes[(number - np.maximum.accumulate(np.where(first, number, 0))) % 2 == 0]
    return places


def wrong_escapes(data: Bytes, escapes: Int64s) -> Int64s:
    """Return those of the escapes that JSON does not have, or that are half of a character."""
    letter = data[escapes + 1]
    wrong = _MEANING[letter] == 0
    unicode = np.flatnonzero(letter == _UNICODE)
    if len(unicode):
        digits = _digits(data, escapes[unicode])
        code = _code(digits)
        wrong[unicode] = (digits == _NO_DIGIT).any(axis=0) | (code & _HALVES == _HALF)
    places: Int64s = escapes[wrong]
    return places


def _digits(data: Bytes, escapes: Int64s) -> Bytes:
    """Return the digits of some escapes of six bytes: uint8[4, n]."""
    digits: Bytes = _HEX[data[np.minimum(escapes + np.arange(2, 6)[:, None], len(data) - 1)]]
    return digits


def _code(digits: Bytes) -> Int64s:
    code: Int64s = (digits.astype(np.int64) << np.array([12, 8, 4, 0])[:, None]).sum(axis=0)
    return code


def without_escapes(data: Bytes, escapes: Int64s) -> Bytes:
    """Return the bytes with `FILLER` in place of each backslash and the byte that it escapes."""
    plain = data.copy()
    plain[escapes] = FILLER
    plain[escapes + 1] = FILLER
    return plain


def holding(escapes: Int64s, starts: Int64s, ends: Int64s) -> Bools:
    """Return which of the spans hold an escape."""
    return np.searchsorted(escapes, starts) < np.searchsorted(escapes, ends)


def unescaped(text: pa.StringArray) -> pa.StringArray:
    """Return texts with all escapes undone; none of them is wrong."""
    data, bounds = bytes_of(text)
    data, bounds = data[bounds[0] : bounds[-1]], bounds - bounds[0]
    escapes = escapes_in(data)
    if not len(escapes):
        return text
    letter = data[escapes + 1]
    made, kept = data.copy(), np.ones(len(data), np.bool_)
    made[escapes + 1] = _MEANING[letter]
    kept[escapes] = False
    _write_characters(made, kept, data, escapes[letter == _UNICODE])
    bounds = (bounds - np.searchsorted(np.flatnonzero(~kept), bounds)).astype(np.int32)
    valid = None
    if text.null_count:
        valid = pa.py_buffer(np.packbits(text.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))
    return pa.Array.from_buffers(text.type, len(text), [valid, pa.py_buffer(bounds), pa.py_buffer(made[kept])])


def _write_characters(made: Bytes, kept: Bools, data: Bytes, escapes: Int64s) -> None:
    """Write the UTF-8 of escapes of six bytes from their second byte on, and drop what is left of the six."""
    if not len(escapes):
        return
    code = _code(_digits(data, escapes))
    kept[escapes + np.arange(2, 6)[:, None]] = False
    one, two, three = code < _ONE, (code >= _ONE) & (code < _TWO), code >= _TWO
    made[escapes[one] + 1] = code[one]
    made[escapes[two] + 1], made[escapes[two] + 2] = 0xC0 | code[two] >> 6, 0x80 | code[two] & 0x3F
    made[escapes[three] + 1], made[escapes[three] + 2] = 0xE0 | code[three] >> 12, 0x80 | code[three] >> 6 & 0x3F
    made[escapes[three] + 3] = 0x80 | code[three] & 0x3F
    kept[escapes[two] + 2] = True
    kept[escapes[three] + 2] = kept[escapes[three] + 3] = True
