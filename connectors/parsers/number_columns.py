"""A column of texts: which are numbers as JSON writes them, and of what kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.spans import Bytes, bytes_of

LONGEST = 40
"""Longer texts, and exponents of more digits than two, are left to the reference."""

WHOLE_LIMITS = {pa.float64(): float(1 << 53), pa.float32(): float(1 << 24)}
"""Whole numbers below these are held exactly; a larger one may have been rounded: only its text can tell."""

_ZERO, _NINE, _MINUS, _PLUS, _POINT, _E, _LOWER = b"09-+.e\x20"
_NOTHING = 0
_EXPONENT = 2
LONGEST_INT = 18
"""So many digits always fit an int64."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What n texts are.

    Attributes:
        text: StringArray[n].
        valid: bool[n], numbers as JSON writes them, and short enough to be read as a column.
        whole: bool[n], without fraction and exponent; only of those that are valid.
        plain: bool[n], without exponent; only of those that are valid.
        before: int64[n], digits before the point, where it is plain.
        after: int64[n], digits after the point, where it is plain; 0 where it is whole.
        leading: uint8[n], the first digit.
    """

    text: pa.StringArray
    valid: Bools
    whole: Bools
    plain: Bools
    before: Int64s
    after: Int64s
    leading: Bytes

    @property
    def ints(self) -> Bools:
        """Return which are whole and fit an int64 by their digits: 18 of them do, 19 do below nine of the largest."""
        few = self.before <= LONGEST_INT
        if not few.all():
            few |= (self.before == LONGEST_INT + 1) & (self.leading < _NINE)
        return few & self.valid & self.whole

    def decimals(self, kind: pa.Decimal128Type) -> Bools:
        """Return which have no digits more than the type has places for; not those with an exponent."""
        fits: Bools = (self.before <= kind.precision - kind.scale) & (self.after <= kind.scale)
        return fits & self.valid & self.plain

    def part(self, start: int, end: int) -> Numbers:
        """Return those from `start` to `end`, exclusive."""
        return self._chosen(self.text.slice(start, end - start), slice(start, end))

    def only(self, chosen: Bools) -> Numbers:
        """Return some of them."""
        return self._chosen(self.text.filter(pa.array(chosen)), chosen)

    def _chosen(self, text: pa.StringArray, part: slice | Bools) -> Numbers:
        return Numbers(
            text,
            self.valid[part],
            self.whole[part],
            self.plain[part],
            self.before[part],
            self.after[part],
            self.leading[part],
        )


_BITS, _INTS = np.empty(0, np.bool_), np.empty(0, np.int64)
NO_NUMBERS = Numbers(pa.array([], pa.string()), _BITS, _BITS, _BITS, _INTS, _INTS, np.empty(0, np.uint8))


def numbers(text: pa.StringArray, sizes: Sequence[int]) -> list[Numbers]:
    """Look at texts, none of them empty.

    Args:
        text: those of all lanes, one lane after another.
        sizes: how many each lane has; at least one.
    """
    data, bounds = bytes_of(text)
    data, bounds = data[bounds[0] : bounds[-1]], bounds - bounds[0]
    lanes = np.concatenate(([0], np.cumsum(sizes))).tolist()
    others = np.flatnonzero(~is_digit(data))
    cuts = np.searchsorted(others, bounds[lanes]).tolist()
    points, simple = bounds[1:].copy(), []
    for start, end, low, high in zip(lanes[:-1], lanes[1:], cuts[:-1], cuts[1:], strict=True):
        alone = _one_point_each(data, bounds[start : end + 1], others[low:high])
        if alone:
            points[start:end] = others[low:high]
        simple.append(alone or low == high)
    found = _simple(text, data, bounds, points)
    result = []
    for number, (start, end) in enumerate(pairwise(lanes)):
        if simple[number]:
            result.append(found.part(start, end))
        else:
            inside = others[cuts[number] : cuts[number + 1]]
            result.append(_any_numbers(text.slice(start, end - start), data, bounds[start : end + 1], inside))
    return result


def _one_point_each(data: Bytes, bounds: Int64s, others: Int64s) -> bool:
    """Return whether each text has one byte at `others`, a point between two digits."""
    if len(others) != len(bounds) - 1 or not (data[others] == _POINT).all():
        return False
    # In ascending order, so many as texts, and each inside of its own.
    return bool((others > bounds[:-1]).all() and (others < bounds[1:] - 1).all())


def _simple(text: pa.StringArray, data: Bytes, bounds: Int64s, points: Int64s) -> Numbers:
    """Look at texts of digits, with a point at `points` or, where that is their end, without."""
    starts, ends = bounds[:-1], bounds[1:]
    before = points - starts
    leading = data[starts]
    valid = (leading != _ZERO) | (before == 1)
    valid &= ends - starts <= LONGEST
    return Numbers(
        text, valid, points == ends, np.ones(len(text), np.bool_), before, np.maximum(ends - points - 1, 0), leading
    )


def is_digit(data: Bytes) -> Bools:
    """Return which bytes are digits: those below the zero wrap around."""
    return (data - _ZERO) <= _NINE - _ZERO


def _any_numbers(text: pa.StringArray, data: Bytes, bounds: Int64s, others: Int64s) -> Numbers:
    """Look at texts of all kinds, in which the bytes at `others` are no digits."""
    starts, ends = bounds[:-1], bounds[1:]
    digits = starts + (data[starts] == _MINUS)
    valid = (ends - starts) <= LONGEST
    valid &= is_digit(data[ends - 1])
    # A lone minus is invalid by its last byte; what follows a text is never looked at.
    leading = data[np.minimum(digits, ends - 1)]
    second = np.minimum(digits + 1, ends - 1)
    valid &= is_digit(leading)
    valid &= (leading != _ZERO) | (second == digits) | ~is_digit(data[second])
    row = np.searchsorted(bounds, others, "right") - 1
    inner = others > starts[row]
    others, row = others[inner], row[inner]
    valid[row[~_have_their_place(data, ends, others, row)]] = False
    byte = data[others]
    whole, plain, point = np.ones(len(text), np.bool_), np.ones(len(text), np.bool_), ends.copy()
    whole[row] = False
    plain[row[byte != _POINT]] = False
    point[row[byte == _POINT]] = others[byte == _POINT]
    return Numbers(text, valid, whole, plain, point - digits, np.maximum(ends - point - 1, 0), leading)


def _have_their_place(data: Bytes, ends: Int64s, others: Int64s, row: Int64s) -> Bools:
    """Return which of the bytes at `others`, no digits and not the first of their text, a number may have there.

    Args:
        data: the texts; where the last byte of one is no digit it is known to be invalid.
        ends: int64[n], of the texts.
        others: int64[m], ascending.
        row: int64[m], which text each is in.
    """
    byte, previous, following = data[others], data[others - 1], data[np.minimum(others + 1, len(data) - 1)]
    earlier = np.full(len(others), _NOTHING, np.uint8)
    earlier[1:] = np.where(row[1:] == row[:-1], byte[:-1], _NOTHING)
    after_digit, before_digit = is_digit(previous), is_digit(following)
    before_sign = (following == _MINUS) | (following == _PLUS)
    short = ends[row] - others <= _EXPONENT + 1
    point = (byte == _POINT) & after_digit & before_digit & (earlier == _NOTHING)
    exponent = (byte | _LOWER == _E) & after_digit & ((before_digit & short) | before_sign)
    exponent &= (earlier == _NOTHING) | (earlier == _POINT)
    sign = ((byte == _MINUS) | (byte == _PLUS)) & (previous | _LOWER == _E) & before_digit & short
    placed: Bools = point | exponent | sign
    return placed
