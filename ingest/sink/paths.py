"""Directory names of a partition path, made safe: as Hive escapes them, under the root, never too long."""

from __future__ import annotations

import hashlib
import re

NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive, Spark and friends read back as null; stands for null and for the empty string."""
OVERFLOW = "__OVERFLOW__"
"""Stands for values past the cap on distinct paths."""

LONGEST = 255
"""Bytes of a directory's name that every file system takes."""

_UNSAFE = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{\[\]^]""")
_HASH_DIGITS = 16
_HALF_ESCAPE = re.compile(r"%[0-9A-F]?$")


def escaped(value: str) -> str:
    """Return a value as Hive writes it into a path: what could mean something else becomes %XX."""
    return _UNSAFE.sub(_percent, value)


def directory(name: str, value: str | None) -> str:
    """Return `name=value`, escaped; `name` is known to be safe."""
    return _fitting(f"{name}={escaped(value) if value else NULL}")


def safe_directory(text: str) -> str:
    """Return any text as one directory's name: `name=value` keeps its equals sign, all else is escaped.

    What begins with "_" or "." is hidden from readers, and "." and ".." lead elsewhere: their first character is
    escaped too.
    """
    name, equals, value = text.partition("=")
    if equals and name:
        result = f"{escaped(name)}={escaped(value) if value else NULL}"
    else:
        result = escaped(text)
    if result[0] in "._":
        result = _percent_of(result[0]) + result[1:]
    return _fitting(result)


def safe_path(text: str) -> str:
    """Return a relative path whose parts are each safe; empty parts are left out."""
    return "/".join(safe_directory(part) for part in text.split("/") if part)


def _fitting(name: str) -> str:
    """Return the name, or its beginning and a hash of the whole where it is too long."""
    raw = name.encode()
    if len(raw) <= LONGEST:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:_HASH_DIGITS]
    start = raw[: LONGEST - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{_HALF_ESCAPE.sub('', start)}~{digest}"


def _percent(match: re.Match[str]) -> str:
    return _percent_of(match[0])


def _percent_of(character: str) -> str:
    return f"%{ord(character):02X}"
