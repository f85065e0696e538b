"""Cron expressions in Vixie's form, checked when the file is read. When they are due is the schedule's to say."""

from __future__ import annotations

from dataclasses import dataclass

_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: what it is called, its smallest and largest number, and names for numbers."""

    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of the month", 1, 31, {}),
    Field("month", 1, 12, _MONTHS),
    Field("day of the week", 0, 7, _WEEKDAYS),
)
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Cron:
    """The numbers on which a schedule is due.

    As in Vixie's cron a day must match both `days` and `weekdays` (0 = Sunday) if one of them began with `*`, and
    either of them if both were restricted.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool


def parse_cron(text: str) -> Cron:
    """Read "0 * * * *": minute, hour, day of the month, month, day of the week (0 and 7 are Sunday).

    Raises:
        ValueError: not such an expression, or one that is never due; the text says which field.
    """
    fields = _SHORT.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f'expected five fields such as "0 * * * *" (minute hour day month weekday), got "{text}"')
    minutes, hours, days, months, weekdays = map(_numbers, fields, _FIELDS)
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either and min(days) > max(_LONGEST_MONTH[month - 1] for month in months):
        raise ValueError(f'"{text}" is never due: no month of it has that day')
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _numbers(text: str, field: Field) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        if slash and (not step.isascii() or not step.isdigit() or int(step) == 0):
            raise ValueError(f'the {field.name} "{item}" has no step after its /')
        low, high = _span(span, field, open_ended=bool(slash))
        found.update(range(low, high + 1, int(step) if slash else 1))
    return frozenset(found)


def _span(text: str, field: Field, *, open_ended: bool) -> tuple[int, int]:
    if text == "*":
        return field.low, field.high
    first, dash, last = text.partition("-")
    low = _number(first, field)
    if dash:
        high = _number(last, field)
        if high == 0 and field.high == 7:
            high = 7  # "fri-sun"
        if high < low:
            raise ValueError(f'the {field.name} "{text}" runs backwards')
        return low, high
    return low, field.high if open_ended else low


def _number(text: str, field: Field) -> int:
    number = field.names.get(text.lower(), -1)
    if text.isascii() and text.isdigit() and len(text) <= 2:
        number = int(text)
    if not field.low <= number <= field.high:
        raise ValueError(f'the {field.name} "{text}" is not between {field.low} and {field.high}')
    return number
