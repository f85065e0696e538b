"""What one line of JSON shows of others like it: what stays the same, and where the values are.

Programs write the same members in the same order with the same punctuation, so that a line is constant texts with
values between them: `{"status":` 200 `,"path":` "/a" `}`. See `template`.

A *mark* is the pair of bytes `":`, which ends each member's name and is found without reading anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_value import read_object, text_of
from ingest.connectors.parsers.places import places_of
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import COLON, Bytes
from ingest.connectors.parsers.template import Leaf, Template

MARK = b'":'

TELLING = 2
"""Before a mark are a brace and a quote at least."""

MOST_MARKS = 256
"""Lines with more members than this are not learned from."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+')


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the outermost object: its leaves are `first` to `last`, inclusive.

    Attributes:
        name: of the member.
        first: index of its first leaf.
        last: index of its last leaf.
        opening: bytes of the member's value before its first leaf; 0 where the value is a leaf.
        closing: bytes of it after its last leaf.
        canonical: the bytes of the value are what `text_of` makes of it, whatever the leaves hold.
    """

    name: str
    first: int
    last: int
    opening: int = 0
    closing: int = 0
    canonical: bool = True

    @property
    def nested(self) -> bool:
        """Return whether the value is an object that holds the leaves."""
        return self.opening > 0


@dataclass(frozen=True, slots=True)
class JsonTemplate(Template):
    """A template of objects; a leaf is a string, number or literal, or a list without named members.

    Attributes:
        members: of the outermost object, in the order of the line.
        quotes: how many quotes the constant texts hold.
    """

    members: tuple[Member, ...]
    quotes: int


def marks_in(plain: Bytes, quoted: Bools, bounds: Int64s) -> Int64s:
    """Return the marks of lines, each of which begins with a brace; see `template_scan.Finder`."""
    found = plain == COLON
    found[1:] &= quoted[:-1]
    marks = places_of(found)
    marks -= 1
    return marks


def learn(line: bytes) -> JsonTemplate | None:
    """Return the template of a line, or None where it is not worth one, no valid JSON, or has escapes in a name."""
    if line.count(MARK) > MOST_MARKS:
        return None
    try:
        values = read_object(line)
    except Reject:
        return None
    walk = _Walk(line)
    try:
        walk.object(())
    except _NoTemplateError:
        return None
    if not walk.leaves:
        return None
    after = line[walk.end :]
    quotes = sum(leaf.before.count(b'"') for leaf in walk.leaves) + after.count(b'"')
    return JsonTemplate(walk.marks, tuple(walk.leaves), after, tuple(map(walk.member, values)), quotes)


class _NoTemplateError(Exception):
    """A list holds objects with members: how many it holds is not constant."""


class _Walk:
    """Goes once over the tokens of a valid line."""

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.tokens = list(_TOKEN.finditer(line))
        self.at = 0
        self.end = 0
        self.marks = 0
        self.leaves: list[Leaf] = []
        self.spans: list[tuple[int, int]] = []
        self.tops: dict[str, tuple[int, int, int, int]] = {}

    def object(self, path: tuple[str, ...]) -> None:
        """Read an object; the current token is its brace."""
        self.at += 1
        while self.tokens[self.at][0] != b"}":
            name = self.tokens[self.at]
            mark = name.end() - 1
            if self.line[mark : mark + 2] != MARK or b"\\" in name[0]:
                raise _NoTemplateError
            self.marks += 1
            self.at += 2
            first, start = len(self.leaves), self.tokens[self.at].start()
            self._value((*path, name[0][1:-1].decode()), mark)
            if not path:
                self.tops[name[0][1:-1].decode()] = (first, len(self.leaves) - 1, start, self.tokens[self.at - 1].end())
            if self.tokens[self.at][0] == b",":
                self.at += 1
        self.at += 1

    def _value(self, path: tuple[str, ...], mark: int) -> None:
        token, following = self.tokens[self.at], self.tokens[self.at + 1]
        if token[0] == b"{" and following[0] != b"}":
            self.object(path)
            return
        start, number = token.start(), self.marks - 1
        self._skip()
        end = self.tokens[self.at - 1].end()
        self.leaves.append(Leaf(path, number, start - mark, self.line[self.end : start]))
        self.spans.append((start, end))
        self.end = end

    def _skip(self) -> None:
        """Go past one value that holds no named members."""
        depth = 0
        while True:
            token = self.tokens[self.at][0]
            if token == b":":
                raise _NoTemplateError
            self.at += 1
            depth += (token in b"{[") - (token in b"}]")
            if not depth:
                return

    def member(self, name: str) -> Member:
        """Return what is known of a member of the outermost object."""
        first, last, start, end = self.tops[name]
        opening = self.spans[first][0] - start
        closing = end - self.spans[last][1]
        return Member(name, first, last, opening, closing, not opening or self._is_canonical(first, last, start, end))

    def _is_canonical(self, first: int, last: int, start: int, end: int) -> bool:
        """Return whether the constant texts in an object are as the reference writes them, whatever the leaves are."""
        text = self.line[start : self.spans[first][0]]
        for number in range(first + 1, last + 1):
            text += b"0" + self.leaves[number].before
        text += b"0" + self.line[self.spans[last][1] : end]
        return text_of(read_object(text)).encode() == text
