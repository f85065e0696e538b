"""Whether cells are the JSON that their first byte promises.

After this every value in a line that still fits is proven to be JSON. The constant texts and the ends of strings
account for all quotes, so that no string holds one; lines with backslashes or control characters have no template;
numbers and literals are compared with the grammar; a list is read by the reference, once for all lines that have it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_template_cells import FALSE, LIST, NULL, NUMBER, STRING, TRUE, Cells, Path
from ingest.connectors.parsers.json_value import read_object, text_of
from ingest.connectors.parsers.number_columns import Numbers, numbers
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import QUOTE, bytes_of, exactly, texts

MOST_DISTINCT = 256
"""So many distinct values of a lane at most are read by the reference; where there are more, all these lines are."""

_WORDS = ((NULL, b"null"), (TRUE, b"true"), (FALSE, b"false"))


@dataclass(frozen=True, slots=True)
class NumberCells:
    """The numbers in a lane: `rows` int64[m], which lines they are of, ascending; None = all."""

    rows: Int64s | None
    found: Numbers


def judge(cells: Cells, read: Collection[str], *, most: int | None) -> dict[int, NumberCells]:
    """Clear `fits` of the lines that are not proven to be JSON; return lane → its numbers.

    Args:
        cells: of all lines.
        read: names of members whose lists are read into columns, so that it does not matter how they are written.
        most: so many distinct lists of other members are looked at; None = all, as no other way is faster.
    """
    strings = cells.kinds == STRING
    _strings(cells, strings)
    for path, lane in cells.lanes.items():
        held = cells.held[lane]
        if held & (NULL | TRUE | FALSE):
            _words(cells, lane)
        if held & LIST:
            free = path[0] in read
            _lists(cells, lane, path, free, MOST_DISTINCT if free else most)
    _quotes(cells, strings)
    return _numbers(cells)


def _strings(cells: Cells, strings: Bools) -> None:
    """Look at the last byte of each string; it is not the first."""
    last = cells.ends - 1
    wrong = cells.scan.plain[last] != QUOTE
    wrong |= last == cells.starts
    wrong &= strings
    if wrong.any():
        cells.fits[wrong.any(axis=0)] = False


def _words(cells: Cells, lane: int) -> None:
    for kind, word in _WORDS:
        if not cells.held[lane] & kind:
            continue
        rows = cells.rows_of(lane, kind)
        starts, ends = cells.spans(lane, rows)
        cells.refuse(rows, ~exactly(cells.data, starts, ends, word))


def _numbers(cells: Cells) -> dict[int, NumberCells]:
    """Look at the numbers of all lanes at once: a call for each lane costs more than what it does."""
    lanes = [lane for lane, held in enumerate(cells.held) if held & NUMBER]
    if not lanes:
        return {}
    rows = [cells.rows_of(lane, NUMBER) for lane in lanes]
    spans = [cells.spans(lane, some) for lane, some in zip(lanes, rows, strict=True)]
    starts, ends = (np.concatenate(each) for each in zip(*spans, strict=True))
    found = numbers(texts(cells.data, starts, ends, pa.string()), [len(start) for start, _ in spans])
    for some, each in zip(rows, found, strict=True):
        cells.refuse(some, ~each.valid)
    return {lane: NumberCells(some, each) for lane, some, each in zip(lanes, rows, found, strict=True)}


def _lists(cells: Cells, lane: int, path: Path, free: bool, most: int | None) -> None:
    """Read lists, and count their quotes.

    Unless they are free, they must be written as the reference would write them: a column may keep their text.
    """
    rows = np.flatnonzero(cells.kinds[lane] == LIST)
    found = texts(cells.data, *cells.spans(lane, rows), pa.string()).dictionary_encode()
    if most is not None and len(found.dictionary) > most:
        cells.fits[rows] = False
        return
    distinct = found.dictionary.to_pylist()
    codes = found.indices.to_numpy()
    cells.refuse(rows, ~np.array([_is_json(each, path, free) for each in distinct], np.bool_)[codes])
    cells.quotes[rows] += np.array([each.count('"') for each in distinct], np.int64)[codes]


def _is_json(text: str, path: Path, free: bool) -> bool:
    """Return whether a text is JSON where it stands, as deep as it does, and if not free as the reference writes it.

    Not with an escape: its quotes could not be counted.
    """
    if "\\" in text:
        return False
    try:
        value: Any = read_object(b'{"":' * len(path) + text.encode() + b"}" * len(path))
    except Reject:
        return False
    for _ in path:
        value = value[""]
    return free or text_of(value) == text


def _quotes(cells: Cells, strings: Bools) -> None:
    """Refuse the lines that hold more quotes than those known of.

    Quotes that are known are in places of their own, so that no line can hold fewer: if the sums are equal, all are.
    """
    quotes = cells.scan.quotes
    if cells.fits.all() and int(cells.quotes.sum()) + 2 * int(np.count_nonzero(strings)) == quotes:
        return
    known = cells.quotes + 2 * np.count_nonzero(strings, axis=0)
    others = _lines(cells, np.flatnonzero(~cells.fits))
    if int(known[cells.fits].sum()) + int(np.count_nonzero(bytes_of(others)[0] == QUOTE)) == quotes:
        return
    places = np.flatnonzero(cells.scan.plain == QUOTE)
    held = np.searchsorted(places, cells.scan.ends) - np.searchsorted(places, cells.scan.starts)
    cells.refuse(None, held != known)


def _lines(cells: Cells, rows: Int64s) -> pa.BinaryArray:
    """Return some lines, with their escapes filled in."""
    scan = cells.scan
    return texts(scan.plain, scan.starts[rows], scan.ends[rows], pa.binary())
