"""Into which partition path each row goes.

A block's rows are placed by their distinct times and values, never one by one, and the number of distinct paths is
capped: each of them is a file.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.api import PartitionPath
from ingest.blocks import Int64s
from ingest.config.template import Column, Part, Piece, Text, Time, columns_of, is_template, parse_template
from ingest.cron import zone_named
from ingest.errors import Fatal
from ingest.sink.paths import OVERFLOW, directory, safe_path

MAX_PATHS = 1_000

_SECOND, _MINUTE, _HOUR, _DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
_STEPS = {"S": _SECOND, "M": _MINUTE, "H": _HOUR}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TIME = pa.timestamp("us", tz="UTC")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})

Values: TypeAlias = tuple[str | None, ...]
Times: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """`paths[codes[i]]` is the partition path of row i; codes int32[n]. `overflowed`: rows past the cap."""

    paths: list[str]
    codes: npt.NDArray[np.int32]
    overflowed: int = 0


class Layout(Protocol):
    """Places rows. `keys` are the columns that readers make of the path."""

    keys: tuple[str, ...]

    def place(
        self, rows: pa.RecordBatch, times: Int64s, renamed: Mapping[str, str] = ..., known: Collection[str] = ...
    ) -> Placement:
        """Return the partition path of every row.

        Args:
            rows: the rows as they go into the file.
            times: int64[n], their event times in microseconds since 1970 UTC.
            renamed: parsed column → its name in `rows`, where it has another one.
            known: paths that are open already: they cost nothing more, and count towards the cap.
        """
        ...


def layout(
    partition_by: str, timezone: str, function: PartitionPath | None = None, *, max_paths: int = MAX_PATHS
) -> Layout:
    """Return the layout of a topic.

    Args:
        partition_by: a template, see `ingest.config.template`, or the name of a partition-path function.
        timezone: for the template's times. A day with a change of the clocks has 23 or 25 hours, and the two hours that
            a zone names alike share a directory; UTC has no such days.
        function: the function of that name.
        max_paths: of distinct paths open at once; see `TemplateLayout` for what becomes of more.

    Raises:
        ValueError: a bad template or time zone, or a name without its function.
    """
    if is_template(partition_by):
        return TemplateLayout(parse_template(partition_by), zone_named(timezone), max_paths)
    if function is None:
        raise ValueError(f'"{partition_by}" is no template, and there is no partition-path function of that name')
    return FunctionLayout(partition_by, function, max_paths)


class TemplateLayout:
    """Fills a template from the event time and from columns.

    Rows past the cap go to paths in which every value of a column is `__OVERFLOW__`, of the same times; if the times
    alone are past the cap, in which every value is.
    """

    def __init__(self, parts: tuple[Part, ...], timezone: datetime.tzinfo, max_paths: int) -> None:
        self.keys = tuple(part.name for part in parts)
        self._parts = parts
        self._zone = timezone
        self._max_paths = max_paths
        self._columns = columns_of(parts)
        letters = [piece.directive for part in parts for piece in part.pieces if isinstance(piece, Time)]
        self._letters = letters
        step = min((_STEPS.get(letter, _DAY) for letter in letters), default=_DAY)
        # A zone's days and hours need not begin with those of UTC; since 1972 they all begin with a minute.
        self._step = step if timezone is datetime.UTC else min(step, _MINUTE)

    def place(
        self,
        rows: pa.RecordBatch,
        times: Int64s,
        renamed: Mapping[str, str] = _NO_NAMES,
        known: Collection[str] = (),
    ) -> Placement:
        """Return the partition path of every row; see `Layout`."""
        codes, moments = self._time_codes(times)
        columns = [_encoded(rows, renamed.get(name, name)) for name in self._columns]
        combined = codes
        for indices, texts in columns:
            # Numbered anew after each column, so that the product stays small.
            combined = np.unique(combined * (len(texts) + 1) + indices, return_inverse=True)[1]
        _, firsts, inverse, sizes = np.unique(combined, return_index=True, return_inverse=True, return_counts=True)

        def path(number: int) -> str:
            row = int(firsts[number])
            return self._path(moments[codes[row]], tuple(texts[indices[row]] for indices, texts in columns))

        def overflow(number: int) -> list[str]:
            row = int(firsts[number])
            times, values = moments[codes[row]], (None,) * len(columns)
            of_these_times = [self._path(times, values, frozenset({Column}))] if columns else []
            return [*of_these_times, self._path(times, values, frozenset({Column, Time}))]

        return _capped(path, overflow, inverse, sizes, known, self._max_paths)

    def _time_codes(self, times: Int64s) -> tuple[Int64s, list[Times]]:
        """Return each row's number among the distinct times as the template writes them, and those."""
        if not self._letters:
            return np.zeros(len(times), np.int64), [()]
        floors, inverse = np.unique(times // self._step, return_inverse=True)
        numbers: dict[Times, int] = {}
        codes = np.empty(len(floors), np.int64)
        for index, floor in enumerate(floors.tolist()):
            moment = (_EPOCH + datetime.timedelta(microseconds=floor * self._step)).astimezone(self._zone)
            written = tuple(_written(moment, letter) for letter in self._letters)
            codes[index] = numbers.setdefault(written, len(numbers))
        return codes[inverse], list(numbers)

    def _path(self, times: Times, values: Values, past: frozenset[type] = frozenset()) -> str:
        """Return the path for written times and values of columns; directories with a piece in `past` overflow."""
        filled_times, filled_values = iter(times), iter(values)

        def fill(piece: Piece) -> str | None:
            if isinstance(piece, Text):
                return piece.text
            return next(filled_times) if isinstance(piece, Time) else next(filled_values)

        def value(part: Part) -> str | None:
            texts = [fill(piece) for piece in part.pieces]
            if any(type(piece) in past for piece in part.pieces):
                return OVERFLOW
            # Null only where it is made of nothing else.
            return None if all(text is None for text in texts) else "".join(text or "" for text in texts)

        return "/".join(directory(part.name, value(part)) for part in self._parts)


class FunctionLayout:
    """Asks a partition-path function, and escapes and checks what it says.

    Rows past the cap go to `overflow=__OVERFLOW__`.
    """

    keys: tuple[str, ...] = ()

    def __init__(self, name: str, function: PartitionPath, max_paths: int) -> None:
        self._name = name
        self._function = function
        self._max_paths = max_paths

    def place(
        self,
        rows: pa.RecordBatch,
        times: Int64s,
        renamed: Mapping[str, str] = _NO_NAMES,
        known: Collection[str] = (),
    ) -> Placement:
        """Return the partition path of every row; see `Layout`.

        Raises:
            Fatal: the function did not return one string for each row.
        """
        found = self._function(rows, pa.array(times).cast(_TIME))
        if not isinstance(found, pa.StringArray) or len(found) != rows.num_rows or found.null_count:
            raise Fatal(
                f'the partition-path function "{self._name}" must return a StringArray with one path for each of '
                f"{rows.num_rows} rows and no null; correct it or choose another partition_by"
            )
        encoded = found.dictionary_encode()
        codes = encoded.indices.to_numpy()
        texts: list[str] = encoded.dictionary.to_pylist()
        sizes = np.bincount(codes, minlength=len(texts)).astype(np.int64)
        return _capped(
            lambda number: safe_path(texts[number]),
            lambda number: [f"overflow={OVERFLOW}"],
            codes,
            sizes,
            known,
            self._max_paths,
        )


def _capped(
    path: Callable[[int], str],
    overflow: Callable[[int], list[str]],
    inverse: Int64s,
    sizes: Int64s,
    known: Collection[str],
    max_paths: int,
) -> Placement:
    """Number the distinct paths, those with most rows first, and send what is past the cap to an overflow path.

    Overflow paths come on top of the cap, so the last one that `overflow` offers must be the same for all.
    """
    numbers: dict[str, int] = {}
    codes = np.empty(len(sizes), np.int32)
    open_paths = set(known)
    overflowed = 0
    for number in np.argsort(-sizes, kind="stable").tolist():
        chosen = path(number)
        if chosen not in open_paths and len(open_paths) >= max_paths:
            overflowed += int(sizes[number])
            chosen = _overflow_path(overflow(number), open_paths, max_paths)
        open_paths.add(chosen)
        codes[number] = numbers.setdefault(chosen, len(numbers))
    return Placement(list(numbers), codes[inverse], overflowed)


def _overflow_path(choices: list[str], open_paths: set[str], max_paths: int) -> str:
    """Return the first choice that is open already or may be opened: overflow paths may double the cap."""
    for choice in choices[:-1]:
        if choice in open_paths or len(open_paths) < 2 * max_paths:
            return choice
    return choices[-1]


def _encoded(rows: pa.RecordBatch, name: str) -> tuple[Int64s, list[str | None]]:
    """Return each row's number among the distinct values of a column, and those as text, None last for null."""
    index = rows.schema.get_field_index(name)
    if index < 0 or pa.types.is_nested(rows.schema.field(index).type):
        return np.zeros(rows.num_rows, np.int64), [None]
    encoded = rows.column(index).dictionary_encode()
    texts = [_text(value) for value in encoded.dictionary.to_pylist()]
    indices = encoded.indices.fill_null(len(texts)).to_numpy().astype(np.int64)
    return indices, [*texts, None]


def _text(value: object) -> str | None:
    """Return a value as it stands in a path before it is escaped."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    return str(value)


def _written(moment: datetime.datetime, letter: str) -> str:
    # The C library leaves out leading zeros of years before 1000.
    return f"{moment.year:04d}" if letter == "Y" else moment.strftime(f"%{letter}")
