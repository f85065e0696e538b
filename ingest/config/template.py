"""Partition-path templates: "dt=%Y-%m-%d/site={site}", read into pieces. What the pieces become is for the layout.

Only what stands in the two lists below is ever filled in: a template can't reach anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

DIRECTIVES = frozenset("YmdHMSjyGVu")
"""Letters that may follow % (strftime's meaning, of the event time); %% is a plain %."""

_PIECE = re.compile(r"%(?P<directive>.?)|\{(?P<column>[^{}]*)\}|(?P<text>[^%{}]+)|(?P<stray>[{}])", re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Text:
    """Stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Time:
    """A part of the event time: one letter of `DIRECTIVES`."""

    directive: str


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a column of the row."""

    name: str


Piece: TypeAlias = Text | Time | Column


@dataclass(frozen=True, slots=True)
class Part:
    """One directory level, `name=` and the pieces of its value."""

    name: str
    pieces: tuple[Piece, ...]


def is_template(text: str) -> bool:
    """Return whether `partition_by` holds a template, rather than the name of a partition-path function."""
    return any(mark in text for mark in "=%{/") or not text


def parse_template(text: str) -> tuple[Part, ...]:
    """Return the directory levels.

    Raises:
        ValueError: not a template; the text says what would be right.
    """
    if not text:
        raise ValueError('must name at least one directory, such as "dt=%Y-%m-%d"')
    parts = tuple(_part(part) for part in _levels(text))
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'names "{name}" twice')
    return parts


def columns_of(parts: tuple[Part, ...]) -> list[str]:
    """Return the columns that the template takes values from, in order."""
    return [piece.name for part in parts for piece in part.pieces if isinstance(piece, Column)]


def _levels(text: str) -> list[str]:
    """Split at the slashes that do not stand in a {column}."""
    return re.findall(r"(?:\{[^{}]*\}|[^/])+|(?<=/)(?=/)|^(?=/)|(?<=/)$", text)


def _part(text: str) -> Part:
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name) or not value:
        raise ValueError(
            f'"{text}" is not of the form name=value, which readers need to find the column, such as "dt=%Y-%m-%d"'
        )
    return Part(name, tuple(_piece(match) for match in _PIECE.finditer(value)))


def _piece(match: re.Match[str]) -> Piece:
    if match["stray"]:
        raise ValueError(f'a "{match["stray"]}" without its partner')
    if match["column"] is not None:
        if not match["column"]:
            raise ValueError("{} must hold the name of a column")
        return Column(match["column"])
    if match["directive"] is None:
        return Text(match["text"])
    if match["directive"] == "%":
        return Text("%")
    if match["directive"] not in DIRECTIVES or not match["directive"]:
        allowed = ", ".join(f"%{letter}" for letter in sorted(DIRECTIVES))
        raise ValueError(f'no directive "%{match["directive"]}"; there are {allowed}')
    return Time(match["directive"])
