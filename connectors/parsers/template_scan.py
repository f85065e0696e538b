"""The marks of many lines at once, and by them which lines look alike. See `template`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.escapes import escapes_in, without_escapes, wrong_escapes
from ingest.connectors.parsers.places import Block
from ingest.connectors.parsers.spans import QUOTE, Bytes

_SPACE = 0x20
_STEP, _STIR = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)


Finder: TypeAlias = Callable[[Bytes, Bools, Int64s], Int64s]
"""Takes bytes of lines with all escapes filled in, which of them are quotes, and int64[n + 1], where lines start and
the last one ends; returns the marks, ascending.
"""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the bytes of n lines shows. Places are indices into `data`.

    Attributes:
        data: the bytes of the lines, one after the other.
        plain: the same, with all escapes filled in: a quote is the end of a string here.
        escapes: int64[e], where escapes begin, ascending.
        starts: int64[n], where each line starts.
        ends: int64[n], where it ends, exclusive; the next line starts there.
        odd: bool[n], lines with a wrong escape or a control character, or None where there is no such line.
        quotes: how many quotes all lines hold.
        marks: int64[m], ascending.
        first: int64[n], index of each line's first mark.
        count: int64[n], how many marks each line has.
        telling: so many bytes before each mark tell shapes apart; all of them are in the mark's line.
    """

    data: Bytes
    plain: Bytes
    escapes: Int64s
    starts: Int64s
    ends: Int64s
    odd: Bools | None
    quotes: int
    marks: Int64s
    first: Int64s
    count: Int64s
    telling: int

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.starts)

    def even(self) -> Int64s:
        """Return the lines that are not odd, ascending."""
        return np.arange(self.rows) if self.odd is None else np.flatnonzero(~self.odd)

    def signatures(self, rows: Int64s) -> npt.NDArray[np.uint64]:
        """Return for some lines a number that is the same for lines of one shape; 0 = the line has no mark.

        It is made of the number of marks and the bytes before each.
        """
        result = np.zeros(self.rows, np.uint64)
        marked = self.count > 0
        if marked.any():
            words = _words(self.data, self.marks, self.telling)
            result[marked] = np.add.reduceat(words, self.first[marked], dtype=np.uint32)
            result |= self.count.astype(np.uint64) << np.uint64(32)
        return result[rows]

    def line(self, row: int) -> bytes:
        """Return one line."""
        return self.data[self.starts[row] : self.ends[row]].tobytes()


def scan(text: pa.StringArray, find: Finder, telling: int) -> Scan:
    """Look at all bytes of at least one line; none ends with a backslash. See `Scan.telling`."""
    block = Block.of(text)
    data, bounds = block.data, block.bounds
    escapes = escapes_in(data)
    odd = _odd(data, bounds, escapes)
    plain = without_escapes(data, escapes) if len(escapes) else data
    quoted = plain == QUOTE
    marks = find(plain, quoted, bounds)
    first = np.searchsorted(marks, bounds)
    quotes = int(np.count_nonzero(quoted))
    return Scan(data, plain, escapes, bounds[:-1], bounds[1:], odd, quotes, marks, first[:-1], np.diff(first), telling)


def _odd(data: Bytes, bounds: Int64s, escapes: Int64s) -> Bools | None:
    """Return which lines hold a wrong escape or a control character."""
    places = wrong_escapes(data, escapes) if len(escapes) else escapes
    if int(data.min()) < _SPACE:
        places = np.concatenate([places, np.flatnonzero(data < _SPACE)])
    if not len(places):
        return None
    odd = np.zeros(len(bounds) - 1, np.bool_)
    odd[np.searchsorted(bounds, places, "right") - 1] = True
    return odd


def _words(data: Bytes, marks: Int64s, size: int) -> npt.NDArray[np.uint32]:
    """Return so many bytes before each mark, stirred."""
    words = np.zeros(len(marks), np.uint32)
    for before in range(size, 0, -1):
        words <<= np.uint32(8)
        words |= data[marks - before]
    words *= _STEP
    words ^= words >> np.uint32(15)
    words *= _STIR
    return words
