"""Learns templates, proves of many lines at once that they have one, and finds where their values are. See `template`.

A line has a template if each of the constant texts is where the line's marks say: what the bytes between them are is
for others to judge.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.spans import Bytes, equal
from ingest.connectors.parsers.template import Template
from ingest.connectors.parsers.template_scan import Scan

_MOST_SHAPES = 32
_MOST_ALIKE = 4
_MOST_KNOWN = 256
_TRIES = 3
_MOST_FAILURES = 12

T = TypeVar("T", bound=Template)

Worth: TypeAlias = Callable[[T], bool]
"""Whether columns can be made of a template's values."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """Lines that have one template.

    Attributes:
        template: which they have.
        rows: int64[k], ascending: which lines.
        starts: int64[leaves, k], where each leaf starts.
        ends: int64[leaves, k], exclusive, no less than `shortest` bytes after `starts`.
    """

    template: T
    rows: Int64s
    starts: Int64s
    ends: Int64s


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    """What was learned from lines with one signature: templates, and how often nothing."""

    templates: tuple[T, ...] = ()
    failures: int = 0


class TemplateShapes(abc.ABC, Generic[T]):
    """Templates learned from lines seen before, by signature.

    Kept between blocks and shared by threads. What is known makes a difference in time, never in a result: a thread
    may lose what another learns at the same moment.

    Attributes:
        least: fewer lines have no templates.
        few: nor have fewer lines of one shape.
        shortest: bytes that each value has at least.
        ending: bytes that each line is known to end with.
    """

    shortest: ClassVar[int]
    ending: ClassVar[bytes]

    def __init__(self, least: int, few: int) -> None:
        self.least = least
        self.few = few
        self._known: dict[int, _Known[T]] = {}
        self._usual: T | None = None

    @abc.abstractmethod
    def learn(self, line: bytes) -> T | None:
        """Return the template of a line, or None where it is not worth one, or no valid line."""

    def begins(self, data: Bytes, starts: Int64s) -> Bools | np.bool_:
        """Return which lines, whose first values start there, may have a template that fits otherwise."""
        return np.True_

    def match(self, scan: Scan, worth: Worth[T]) -> list[Placed[T]]:
        """Return the lines that have a template worth having, each line at most once."""
        found, rows = self._as_usual(scan, worth)
        if len(rows) >= self.few:
            signatures = scan.signatures(rows)
            for signature in self._frequent(signatures):
                found += self._alike(scan, int(signature), rows[signatures == signature], worth)
        if found:
            self._usual = max(found, key=lambda group: len(group.rows)).template
        return found

    def _as_usual(self, scan: Scan, worth: Worth[T]) -> tuple[list[Placed[T]], Int64s]:
        """Return the lines that have the template most had last time, where all may have it, and the others."""
        rows = scan.even()
        usual = self._usual
        if usual is None or not (scan.count == usual.marks).all() or not worth(usual):
            return [], rows
        return self._place(scan, usual, rows)

    def _frequent(self, signatures: npt.NDArray[np.uint64]) -> list[np.uint64]:
        """Return the signatures of the most frequent shapes."""
        each, counts = np.unique(signatures, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_MOST_SHAPES]
        return [each[at] for at in order if counts[at] >= self.few and each[at]]

    def _alike(self, scan: Scan, signature: int, rows: Int64s, worth: Worth[T]) -> Iterator[Placed[T]]:
        """Yield lines with one signature by their templates: first those known, then one or the other new one."""
        known: _Known[T] = self._known.get(signature, _Known())
        for template in known.templates:
            if not worth(template):
                return
            placed, rows = self._place(scan, template, rows)
            yield from placed
        for attempt in range(_TRIES):
            if len(rows) < self.few or known.failures >= _MOST_FAILURES:
                return
            learned = self.learn(scan.line(int(rows[len(rows) * attempt // _TRIES])))
            known = self._remember(signature, learned)
            if learned is not None:
                if not worth(learned):
                    return
                placed, rows = self._place(scan, learned, rows)
                yield from placed

    def _remember(self, signature: int, learned: T | None) -> _Known[T]:
        """Note what was learned from one more line, and return all that is known of its signature."""
        known: _Known[T] = self._known.get(signature, _Known())
        if learned is None or learned in known.templates:
            known = _Known(known.templates, known.failures + 1)
        else:
            known = _Known((*known.templates, learned)[-_MOST_ALIKE:], known.failures)
        others = {key: value for key, value in self._known.items() if key != signature}
        for key in list(others)[: max(0, len(others) + 1 - _MOST_KNOWN)]:
            del others[key]
        # A new dictionary each time, so that no thread sees it change.
        self._known = others | {signature: known}
        return known

    def _place(self, scan: Scan, template: T, rows: Int64s) -> tuple[list[Placed[T]], Int64s]:
        """Return those of `rows` that have the template, if there are any, and the others, ascending."""
        fits = scan.count[rows] == template.marks
        some, starts, ends = _spans(scan, template, _only(rows, fits), self.shortest)
        fits[fits] = some
        placed = _only(rows, fits)
        if len(placed):
            right = self._constants(scan.data, template, starts, ends)
            if not right.all():
                fits[fits] = right
                placed, starts, ends = _only(rows, fits), starts[:, right], ends[:, right]
        if not len(placed):
            return [], rows
        return [Placed(template, placed, starts, ends)], rows[~fits]

    def _constants(self, data: Bytes, template: T, starts: Int64s, ends: Int64s) -> Bools:
        """Return which lines have the constant texts where they belong."""
        right = np.ones(starts.shape[1], np.bool_) & self.begins(data, starts[0])
        for leaf, start in zip(template.leaves, starts, strict=True):
            if not right.any():
                break
            right &= equal(data, start - len(leaf.before), leaf.before)
        if template.after != self.ending:
            right &= equal(data, ends[-1], template.after)
        return right


def _only(rows: Int64s, chosen: Bools) -> Int64s:
    return rows if chosen.all() else rows[chosen]


def _spans(scan: Scan, template: Template, rows: Int64s, shortest: int) -> tuple[Bools, Int64s, Int64s]:
    """Return which lines can have the template by their lengths, and where the leaves of these start and end."""
    leaves = template.leaves
    first = scan.first[rows]
    starts = np.empty((len(leaves), len(rows)), np.int64)
    for leaf, start in zip(leaves, starts, strict=True):
        np.add(scan.marks[first + leaf.mark], leaf.lead, out=start)
    ends = np.empty_like(starts)
    np.subtract(starts[1:], np.array([len(leaf.before) for leaf in leaves[1:]], np.int64)[:, None], out=ends[:-1])
    np.subtract(scan.ends[rows], len(template.after), out=ends[-1])
    fits = (ends - starts >= shortest).all(axis=0)
    fits &= starts[0] - len(leaves[0].before) == scan.starts[rows]
    if fits.all():
        return fits, starts, ends
    return fits, starts[:, fits], ends[:, fits]
