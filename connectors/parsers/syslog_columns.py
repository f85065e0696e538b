"""Many lines of syslog into columns, by the places of their spaces; see `syslog` for the kinds of lines.

A line is taken only if each part of it is proven to be what `SyslogParser.read` would find there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.civil import clock, digits, months
from ingest.connectors.parsers.number_columns import is_digit
from ingest.connectors.parsers.places import Block, Places
from ingest.connectors.parsers.spans import Bytes, exactly, string_columns, windows
from ingest.connectors.parsers.syslog_times import is_known, latest_seconds, seconds_to_utc
from ingest.connectors.parsers.syslog_words import FACILITIES, HIGHEST, NO_YEAR, SEVERITIES, STRUCTURED_DATA
from ingest.connectors.parsers.text_parser import Fields
from ingest.connectors.parsers.time_columns import TIME

_SPACE, _LESS, _GREATER, _ONE, _ZERO, _DASH, _PLUS, _COLON = b" <>10-+:"
_OPEN, _CLOSE, _T, _Z = b"[]TZ"
_BOM = "\ufeff".encode()
_HEADER = ("time", "hostname", "app_name", "proc_id", "msg_id")
_HEADER_SPACES = len(_HEADER) + 1
_MOST_DIGITS = 3
_LOCAL, _SHORTEST_ISO = len("Mmm dd hh:mm:ss"), len("2026-11-23T01:02:03Z")
_DATE = len("2026-11-23")
_DIGITS, _DASHES = [0, 1, 2, 3, 5, 6, 8, 9], [4, 7]
_MILLION = 1_000_000
_DATA = rf"(?s)^(?P<data>{STRUCTURED_DATA})(?:(?P<gap> \x{{FEFF}}?)(?P<message>.*))?\z"
_FACILITIES, _SEVERITIES = pa.array(FACILITIES), pa.array(SEVERITIES)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Some of the lines of a block.

    Attributes:
        block: of all lines.
        spaces: of all lines.
        rows: int64[k], ascending, which lines.
        starts: int64[k], what comes behind the priority.
        ends: int64[k], exclusive, without a carriage return.
        priority: int64[k], -1 = none.
    """

    block: Block
    spaces: Places
    rows: Int64s
    starts: Int64s
    ends: Int64s
    priority: Int64s

    def only(self, chosen: Bools) -> _Lines:
        """Return some of them."""
        return _Lines(
            self.block, self.spaces, self.rows[chosen], self.starts[chosen], self.ends[chosen], self.priority[chosen]
        )

    def at(self, offset: int) -> Bytes:
        """Return the byte so far behind each start; behind the end of a line it means nothing."""
        found: Bytes = self.block.data.take(self.starts + offset, mode="clip")
        return found

    def words(self) -> dict[str, pa.Array]:
        """Return facility and severity."""
        if (self.priority < 0).all():
            return {}
        missing = self.priority < 0
        facility, severity = np.divmod(self.priority, len(SEVERITIES))
        return {
            "facility": _FACILITIES.take(pa.array(facility, mask=missing)),
            "severity": _SEVERITIES.take(pa.array(severity, mask=missing)),
        }


def split(text: pa.StringArray, moments: Int64s, zone: tzinfo) -> Sequence[Fields]:
    """Return the lines of each kind that surely are of it; `moments` and `zone` as in `SyslogParser`."""
    lines = _lines(Block.of(text))
    modern = (lines.priority >= 0) & (lines.at(0) == _ONE) & (lines.at(1) == _SPACE)
    found = [*_modern(lines.only(modern))] if modern.any() else []
    if not modern.all():
        old = lines.only(~modern)
        iso = (old.at(_DATE) == _T) & (old.ends - old.starts > _SHORTEST_ISO)
        local = (old.at(_LOCAL) == _SPACE) & (old.ends - old.starts > _LOCAL)
        found += [_iso(old.only(iso)), _local(old.only(local & ~iso), moments, zone)]
    return found


def _lines(block: Block) -> _Lines:
    """Return the lines whose priority, if they have one, is right."""
    data, starts = block.data, block.starts
    ends = block.ends - block.returned
    lines = _Lines(block, block.places(_SPACE), np.arange(block.rows), starts, ends, np.full(block.rows, -1))
    right = data[starts] != _LESS
    if right.all():
        return lines
    priority, after = lines.priority.copy(), starts.copy()
    for size in range(1, _MOST_DIGITS + 1):
        closed = np.flatnonzero(~right & (lines.at(size + 1) == _GREATER) & (starts + size + 1 < ends))
        value, good = digits(_windows(data, starts[closed] + 1, size))
        good &= (value <= HIGHEST) & ((size == 1) | (data[starts[closed] + 1] != _ZERO))
        right[closed], priority[closed], after[closed] = good, value, starts[closed] + size + 2
    lines = _Lines(block, lines.spaces, lines.rows, after, ends, priority)
    return lines if right.all() else lines.only(right)


def _windows(data: Bytes, starts: Int64s, size: int) -> Bytes:
    """Return so many bytes from each place, all of them there: uint8[n, size]."""
    if not len(starts):
        return np.empty((0, size), np.uint8)
    return np.frombuffer(windows(data, size)[starts].tobytes(), np.uint8).reshape(-1, size)


def _is_zoned(data: Bytes, ends: Int64s) -> Bools:
    """Return which texts, if they are times of ISO 8601, say their zone in a usual way."""
    zone = data.take(ends - len("+01:00"), mode="clip")
    colon = data.take(ends - len(":00"), mode="clip")
    zoned: Bools = (data[ends - 1] == _Z) | (((zone == _PLUS) | (zone == _DASH)) & (colon == _COLON))
    return zoned


# ── RFC 5424 ─────────────────────────────────────────────────────────────────


def _modern(lines: _Lines) -> list[Fields]:
    data = lines.block.data
    lines = lines.only(lines.spaces.count[lines.rows] >= _HEADER_SPACES)
    space = lines.spaces.table(lines.rows, _HEADER_SPACES)
    begin, end, tail = space[:-1] + 1, space[1:], space[-1] + 1
    valid = ~exactly(data, begin, end, b"-")
    right = (end > begin).all(axis=0) & (space[0] == lines.starts + 1) & (tail < lines.ends)
    right &= ~valid[0] | _is_zoned(data, end[0])
    kind = data.take(tail, mode="clip")
    found = []
    for byte, read in ((_DASH, _without_data), (_OPEN, _with_data)):
        chosen = right & (kind == byte)
        if chosen.all():
            return [read(lines, begin, end, valid)]
        if chosen.any():
            found.append(read(lines.only(chosen), begin[:, chosen], end[:, chosen], valid[:, chosen]))
    return found


def _without_data(lines: _Lines, begin: Int64s, end: Int64s, valid: Bools) -> Fields:
    """Return lines in which a dash follows the spans of the header."""
    data, after = lines.block.data, end[-1] + 2
    more = after < lines.ends
    right = ~more | (data.take(after, mode="clip") == _SPACE)
    message = np.minimum(after + 1, lines.ends)
    message[exactly(data, message, np.minimum(message + len(_BOM), lines.ends), _BOM)] += len(_BOM)
    columns = string_columns(data, np.vstack([begin, message]), np.vstack([end, lines.ends]), np.vstack([valid, more]))
    return Fields(lines.rows, {**lines.words(), **dict(zip((*_HEADER, "message"), columns, strict=True))}).only(right)


def _with_data(lines: _Lines, begin: Int64s, end: Int64s, valid: Bools) -> Fields:
    """Return lines in which structured data may follow the spans of the header."""
    starts, ends = np.vstack([begin, end[-1] + 1]), np.vstack([end, lines.ends])
    *columns, tail = string_columns(lines.block.data, starts, ends, np.vstack([valid, np.ones_like(valid[0])]))
    found = pc.extract_regex(tail, _DATA)
    data, gap, message = (found.field(number) for number in range(found.type.num_fields))
    fields = dict(zip(_HEADER, columns, strict=True))
    fields |= {"structured_data": data, "message": pc.if_else(pc.equal(gap, ""), pa.scalar(None, pa.string()), message)}
    return Fields(lines.rows, {**lines.words(), **fields}).only(found.is_valid().to_numpy(zero_copy_only=False))


# ── RFC 3164 ─────────────────────────────────────────────────────────────────


def _iso(lines: _Lines) -> Fields:
    """Return lines that begin with a time of ISO 8601."""
    lines = lines.only(lines.spaces.count[lines.rows] > 1)
    ends = lines.spaces.table(lines.rows, 1)[0]
    right = _is_zoned(lines.block.data, ends)
    lines, ends = lines.only(right), ends[right]
    date = _windows(lines.block.data, lines.starts, _DATE)
    right = is_digit(date[:, _DIGITS]).all(axis=1) & (date[:, _DASHES] == _DASH).all(axis=1)
    lines, ends = lines.only(right), ends[right]
    tail = _tail(lines, np.ones_like(ends))
    times = string_columns(lines.block.data, lines.starts[None], ends[None], np.ones((1, len(ends)), np.bool_))
    return Fields(lines.rows, {**lines.words(), "time": times[0], **tail.columns}).only(tail.right)


def _local(lines: _Lines, moments: Int64s, zone: tzinfo) -> Fields:
    """Return lines that begin with a time like "Nov  3 01:02:03"."""
    text = _windows(lines.block.data, lines.starts, _LOCAL)
    padded = text[:, 4] == _SPACE
    tens = np.where(padded, _ZERO, text[:, 4])
    (day, first), (month, second) = digits(np.column_stack([tens, text[:, 5]])), months(text[:, 0:3])
    (time, third), moments = clock(text[:, 7:15]), moments[lines.rows]
    seconds, fourth = latest_seconds(month, day, time, moments)
    words = 3 + padded
    right = first & second & third & fourth & (text[:, 3] == _SPACE) & (text[:, 6] == _SPACE)
    right &= lines.spaces.count[lines.rows] > words
    # It may be a year.
    right &= ~(is_digit(lines.at(_LOCAL + 1)) & is_digit(lines.at(_LOCAL + 4)) & (lines.at(_LOCAL + 5) == _SPACE))
    tail = _tail(lines.only(right), words[right])
    known = is_known(moments[right])
    us = seconds_to_utc(np.where(known, seconds[right], 0), zone) * _MILLION
    fields = {**lines.only(right).words(), "time": pa.array(us, mask=~known).cast(TIME), **tail.columns}
    return Fields(lines.rows[right], fields, {NO_YEAR: ~known}).only(tail.right)


@dataclass(frozen=True, slots=True)
class _Tail:
    """What follows a time in n lines: columns, and bool[n], in which lines they are right."""

    columns: dict[str, pa.Array]
    right: Bools


def _tail(lines: _Lines, words: Int64s) -> _Tail:
    """Return hostname, tag and message.

    Args:
        lines: with more spaces than `words`.
        words: int64[n], spaces before the hostname or, where there is none, the tag; the last one directly before it.
    """
    data, spaces = lines.block.data, lines.spaces
    first = spaces.first[lines.rows] + words
    host, host_end = spaces.at[first - 1] + 1, spaces.at[first]
    more = spaces.count[lines.rows] > words + 1
    word, word_end = host_end + 1, np.where(more, spaces.at.take(first + 1, mode="clip"), lines.ends)
    named = (data[host_end - 1] != _COLON) | (host_end - host == 1)
    more, word, word_end = more | ~named, np.where(named, word, host), np.where(named, word_end, host_end)
    right = (host_end > host) & (word_end > word)
    tagged = data[word_end - 1] == _COLON
    app_end = word_end - tagged
    opened, closed = _next(lines.block, _OPEN, word, word_end), _next(lines.block, _CLOSE, word, word_end)
    numbered = tagged & (opened < word_end)
    right &= (app_end > word) & (~numbered | ((opened > word) & (closed == app_end - 1)))
    starts = np.stack([host, word, opened + 1, np.where(tagged, word_end + more, word)])
    ends = np.stack([host_end, np.where(numbered, opened, app_end), app_end - 1, lines.ends])
    valid = np.stack([right & named, right & tagged, right & numbered, right & (~tagged | more)])
    valid[:-1] &= ~exactly(data, starts[:-1], ends[:-1], b"-")
    columns = string_columns(data, starts, ends, valid)
    return _Tail(dict(zip(("hostname", "app_name", "proc_id", "message"), columns, strict=True)), right)


def _next(block: Block, byte: int, starts: Int64s, ends: Int64s) -> Int64s:
    """Return where each span holds the byte first; its end where it does not."""
    at = np.append(np.flatnonzero(block.data == byte), len(block.data))
    found: Int64s = np.minimum(at[np.searchsorted(at, starts)], ends)
    return found
