"""How keys and values are named to a person: as they would be written in TOML, and by the nearest known name."""

from __future__ import annotations

import datetime
import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ingest.options import Duration, Secret, Size

KeyPath: TypeAlias = tuple[str | int, ...]
"""Names of tables and keys, and indexes into arrays: ("source", 0, "paths", 1)."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = re.compile(r'\[(?P<index>[0-9]+)\]|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^.\["]+)')


def toml_name(name: str) -> str:
    """Return a key as TOML takes it: quoted where it must be."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def toml_key(path: KeyPath) -> str:
    """Return the path as a person writes it: `sink.topic."app-logs".rotate.age`, `source[0].paths`."""
    text = ""
    for number, part in enumerate(path):
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        # A topic's name is always quoted, so that a dot in one is never taken for a table.
        name = json.dumps(part) if path[:number] == ("sink", "topic") else toml_name(part)
        text += f".{name}" if text else name
    return text


def parse_key(text: str) -> KeyPath:
    """Return the path that `toml_key` would write as `text`."""
    path: list[str | int] = []
    for match in _PART.finditer(text):
        if match["index"]:
            path.append(int(match["index"]))
        else:
            path.append(json.loads(match["quoted"]) if match["quoted"] else match["bare"])
    return tuple(path)


def toml_value(value: object) -> str:
    """Return the value as TOML, on one line; a secret stays hidden.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Duration | Size | Secret):
        return json.dumps(str(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return _grouped(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.date):
        return json.dumps(value.isoformat())
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_name(str(key))} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _grouped(value: int) -> str:
    """Return 5_000_000 for what is long enough to be miscounted."""
    return f"{value:_}" if abs(value) >= 10_000 else str(value)


def hint(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest known name, or nothing."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:
        folded = {candidate.casefold().replace("-", "_"): candidate for candidate in names}
        match = folded.get(name.casefold().replace("-", "_"))
        near = [match] if match else []
    return f"; did you mean `{near[0]}`?" if near else ""
