"""On which line of a TOML text a key stands. The text was parsed before: this only has to find, not to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.config.keys import KeyPath

_TOKEN = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<mark>[\[\]{}=.\n])
    | (?P<bare>[A-Za-z0-9_-]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


@dataclass
class _Statement:
    """One `key = value` or table header: its first line and the tokens up to the `=` (or to the end of a header)."""

    line: int
    tokens: list[str] = field(default_factory=list)


class Lines:
    """Answers where a key stands."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        table: KeyPath = ()
        for statement in _statements(text):
            if statement.tokens[:1] == ["["]:
                table = self._header(statement)
            else:
                self._keys(table, statement)

    def of(self, path: KeyPath) -> int | None:
        """Return the line of the key, or of the nearest table around it; None when even that is not in the text."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def _keys(self, table: KeyPath, statement: _Statement) -> None:
        """Remember `a.b = …`, and the tables that it opens on its way."""
        names = _names(statement.tokens)
        for length in range(1, len(names) + 1):
            self._lines.setdefault((*table, *names[:length]), statement.line)

    def _header(self, statement: _Statement) -> KeyPath:
        """Return the table that `[a.b]` or `[[a.b]]` opens, with the index of each array on the way."""
        names = _names(statement.tokens)
        path: KeyPath = ()
        for number, name in enumerate(names, 1):
            path = (*path, name)
            if number == len(names):
                self._lines.setdefault(path, statement.line)
                if statement.tokens[:2] == ["[", "["]:
                    self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        self._lines.setdefault(path, statement.line)
        return path


def _statements(text: str) -> Iterator[_Statement]:
    current: _Statement | None = None
    line, depth, value = 1, 0, False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n" and depth == 0:
            if current:
                yield current
            current, value = None, False
        elif match.lastgroup != "comment" and not token.isspace():
            current = current or _Statement(line)
            depth += (token in ("[", "{")) - (token in ("]", "}"))
            value = value or (token == "=" and depth == 0)
            if not value:
                current.tokens.append(token)
        line += token.count("\n")
    if current:
        yield current


def _names(tokens: list[str]) -> list[str]:
    return [_unquoted(token) for token in tokens if token not in ("[", "]", ".")]


def _unquoted(token: str) -> str:
    if token.startswith("'"):
        return token[1:-1]
    if token.startswith('"'):
        return _ESCAPE.sub(_unescaped, token[1:-1])
    return token


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)
