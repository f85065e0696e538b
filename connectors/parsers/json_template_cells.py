"""What is in the places that templates leave open: one table of cells for all lines, whatever their template."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.escapes import holding
from ingest.connectors.parsers.json_template_match import Group, span
from ingest.connectors.parsers.spans import Bytes
from ingest.connectors.parsers.template_scan import Scan

STRING, NUMBER, NULL, TRUE, FALSE, LIST, OBJECT, ABSENT = (1 << bit for bit in range(8))
"""Kinds of cells by their first byte, one bit each. LIST: or an empty object. OBJECT: its leaves are cells of their
own. ABSENT: the line has no such member, or no template.
"""
BAD = 0
"""The kind of a cell that no JSON value begins like."""

_KIND = np.zeros(256, np.uint8)
_KIND[ord('"')] = STRING
_KIND[list(b"-0123456789")] = NUMBER
_KIND[ord("n")], _KIND[ord("t")], _KIND[ord("f")] = NULL, TRUE, FALSE
_KIND[list(b"[{")] = LIST

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of n lines in k lanes: one for each path of names that leads to a leaf or is that of a column.

    Attributes:
        scan: of the lines; the others are places in its bytes.
        lanes: path → number of its lane.
        starts: int64[k, n]; ascending in each lane.
        ends: int64[k, n], exclusive; the start of an absent cell.
        kinds: uint8[k, n], none of them BAD.
        held: the kinds in each lane, or-ed together.
        fits: bool[n], lines that have a template and whose cells, as far as they were looked at, are what they seem.
            Only ever cleared.
        quotes: int64[n], in the constant texts of each line, and in its lists as far as they were looked at.
    """

    scan: Scan
    lanes: dict[Path, int]
    starts: Int64s
    ends: Int64s
    kinds: Bytes
    held: list[int]
    fits: Bools
    quotes: Int64s

    @property
    def data(self) -> Bytes:
        """Return the bytes that `starts` are places in."""
        return self.scan.data

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.fits)

    def refuse(self, rows: Int64s | None, which: Bools) -> None:
        """Clear `fits` of those of `rows` (None = all) that are marked in `which`."""
        if which.any():
            self.fits[which if rows is None else rows[which]] = False

    def escaped(self, rows: Int64s | None, starts: Int64s, ends: Int64s) -> Bools | None:
        """Return which of the spans hold an escape and refuse their lines; None = no span does."""
        if not len(self.scan.escapes):
            return None
        found = holding(self.scan.escapes, starts, ends)
        self.refuse(rows, found)
        return found if found.any() else None

    def rows_of(self, lane: int, kinds: int) -> Int64s | None:
        """Return which cells of a lane are of one of the kinds; None = all."""
        if not self.held[lane] & ~kinds:
            return None
        return np.flatnonzero(self.kinds[lane] & kinds)

    def spans(self, lane: int, rows: Int64s | None) -> tuple[Int64s, Int64s]:
        """Return where some cells of a lane start and end; None = all."""
        if rows is None:
            return self.starts[lane], self.ends[lane]
        return self.starts[lane][rows], self.ends[lane][rows]


def cells_of(scan: Scan, placed: Sequence[Group], columns: Collection[str]) -> Cells:
    """Return the values of all lines that were placed.

    Args:
        scan: of the lines.
        placed: at least one group of them.
        columns: names of members that are wanted as a whole where they are objects.
    """
    lanes: dict[Path, int] = {}
    for group in placed:
        for leaf in group.template.leaves:
            lanes.setdefault(leaf.path, len(lanes))
        for member in group.template.members:
            if member.nested and member.name in columns:
                lanes.setdefault((member.name,), len(lanes))
    first = placed[0]
    if len(first.rows) == scan.rows and len(lanes) == len(first.starts):
        fits, quotes = np.ones(scan.rows, np.bool_), np.full(scan.rows, first.template.quotes)
        starts, ends, kinds = first.starts, first.ends, _KIND[scan.data[first.starts]]
    else:
        fits, quotes = np.zeros(scan.rows, np.bool_), np.zeros(scan.rows, np.int64)
        starts = np.repeat(scan.starts[None, :], len(lanes), axis=0)
        ends = starts.copy()
        kinds = np.full(starts.shape, ABSENT, np.uint8)
        for group in placed:
            _fill(scan, group, lanes, starts, ends, kinds)
            fits[group.rows] = True
            quotes[group.rows] = group.template.quotes
    bad = kinds == BAD
    if bad.any():
        fits[bad.any(axis=0)] = False
        kinds[bad] = ABSENT
    held = np.bitwise_or.reduce(kinds, axis=1).tolist()
    return Cells(scan, lanes, starts, ends, kinds, held, fits, quotes)


def _fill(scan: Scan, group: Group, lanes: dict[Path, int], starts: Int64s, ends: Int64s, kinds: Bytes) -> None:
    index = np.ix_(np.array([lanes[leaf.path] for leaf in group.template.leaves]), group.rows)
    starts[index], ends[index], kinds[index] = group.starts, group.ends, _KIND[scan.data[group.starts]]
    for member in group.template.members:
        lane = lanes.get((member.name,))
        if member.nested and lane is not None:
            starts[lane, group.rows], ends[lane, group.rows] = span(group, member)
            kinds[lane, group.rows] = OBJECT
