"""Many lines of delimited fields into the places of these fields.

A line is taken if its delimiters outside of quotes are as many as there should be, and if each of its quotes opens or
closes a field: no field holds one, none is quoted in part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.places import Block, Places, places_of
from ingest.connectors.parsers.spans import Bytes

_RETURN, _NEWLINE = b"\r\n"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The bytes that separate and enclose fields."""

    delimiter: int
    quote: int


@dataclass(frozen=True, slots=True)
class Cells:
    """Fields of some lines: `rows` int64[n], ascending, which lines; `starts`, `ends` int64[k, n], exclusive, where in
    `data` the k fields of each are, without quotes.
    """

    data: Bytes
    rows: Int64s
    starts: Int64s
    ends: Int64s

    def only(self, chosen: Bools) -> Cells:
        """Return those of some of the lines."""
        return Cells(self.data, self.rows[chosen], self.starts[:, chosen], self.ends[:, chosen])


def cells_of(text: pa.StringArray, dialect: Dialect, number: int) -> Cells:
    """Return the fields of those lines that surely have so many.

    Args:
        text: lines, none of them empty.
        dialect: how fields are separated.
        number: of fields in a line.
    """
    block = Block.of(text)
    delimiters, quotes = _places(block, dialect)
    returned = block.returned
    fits = delimiters.count == number - 1
    if int(block.data.min()) <= _RETURN:
        fits &= (block.places(_RETURN).count == returned) & (block.places(_NEWLINE).count == 0)
    rows = np.flatnonzero(fits)
    starts, ends = np.empty((2, number, len(rows)), np.int64)
    starts[0], ends[:-1], ends[-1] = block.starts[rows], delimiters.table(rows, number - 1), block.ends[rows]
    np.add(ends[:-1], 1, out=starts[1:])
    ends[-1] -= returned[rows]
    cells = Cells(block.data, rows, starts, ends)
    return cells if quotes is None else _unquoted(cells, dialect, quotes.count[rows])


def _places(block: Block, dialect: Dialect) -> tuple[Places, Places | None]:
    """Return where delimiters are that are outside of quotes, and where quotes are; None = nowhere.

    Of lines with an odd number of quotes it may be any of their delimiters.
    """
    quotes = Places.of(places_of(block.data == dialect.quote), block.bounds)
    delimiters = np.flatnonzero(block.data == dialect.delimiter)
    if not len(quotes.at):
        return Places.of(delimiters, block.bounds), None
    odd = quotes.count & 1
    paired = quotes.at if not odd.any() else quotes.at[np.repeat(odd == 0, quotes.count)]
    first, after = np.searchsorted(delimiters, paired[::2]), np.searchsorted(delimiters, paired[1::2])
    if (first < after).any():
        enclosed = after - first
        begin = np.cumsum(enclosed) - enclosed
        outer = np.ones(len(delimiters), np.bool_)
        outer[np.repeat(first - begin, enclosed) + np.arange(enclosed.sum())] = False
        delimiters = delimiters[outer]
    return Places.of(delimiters, block.bounds), quotes


def _unquoted(cells: Cells, dialect: Dialect, quotes: Int64s) -> Cells:
    """Return the cells without the quotes around them, but for lines that have other quotes.

    Args:
        cells: with their quotes; changed in place.
        dialect: has the quote.
        quotes: int64[n], how many each line has.
    """
    if not quotes.any():
        return cells
    # An empty field at the very end starts behind all bytes.
    enclosed = cells.data.take(cells.starts, mode="clip") == dialect.quote
    fields, lines = np.nonzero(enclosed)
    starts, ends = cells.starts[fields, lines], cells.ends[fields, lines]
    # One byte alone can't open and close; of an empty field it was the next one that was looked at.
    enclosed[fields, lines] = (ends - starts > 1) & (cells.data[ends - 1] == dialect.quote)
    fits = quotes == 2 * np.count_nonzero(enclosed, axis=0)
    np.add(cells.starts, enclosed, out=cells.starts)
    np.subtract(cells.ends, enclosed, out=cells.ends)
    return cells if fits.all() else cells.only(fits)
