"""What lines are made of besides the bytes; fixed for the life of a generation, so that a repeat is identical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from ingest.lines.encoding import MARKED, UTF_8, check_encoding, find_newline, marked, newline_width, newlines


@dataclass(frozen=True, slots=True)
class Framing:
    """How bytes become lines. Expressions are RE2's, and are looked for anywhere in a line unless they begin with ^.

    Attributes:
        max_line: a value longer than so many bytes is cut.
        drop_empty: lines without a byte become no record; the next record's interval covers them.
        encoding: of the bytes, by Python's name; values are UTF-8. "utf-8": taken as they are, whatever they are.
            "utf-16": the first two bytes decide, see `resolved`.
        begins: a line in which it is found begins an event, others go on with the one before; "" = see `continues`.
        continues: a line in which it is found goes on with the event before, others begin one; "" = see `begins`.
            Neither: every line is an event.
        include: events in which none of these is found are left out; () = none is.
        exclude: events in which one of these is found are left out.
    """

    max_line: int
    drop_empty: bool
    encoding: str = UTF_8
    begins: str = ""
    continues: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def multiline(self) -> bool:
        """Whether an event may be of several lines."""
        return bool(self.begins or self.continues)

    @property
    def span(self) -> int:
        """Return so many bytes of a line that its value is certainly too long where it has more."""
        return self.max_line if self.encoding == UTF_8 else 2 * self.max_line

    @property
    def width(self) -> int:
        """Return the bytes of a newline."""
        return newline_width(self.encoding)

    def find_newline(self, chunk: bytes) -> int:
        """Return the place of the first newline in `chunk`, which begins with a character; -1 = none is in it."""
        return find_newline(chunk, self.encoding)

    def after_last_newline(self, chunk: bytes) -> int:
        """Return the place behind the last newline in `chunk`, which begins with a character; 0 = none is in it."""
        found = newlines(chunk, 0, self.encoding)
        return int(found[-1]) + self.width if len(found) else 0

    def resolved(self, head: bytes) -> Self | None:
        """Return the framing for a stream that begins with `head`; None = more than `head` must be known."""
        if self.encoding != MARKED:
            return self
        return None if len(head) < 2 else replace(self, encoding=marked(head))

    def agrees(self, wanted: Self) -> bool:
        """Whether this, of a stream that was read, is what `wanted` makes of it."""
        same = self.encoding == wanted.encoding or (wanted.encoding == MARKED and self.encoding.startswith(MARKED))
        return same and replace(self, encoding=wanted.encoding) == wanted

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        found = asdict(self)
        unusual = {key: value for key, value in found.items() if value != _USUAL.get(key)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in unusual.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Ignore other keys; raise KeyError, TypeError or ValueError for what `to_json` does not return."""
        return cls(
            int(value["max_line"]),
            bool(value["drop_empty"]),
            str(value.get("encoding", UTF_8)),
            str(value.get("begins", "")),
            str(value.get("continues", "")),
            tuple(map(str, value.get("include", ()))),
            tuple(map(str, value.get("exclude", ()))),
        )


_USUAL = {key: value for key, value in asdict(Framing(0, False)).items() if key not in ("max_line", "drop_empty")}


def check_framing(framing: Framing) -> None:
    """Raise ValueError for an encoding or an expression that can't be used."""
    check_encoding(framing.encoding)
    for expression in (framing.begins, framing.continues, *framing.include, *framing.exclude):
        try:
            pc.match_substring_regex(pa.array([b""], pa.binary()), expression)
        except pa.ArrowInvalid as error:
            raise ValueError(f'"{expression}" is no RE2 expression: {error}') from error
