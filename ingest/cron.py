"""Cron expressions as Vixie cron reads them: pure parsing and matching; nothing here waits or fires.

Five fields, minute hour day-of-month month day-of-week, or one of @hourly, @daily, @midnight, @weekly, @monthly,
@yearly, @annually. A field is a list of `*`, numbers, ranges and steps (`*/15`, `8-18/2`); months and weekdays also by
their first three letters; 0 and 7 are Sunday.

Days: when day-of-month and day-of-week are both restricted (neither begins with `*`), a day matches that satisfies
either; else it must satisfy both.

Clock changes: where the hours name all 24, times follow the wall clock as it is: none in an hour that is skipped, one
in each copy of an hour that is repeated. Other expressions mean a time of the day: what a change skips is due the
moment after the change (once, however many were skipped), what it repeats is due in the first copy only.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_TERM = re.compile(r"(\*|[0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?(?:/([0-9]+))?")
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]

    def parse(self, text: str) -> frozenset[int]:
        return frozenset(number for term in text.split(",") for number in self._term(term))

    def _term(self, term: str) -> range:
        match = _TERM.fullmatch(term)
        if match is None or (match[1] == "*" and match[2]):
            raise ValueError(f'{self.name}: expected *, a number, a range or a step such as */2, got "{term}"')
        step = self._step(match[3])
        if match[1] == "*":
            return range(self.low, self.high + 1, step)
        first = self._number(match[1])
        if match[2] is None:
            if match[3]:
                raise ValueError(
                    f'{self.name}: a step needs a range, write "{match[1]}-{self.high}/{step}" instead of "{term}"'
                )
            return range(first, first + 1)
        last = self._number(match[2])
        if match[2] == "sun" and first > 0:
            last = 7
        if last < first:
            raise ValueError(f'{self.name}: the range "{term}" runs backwards')
        return range(first, last + 1, step)

    def _step(self, digits: str | None) -> int:
        step = int(digits or 1)
        if not 1 <= step <= self.high:
            raise ValueError(f"{self.name}: a step must lie between 1 and {self.high}, got {step}")
        return step

    def _number(self, word: str) -> int:
        number = int(word) if word.isdigit() else self.names.get(word)
        if number is None:
            known = f"; names are {', '.join(self.names)}" if self.names else ""
            raise ValueError(f'{self.name}: "{word}" is not a number{known}')
        if not self.low <= number <= self.high:
            raise ValueError(f"{self.name}: {number} does not lie between {self.low} and {self.high}")
        return number


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression, parsed.

    Attributes:
        text: as it was written.
        minutes: 0–59, ascending.
        hours: 0–23, ascending.
        days: of the month, 1–31.
        months: 1–12.
        weekdays: 0–6, 0 is Sunday.
        either_day: True = a day in `days` or in `weekdays`; False = in both.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an expression.

        Raises:
            ValueError: saying which field is wrong and why; also for a day that never comes, such as February 30th.
        """
        expression = text.strip().lower()
        if expression.startswith("@"):
            if expression not in _NICKNAMES:
                raise ValueError(f'"{text}" is none of {", ".join(_NICKNAMES)}')
            expression = _NICKNAMES[expression]
        words = expression.split()
        if len(words) != len(_FIELDS):
            raise ValueError(
                f'expected five fields (minute, hour, day of month, month, day of week), got {len(words)} in "{text}"'
            )
        minutes, hours, days, months, weekdays = (field.parse(word) for field, word in zip(_FIELDS, words, strict=True))
        cron = cls(
            text=text,
            minutes=tuple(sorted(minutes)),
            hours=tuple(sorted(hours)),
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either_day=not words[2].startswith("*") and not words[4].startswith("*"),
        )
        if not cron._has_a_day():
            raise ValueError(f'"{text}" names a day that never comes')
        return cron

    def matches_day(self, day: datetime) -> bool:
        """Return whether the expression is due on this day at all, at whatever time."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_month or by_week) if self.either_day else (by_month and by_week)

    @property
    def hourly(self) -> bool:
        """Whether it is due in every hour of a day, so that clock changes do not matter to it."""
        return len(self.hours) == 24

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime:
        """Return the first time it is due after `moment`, exclusive, in UTC.

        Args:
            moment: an aware time.
            zone: whose wall clock the fields mean.
        """
        begin = moment.astimezone(UTC).replace(microsecond=0)
        shift = _offset(begin, zone)
        wall = (begin.replace(tzinfo=None) + shift).replace(second=0) + _MINUTE
        if not self.hourly:
            wall = max(wall, _repeated_until(begin, zone))
        while True:
            wall = self._next_wall(wall)
            due = (wall - shift).replace(tzinfo=UTC)
            change = _first_change(begin, due, zone)
            if change is None:
                return due
            # The clock is set before that time comes: look again from the change, with the clock as it is then.
            before, after = change.replace(tzinfo=None) + shift, change.replace(tzinfo=None) + _offset(change, zone)
            if not self.hourly and before < after and self._next_wall(before) < after:
                return change
            begin, shift = change, after - change.replace(tzinfo=None)
            wall = after if self.hourly else max(before, after)

    def _has_a_day(self) -> bool:
        if self.either_day:
            return True
        most = {month: 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in self.months}
        return any(day <= last for last in most.values() for day in self.days)

    def _next_wall(self, wall: datetime) -> datetime:
        """Return the first matching wall-clock time that is not before `wall` (naive)."""
        for day in _days_from(wall):
            if not self.matches_day(day):
                continue
            for hour in self.hours:
                for minute in self.minutes:
                    candidate = day.replace(hour=hour, minute=minute)
                    if candidate >= wall:
                        return candidate
        raise ValueError(f'"{self.text}" is never due after {wall}')


def validate_cron(text: str) -> None:
    """Raise ValueError, saying what is wrong, unless `text` is an expression that is due some day."""
    Cron.parse(text)


def zone_named(name: str) -> tzinfo:
    """Return a time zone by its IANA name; "UTC" needs no zone data.

    Raises:
        ValueError: the zone is not known on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f'"{name}" is not a time zone known here; write one such as "Europe/Berlin", and see that the machine has '
            "tzdata"
        ) from error


def _days_from(wall: datetime) -> Iterator[datetime]:
    day = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    while day.year < 9999:
        yield day
        day += _DAY


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _repeated_until(moment: datetime, zone: tzinfo) -> datetime:
    """Return the wall-clock time up to which `moment` lies in a second copy; if it does not, the earliest of all."""
    if not moment.astimezone(zone).fold:
        return datetime.min  # noqa: DTZ901 - a wall-clock time
    before = moment - _DAY
    change = _first_change(before, moment, zone)
    return datetime.min if change is None else change.replace(tzinfo=None) + _offset(before, zone)  # noqa: DTZ901


def _first_change(begin: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment in (begin, end] from which the zone's offset differs from the one at `begin`.

    Changes less than a day apart that undo each other are not seen; no zone has had any.
    """
    shift, low = _offset(begin, zone), begin
    while low < end:
        high = min(low + _DAY, end)
        if _offset(high, zone) != shift:
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (middle, high) if _offset(middle, zone) == shift else (low, middle)
            return high
        low = high
    return None
