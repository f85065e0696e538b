"""Paths and permissions as every filesystem connector takes them, and where unfinished files wait."""

from __future__ import annotations

import re

from ingest.api import Refused

TEMPORARY = "_tmp"
"""Directory right below the root for files that are not whole yet. Its name is hidden from readers, never listed by
`Filesystem.list`, and taken by no topic: names that begin with "_" are escaped."""

_OCTAL = re.compile(r"0?[0-7]{3}")


def split(path: str) -> tuple[str, ...]:
    """Return the parts of a path below the root; none for "", the root itself.

    Raises:
        Refused: absolute, or a part that is empty, "." or "..", or holds a NUL: it might leave the root.
    """
    if not path:
        return ()
    parts = tuple(path.split("/"))
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Refused(f'{path!r} is no path below the root: parts are joined by single "/", none is "." or ".."')
    return parts


def split_name(path: str) -> tuple[tuple[str, ...], str]:
    """Return the parts of the directory and the name in it.

    Raises:
        Refused: as `split`; also for the root itself, which is no file.
    """
    parts = split(path)
    if not parts:
        raise Refused("the root itself can't be created, moved, read or deleted")
    return parts[:-1], parts[-1]


def octal(text: str, needed: int) -> int:
    """Return the permission bits that an option such as "0640" writes.

    Args:
        text: three octal digits, a leading 0 allowed.
        needed: bits without which ingest could not go on with what it made itself.

    Raises:
        ValueError: no such permissions, or `needed` missing; the text says what would be right.
    """
    if not _OCTAL.fullmatch(text):
        raise ValueError(f'expected octal permissions such as "0640", got "{text}"')
    mode = int(text, 8)
    if mode & needed != needed:
        raise ValueError(f'"{text}" locks the owner out, at least "{needed:04o}" is needed')
    return mode
