"""When each row happened, for its partition path. The column itself keeps what it holds."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.blocks import Bools, Int64s
from ingest.instants import Unit, instant_of_number, instant_of_text, instants_of_numbers, instants_of_texts

MISSING = "event time missing"
AHEAD = "event time ahead"
BEFORE = "event time before earliest"
NO_KAFKA_TIME = "no usable Kafka timestamp"

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_LIMIT = float(1 << 62)


@dataclass(frozen=True, slots=True)
class Times:
    """`us`: int64[n], microseconds since 1970 UTC, all of them plausible; `counted`: reason → rows."""

    us: Int64s
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EventTime:
    """Where the event time comes from and what is absurd.

    Attributes:
        field: parsed column; None = the Kafka timestamp.
        unit: what a number in it counts; None = told from its size.
        max_ahead: seconds; later than this after now is absurd.
        earliest: before this day (UTC) is absurd.
    """

    field: str | None = None
    unit: Unit | None = None
    max_ahead: float = 86_400.0
    earliest: datetime.date = datetime.date(2000, 1, 1)

    def of(self, parsed: pa.RecordBatch, fallback: Int64s, now: float) -> Times:
        """Return the event time of every row.

        Where the column has none, or an absurd one, the Kafka timestamp takes its place; where that is missing or
        absurd too, the present moment does. So no row lands in 1970 because nobody knew better.

        Args:
            parsed: the parsed columns.
            fallback: int64[n], Kafka timestamps in milliseconds, -1 = none (a backfill: the file's mtime).
            now: seconds since 1970 UTC.
        """
        present = int(now * 1_000_000)
        first = (self.earliest.toordinal() - datetime.date(1970, 1, 1).toordinal()) * 86_400_000_000
        last = present + int(self.max_ahead * 1_000_000)
        counted: dict[str, int] = {}
        kafka, _ = instants_of_numbers(fallback, "ms")
        if self.field is None:
            us, known = kafka, np.zeros(len(kafka), np.bool_)
        else:
            us, known = _column(parsed, self.field, self.unit)
            counted[MISSING] = int((~known).sum())
            counted[AHEAD] = int((known & (us > last)).sum())
            counted[BEFORE] = int((known & (us < first)).sum())
        usable = known & (us >= first) & (us <= last)
        kafka_usable = (kafka >= first) & (kafka <= last)
        counted[NO_KAFKA_TIME] = int((~usable & ~kafka_usable).sum())
        result = np.where(usable, us, np.where(kafka_usable, kafka, present))
        return Times(result, {reason: rows for reason, rows in counted.items() if rows})


def _column(parsed: pa.RecordBatch, field: str, unit: Unit | None) -> tuple[Int64s, Bools]:
    """Return microseconds and which rows have them; those of other rows mean nothing."""
    index = parsed.schema.get_field_index(field)
    if index < 0:
        return np.zeros(parsed.num_rows, np.int64), np.zeros(parsed.num_rows, np.bool_)
    column = parsed.column(index)
    known: Bools = column.is_valid().to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_string(kind):
        return _texts(column, known, unit)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        in_us = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        return in_us.cast(pa.int64()).fill_null(0).to_numpy(), known
    if pa.types.is_integer(kind):
        numbers = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        return instants_of_numbers(numbers, unit)[0], known
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _floats(column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False), known, unit)
    return np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)


def _floats(numbers: npt.NDArray[np.float64], known: Bools, unit: Unit | None) -> tuple[Int64s, Bools]:
    """Numbers with a fraction, to the nearest microsecond: a path needs no more."""
    known = known & ~np.isnan(numbers)
    numbers = np.where(known, numbers, 0.0)
    if unit is None:
        size = np.abs(numbers)
        scale = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], 1e-3)
    else:
        scale = np.full(len(numbers), {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[unit])
    with np.errstate(over="ignore"):
        us = np.rint(numbers * scale)
    return np.clip(us, -_LIMIT, _LIMIT).astype(np.int64), known


def _texts(column: pa.StringArray, known: Bools, unit: Unit | None) -> tuple[Int64s, Bools]:
    try:
        return instants_of_texts(column).times.cast(pa.int64()).fill_null(0).to_numpy(), known
    except pa.ArrowInvalid:
        # Not all alike: look at each distinct text.
        encoded = column.dictionary_encode()
        instants = [_text(text, unit) for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.fill_null(0).to_numpy()
        us = np.array([instant or 0 for instant in instants], np.int64)
        valid = np.array([instant is not None for instant in instants], np.bool_)
        return us[codes], known & valid[codes]


def _text(text: str, unit: Unit | None) -> int | None:
    instant = instant_of_number(text, unit) if _NUMBER.fullmatch(text) else instant_of_text(text)
    return None if instant is None else instant.us
