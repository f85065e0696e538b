"""Words for configuration values: durations, sizes, secrets, and `option`, the one declaration of an option.

An options table is a `msgspec.Struct`; a field is declared once, and parse, check, help, docs and
`conf/ingest.toml` all come from that declaration:

    class SpoolOptions(Options):
        age: Annotated[Duration, option("Files younger than this are left alone.")] = Duration.of("5s")

`ingest.config.decode` reads tables strictly by these declarations. What one field can't say (two that exclude each
other) goes into `__post_init__`: raise `ConfigError("key", "problem")`, with the key as seen from this table, or
ValueError for the table as a whole.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self, dataclass_transform

import msgspec

_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)\s*")
_DURATION_UNITS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(B|kB|MB|GB|KiB|MiB|GiB)\s*")
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
_MAX_DIGITS = 40
"""Longer texts are no durations and no sizes; also keeps the arithmetic small."""


class Duration(float):
    """Seconds, written with a unit: "250ms", "10s", "5m", "1h", "14d"."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse; raises ValueError saying what would be right."""
        match = _DURATION.fullmatch(text) if len(text) <= _MAX_DIGITS else None
        if match is None:
            raise ValueError(f'expected a duration such as "250ms", "10s", "5m", "1h" or "14d", got "{text}"')
        return cls(float(Fraction(match[1]) * _DURATION_UNITS[match[2]]))

    def __str__(self) -> str:
        """Return a text that `of` reads back as the same number (if it is neither negative nor beyond all measure)."""
        if not math.isfinite(self) or not self:
            return f"{float(self):g}s"
        for unit, seconds in reversed(_DURATION_UNITS.items()):
            count = round(Fraction(self) / seconds)
            if count and float(count * seconds) == self:
                return f"{count}{unit}"
        return f"{Decimal(repr(float(self))):f}s"


class Size(int):
    """Bytes, written with a unit: "512B", "64KiB", "1MiB", "10MB"."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse; raises ValueError saying what would be right."""
        match = _SIZE.fullmatch(text) if len(text) <= _MAX_DIGITS else None
        if match is None:
            raise ValueError(f'expected a size such as "512B", "64KiB", "1MiB" or "10MB", got "{text}"')
        size = Fraction(match[1]) * _SIZE_UNITS[match[2]]
        if size.denominator != 1:
            raise ValueError(f'expected whole bytes, got "{text}"')
        return cls(size)

    def __str__(self) -> str:
        """Return a text that `of` reads back as the same number (if it is not negative)."""
        for unit in ("GiB", "MiB", "KiB"):
            if self and self % _SIZE_UNITS[unit] == 0:
                return f"{int(self) // _SIZE_UNITS[unit]}{unit}"
        return f"{int(self)}B"


class Secret(str):
    """A value that appears in no output: its repr, str and format hide it, `reveal()` gives it.

    It is still a str: joining or adding it to other strings reveals it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def reveal(self) -> str:
        """Return the secret itself; only for the call that needs it."""
        return str.__str__(self)


class _KeywordOnly(msgspec.StructMeta):
    """Makes every options table keyword-only: msgspec does not inherit that, and then refuses a required option in a
    table whose parent has optional ones, as all connectors' tables have.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace, **{"kw_only": True, **settings})


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Options(msgspec.Struct, metaclass=_KeywordOnly, forbid_unknown_fields=True):
    """Base of every options table."""


def option(
    text: str,
    *,
    example: object = None,
    ge: float | None = None,
    le: float | None = None,
    absolute: bool = False,
) -> msgspec.Meta:
    """Declare what an option does; `text` is one or more sentences for the person who writes the file.

    Args:
        text: help, ends with a full stop.
        example: a TOML-able value shown where there is no default, or the default is not telling.
        ge: smallest value allowed, inclusive; numbers, durations (in seconds) and sizes (in bytes).
        le: largest value allowed, inclusive.
        absolute: the text, or each text of a list, must be an absolute path.
    """
    # Limits go into `extra`: msgspec refuses them on optional, duration and size fields.
    extra: dict[str, Any] = {"example": example, "ge": ge, "le": le, "absolute": absolute or None}
    return msgspec.Meta(description=text, extra={key: value for key, value in extra.items() if value is not None})
