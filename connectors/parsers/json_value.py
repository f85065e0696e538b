"""One value as JSON, read strictly: the reference that says what a value is and why it is refused.

Numbers stay texts, so that nothing is lost before a column's type is known.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ingest.connectors.parsers.reasons import DUPLICATE, EMPTY, NOT_UTF8, Reject

MAX_DEPTH = 128
"""Objects and lists nested deeper than this are refused; the outermost object counts."""

BOM = "byte order mark"
NUL = "NUL byte"
NOT_OBJECT = "not a JSON object"
NOT_JSON = "not JSON"
TRAILING = "data after the object"
TOO_DEEP = "nested too deeply"
SURROGATE = "lone surrogate"

_WHITESPACE = " \t\r\n"
# An unterminated string is one too: its escaped quotes must not each begin another try.
_TOKEN = re.compile(r'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()

    @property
    def whole(self) -> bool:
        """Return whether it is written without fraction and exponent."""
        return self.isdigit() or (self[:1] == "-" and self[1:].isdigit())


class Repeated(dict[str, Any]):
    """An object in which some names came twice; holds the last of each. Only a lenient reading gives one."""

    names: frozenset[str]


def read_object(value: bytes, *, lenient: bool = False) -> dict[str, Any]:
    """Return the members of the one JSON object that the value is.

    Args:
        value: the bytes, with whitespace around the object or inside it.
        lenient: members that nobody wants may break rules that only matter to who reads them: an object with a
            repeated name comes back as `Repeated`.

    Returns:
        name → dict, list, str, Number, True, False or None.

    Raises:
        Reject: with the reason, one of the texts above.
    """
    text = _text(value)
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise Reject(TOO_DEEP)
    try:
        found, end = (_LENIENT if lenient else _STRICT).raw_decode(text)
    except ValueError as error:
        raise Reject(NOT_JSON) from error
    if end != len(text):
        raise Reject(TRAILING)
    if "\\u" in text and _has_surrogate(found):
        raise Reject(SURROGATE)
    members: dict[str, Any] = found
    return members


def text_of(value: Any) -> str:
    """Return what was read as JSON text: no spaces, numbers as they were written, no escapes that need not be."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(name)}:{text_of(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _text(value: bytes) -> str:
    try:
        text = value.decode().strip(_WHITESPACE)
    except UnicodeDecodeError as error:
        raise Reject(NOT_UTF8) from error
    if not text:
        raise Reject(EMPTY)
    if text[0] == "\ufeff":
        raise Reject(BOM)
    if "\0" in text:
        raise Reject(NUL)
    if text[0] != "{":
        raise Reject(NOT_OBJECT)
    return text


def _depth(text: str) -> int:
    """Return how deep brackets nest; strings do not count."""
    deepest = depth = 0
    for token in _TOKEN.findall(text):
        if token in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "}]":
            depth -= 1
    return deepest


def _has_surrogate(value: Any) -> bool:
    """Return whether a string in it can't be written as UTF-8: an escape gave half a character."""
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, list):
        return any(map(_has_surrogate, value))
    if isinstance(value, dict):
        return any(map(_has_surrogate, value)) or any(map(_has_surrogate, value.values()))
    return False


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Reject(DUPLICATE)
    return members


def _lenient_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = Repeated(members)
    seen: set[str] = set()
    repeated.names = frozenset(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return repeated


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _decoder(hook: Any) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_int=Number, parse_float=Number, parse_constant=_constant, strict=True
    )


_STRICT, _LENIENT = _decoder(_members), _decoder(_lenient_members)
