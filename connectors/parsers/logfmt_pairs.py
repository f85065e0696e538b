r"""One line of logfmt, read strictly: the reference that says what a line holds and why it is refused.

    line    pairs, with spaces or control characters between them
    pair    KEY=VALUE, or KEY alone
    KEY     any characters but =, quotes, spaces and control characters
    VALUE   quoted as JSON or Go quotes a string, control characters allowed: "two words", "a \"b\"\n"; or without a
            space or control character, the first one no quote: 5, a=b, C:\dir; or nothing

Escapes are those of JSON, and those that Go writes: \a, \v, \x7f (one byte of UTF-8), \U0001f600.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.connectors.parsers.reasons import Reject

NO_PAIR = "no key=value"
NO_KEY = "a value without a key"
QUOTE_IN_KEY = "quote in a key"
UNTERMINATED = "unterminated quote"
AFTER_QUOTE = "text after a closing quote"
ESCAPE = "unknown escape"
BYTES = "wrong bytes in an escape"
SURROGATE = "lone surrogate"

_GAP = re.compile(r"[\0-\x20]*")
_KEY = re.compile(r'[^\0-\x20="]+')
_BARE = re.compile(r"[^\0-\x20]*")
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_QUOTED_KEY = re.compile(rf"{_QUOTED.pattern}=", re.DOTALL)
_ESCAPE = re.compile(r"((?:\\x[0-9a-fA-F]{2})+)|\\U([0-9a-fA-F]{8})|\\(.)", re.DOTALL)
_LETTERS = {"a": "\\u0007", "v": "\\u000b"}
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and where its value is: `start` to `end`, exclusive, with quotes; None = the key stands alone."""

    key: str
    value: tuple[int, int] | None


def pairs(line: str) -> Iterator[Pair]:
    """Yield the pairs of a line, in order.

    Raises:
        Reject: with the reason, one of the texts above.
    """
    at = 0
    while (at := _end(_GAP, line, at)) < len(line):
        key = line[at : _end(_KEY, line, at)]
        if not key:
            raise Reject(QUOTE_IN_KEY if _QUOTED_KEY.match(line, at) else NO_KEY)
        at += len(key)
        if line[at : at + 1] == '"':
            raise Reject(QUOTE_IN_KEY)
        if line[at : at + 1] != "=":
            yield Pair(key, None)
            continue
        start, at = at + 1, _value_end(line, at + 1)
        yield Pair(key, (start, at))


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    match = pattern.match(line, at)
    return at if match is None else match.end()


def _value_end(line: str, start: int) -> int:
    if line[start : start + 1] != '"':
        return _end(_BARE, line, start)
    end = _end(_QUOTED, line, start)
    if end == start:
        raise Reject(UNTERMINATED)
    if _end(_BARE, line, end) > end:
        raise Reject(AFTER_QUOTE)
    return end


def text_of_value(written: str) -> str:
    """Return what a value means.

    Raises:
        Reject: with the reason, one of the texts above.
    """
    if written[:1] != '"':
        return written
    if "\\" not in written:
        return written[1:-1]
    try:
        text: str = _DECODER.decode(_ESCAPE.sub(_as_json, written))
    except ValueError as error:
        raise Reject(ESCAPE) from error
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Reject(SURROGATE)
    return text


def _as_json(escape: re.Match[str]) -> str:
    """Return how JSON writes an escape, or a run of those of bytes; ValueError where it means no character."""
    run, code, letter = escape.groups()
    if letter:
        return _LETTERS.get(letter, escape[0])
    if code:
        return json.dumps(bytes.fromhex(code).decode("utf-32-be"))[1:-1]
    try:
        return json.dumps(bytes.fromhex(run.replace("\\x", "")).decode())[1:-1]
    except UnicodeDecodeError as error:
        raise Reject(BYTES) from error
