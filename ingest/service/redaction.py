"""What an event may show: no secret, no control character, only values that JSON has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_HIDDEN = "***"
_SECRET_WORD = (
    r"password|passwd|passphrase|secret|token|credentials?|delegation|authorization|api[_-]?key|private[_-]?key"
)
_SECRET_KEY = re.compile(rf"(?:{_SECRET_WORD})$", re.IGNORECASE)
_SECRET_TEXTS = (
    # password=…, "token": "…", sasl_plain_password='…', ?delegation=…&
    (
        re.compile(
            rf"""((?:{_SECRET_WORD})\b["']?\s*[=:]\s*)"""
            r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:(?:bearer|basic|negotiate)\s+)?[^\s&"',;)}\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"\b(bearer|negotiate|basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@"), rf"\1:{_HIDDEN}@"),
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DEPTH = 6


def redact(text: str) -> str:
    """Return the text with credentials replaced by `***`."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def escape_controls(text: str) -> str:
    """Return the text with control and text-direction characters written as Python escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def one_line(error: BaseException) -> str:
    """Return an error and what caused it as one line of text."""
    parts, seen = [f"{type(error).__name__}: {error}"], {id(error)}
    cause = error.__cause__
    while cause is not None and id(cause) not in seen:
        parts.append(f"{type(cause).__name__}: {cause}")
        seen.add(id(cause))
        cause = cause.__cause__
    return " ← ".join(parts)


def plain(value: Any, depth: int = 0) -> Any:
    """Turn a value into what JSON has, with secrets hidden."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return redact(str(value))  # str() is what hides a Secret: JSON would write its content
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, BaseException):
        return redact(one_line(value))
    if depth < _DEPTH and isinstance(value, Mapping):
        return {str(key): hidden_or_plain(str(key), item, depth + 1) for key, item in value.items()}
    if depth < _DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return redact(str(value))


def hidden_or_plain(key: str, value: Any, depth: int = 0) -> Any:
    """Turn the value of a key into what JSON has, or hide it where the key says that it is a secret."""
    return _HIDDEN if value is not None and _SECRET_KEY.search(key) else plain(value, depth)
