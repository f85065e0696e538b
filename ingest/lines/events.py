"""Lines that belong together become one event: a traceback, a statement over several lines.

What begins an event is a matter of each line alone, so that reading may begin at any event again. An event that grows
longer than a value may be ends before the line that does not fit, which begins the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.blocks import Bools, Int64s
from ingest.lines.framing import Framing


def values(chunk: bytes, starts: Int64s, ends: Int64s) -> pa.BinaryArray:
    """Return the lines [start, end) of `chunk`, without nulls."""
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2], offsets[1::2] = starts, ends
    elements = max(len(offsets) - 1, 0)
    between = pa.Array.from_buffers(pa.binary(), elements, [None, pa.py_buffer(offsets), pa.py_buffer(chunk)])
    return between.take(pa.array(np.arange(0, elements, 2, dtype=np.int32)))


def found_in(lines: pa.BinaryArray, expressions: Sequence[str]) -> Bools:
    """Return in which lines one of the expressions is found."""
    found = np.zeros(len(lines), np.bool_)
    for expression in expressions:
        found |= pc.match_substring_regex(lines, expression).to_numpy(zero_copy_only=False)
    return found


def wanted_lines(chunk: bytes, starts: Int64s, ends: Int64s, framing: Framing) -> Bools:
    """Return which of the lines [start, end) of `chunk`, cut already where they are too long, are to be sent."""
    wanted = np.ones(len(starts), np.bool_)
    if (framing.include or framing.exclude) and len(wanted):
        lines = values(chunk, starts, ends)
        if framing.include:
            wanted = found_in(lines, framing.include)
        wanted &= ~found_in(lines, framing.exclude)
    return wanted


def first_lines(chunk: bytes, starts: Int64s, ends: Int64s, forced: Bools, framing: Framing) -> Int64s:
    """Return which lines begin an event, int64[k] ascending; the first one always does.

    Args:
        chunk: holds the lines.
        starts: int64[n], n > 0.
        ends: int64[n], newlines excluded.
        forced: bool[n], lines that begin an event whatever is in them.
        framing: what an event is.
    """
    lines = values(chunk, starts, ends)
    begins = found_in(lines, [framing.begins]) if framing.begins else ~found_in(lines, [framing.continues])
    begins |= forced
    begins[0] = True
    return _fitting(np.flatnonzero(begins), starts, ends, framing.max_line)


def _fitting(firsts: Int64s, starts: Int64s, ends: Int64s, most: int) -> Int64s:
    """Begin further events where one would have more than `most` bytes."""
    lasts = np.append(firsts[1:], len(starts)) - 1
    long = np.flatnonzero((ends[lasts] - starts[firsts] > most) & (lasts > firsts))
    more: list[int] = []
    for event in long.tolist():
        begin, last = int(firsts[event]), int(lasts[event])
        while ends[last] - starts[begin] > most and begin < last:
            fit = int(np.searchsorted(ends[begin : last + 1], starts[begin] + most, side="right"))
            begin += max(fit, 1)
            if begin > last:
                break
            more.append(begin)
    return np.sort(np.concatenate((firsts, np.array(more, np.int64)))) if more else firsts
