"""Many lines of the common log format into columns, by the places of their spaces and quotes.

A line is taken only if each of these bytes is where the format has it, so that there is one way to read it:

            HOST IDENTITY USER [dd/Mon/yyyy:HH:MM:SS +zone] "METHOD PATH PROTOCOL" STATUS BYTES "REFERRER" "AGENT" REST
    spaces      0        1    2                    3       4       5    6         7      8     9
    quotes                                                  0                    1             2        3 4     5
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.civil import Checked, clock, days, digits, months, seconds_of
from ingest.connectors.parsers.places import Block, Places
from ingest.connectors.parsers.spans import BACKSLASH, QUOTE, bytes_of, exactly, string_columns
from ingest.connectors.parsers.text_parser import Fields
from ingest.connectors.parsers.time_columns import FIRST_US, LAST_US, TIME

_SPACE, _OPEN, _CLOSE, _PLUS, _MINUS = b" []+-"
_SECOND = 1_000_000
_TIME_WIDTH = 26
_SIGN = 21
_MARKS, _MARKED = [2, 6, 11, 20], list(b"//: ")
_COMMON = ("host", "identity", "user", "time", "method", "path", "protocol", "status", "bytes")
_COMBINED = (*_COMMON, "referrer", "user_agent")
_COMMON_SPACES, _COMMON_QUOTES = 9, 2
_COMBINED_SPACES, _COMBINED_QUOTES = 10, 6


def split(text: pa.StringArray) -> list[Fields]:
    """Return the lines that are of the format, the common ones and the combined ones apart."""
    block = Block.of(text)
    spaces, quotes = block.places(_SPACE), block.places(QUOTE)
    common = (quotes.count == _COMMON_QUOTES) & (spaces.count == _COMMON_SPACES)
    combined = (quotes.count >= _COMBINED_QUOTES) & (spaces.count >= _COMBINED_SPACES)
    escaped = block.holding(BACKSLASH)
    if escaped is not None:
        common &= ~escaped
        combined &= ~escaped
    ends = block.ends - block.returned
    found = []
    if common.any():
        found.append(_common(block, ends, spaces, quotes, np.flatnonzero(common)))
    if combined.any():
        found.append(_combined(block, ends, spaces, quotes, np.flatnonzero(combined)))
    return found


def _common(block: Block, ends: Int64s, spaces: Places, quotes: Places, rows: Int64s) -> Fields:
    space, quote = spaces.table(rows, _COMMON_SPACES), quotes.table(rows, _COMMON_QUOTES)
    ends = ends[rows]
    right = _begins_well(block, rows, space, quote) & (ends > space[8] + 1)
    return _fields(block, rows, right, _spans(block.starts[rows], space, quote, ends), _COMMON)


def _combined(block: Block, ends: Int64s, spaces: Places, quotes: Places, rows: Int64s) -> Fields:
    space, quote = spaces.table(rows, _COMBINED_SPACES), quotes.table(rows, _COMBINED_QUOTES)
    right = _begins_well(block, rows, space, quote)
    right &= (space[9] > space[8] + 1) & (quote[2] == space[9] + 1)
    right &= (block.data[quote[3] + 1] == _SPACE) & (quote[4] == quote[3] + 2)
    ends, after = ends[rows], quote[5] + 1
    more = after < ends
    right[more] &= block.data[after[more]] == _SPACE
    spans = _spans(block.starts[rows], space, quote, space[9])
    spans += [(quote[2] + 1, quote[3]), (quote[4] + 1, quote[5])]
    if not more.any():
        return _fields(block, rows, right, spans, _COMBINED)
    return _fields(block, rows, right, [*spans, (after + 1, ends)], (*_COMBINED, "rest"), more)


def _begins_well(block: Block, rows: Int64s, space: Int64s, quote: Int64s) -> Bools:
    """Return which lines are of the format up to the space after the status."""
    data = block.data
    right: Bools = (space[0] > block.starts[rows]) & (space[1] > space[0] + 1) & (space[2] > space[1] + 1)
    right &= (space[4] == space[2] + _TIME_WIDTH + 3) & (quote[0] == space[4] + 1)
    right &= (data[space[2] + 1] == _OPEN) & (data[space[4] - 1] == _CLOSE)
    right &= (space[5] > quote[0] + 1) & (space[6] > space[5] + 1) & (quote[1] > space[6] + 1)
    right &= (space[7] == quote[1] + 1) & (space[8] > space[7] + 1)
    return right


def _spans(starts: Int64s, space: Int64s, quote: Int64s, end: Int64s) -> list[tuple[Int64s, Int64s]]:
    """Return where the fields of `_COMMON` start and end; the last one ends at `end`."""
    return [
        (starts, space[0]),
        (space[0] + 1, space[1]),
        (space[1] + 1, space[2]),
        (space[2] + 2, space[4] - 1),
        (quote[0] + 1, space[5]),
        (space[5] + 1, space[6]),
        (space[6] + 1, quote[1]),
        (space[7] + 1, space[8]),
        (space[8] + 1, end),
    ]


def _fields(
    block: Block,
    rows: Int64s,
    right: Bools,
    spans: list[tuple[Int64s, Int64s]],
    names: tuple[str, ...],
    more: Bools | None = None,
) -> Fields:
    """Return the fields of the lines that are `right`; in `more` those that have the last field, None = all."""
    starts, ends = (np.stack(each) for each in zip(*spans, strict=True))
    if not right.all():
        rows, starts, ends = rows[right], starts[:, right], ends[:, right]
    valid = ~exactly(block.data, starts, ends, b"-")
    if more is not None:
        valid[-1] &= more[right]
    columns = dict(zip(names, string_columns(block.data, starts, ends, valid), strict=True))
    seconds, known = _seconds(columns["time"])
    columns["time"] = pa.array(seconds * _SECOND).cast(TIME)
    return Fields(rows, columns).only(known)


def _seconds(times: pa.StringArray) -> Checked:
    """Return the seconds since 1970 of texts of _TIME_WIDTH bytes: of each distinct one once."""
    found = times.dictionary_encode()
    data, bounds = bytes_of(found.dictionary)
    text = data[bounds[0] : bounds[-1]].reshape(-1, _TIME_WIDTH)
    (day, first), (month, second), (year, third) = digits(text[:, 0:2]), months(text[:, 3:6]), digits(text[:, 7:11])
    date, fourth = days(year, month, day)
    time, fifth = clock(text[:, 12:20])
    (hours, sixth), (minutes, seventh) = digits(text[:, 22:24]), digits(text[:, 24:26])
    good = first & second & third & fourth & fifth & sixth & seventh & (hours < 24) & (minutes < 60)
    good &= (text[:, _MARKS] == _MARKED).all(axis=1) & ((text[:, _SIGN] == _PLUS) | (text[:, _SIGN] == _MINUS))
    zone = (hours * 60 + minutes) * np.where(text[:, _SIGN] == _PLUS, 60, -60)
    seconds = seconds_of(date, time) - zone
    good &= (seconds * _SECOND >= FIRST_US) & (seconds * _SECOND <= LAST_US)
    codes = found.indices.to_numpy()
    return seconds[codes], good[codes]
