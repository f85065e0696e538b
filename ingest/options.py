"""Words for configuration values: durations, sizes, secrets, and `option`, the one declaration of an option.

An options table is a `msgspec.Struct`; a field is declared once, and parse, check, help, docs and
`conf/ingest.toml` all come from that declaration:

    class SpoolOptions(Options):
        age: Annotated[Duration, option("Files younger than this are left alone.")] = Duration.of("5s")
"""

from __future__ import annotations

import re
from typing import Self

import msgspec

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|KiB|MiB|GiB)\s*")
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


class Duration(float):
    """Seconds, written with a unit: "250ms", "10s", "5m", "1h", "14d"."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse; raises ValueError saying what would be right."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError(f'expected a duration such as "250ms", "10s", "5m", "1h" or "14d", got "{text}"')
        return cls(float(match[1]) * _DURATION_UNITS[match[2]])

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self and self % _DURATION_UNITS[unit] == 0:
                return f"{int(self / _DURATION_UNITS[unit])}{unit}"
        return f"{self * 1000:g}ms" if self else "0s"


class Size(int):
    """Bytes, written with a unit: "512B", "64KiB", "1MiB", "10MB"."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse; raises ValueError saying what would be right."""
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(f'expected a size such as "512B", "64KiB", "1MiB" or "10MB", got "{text}"')
        return cls(float(match[1]) * _SIZE_UNITS[match[2]])

    def __str__(self) -> str:
        for unit in ("GiB", "MiB", "KiB"):
            if self and self % _SIZE_UNITS[unit] == 0:
                return f"{int(self) // _SIZE_UNITS[unit]}{unit}"
        return f"{int(self)}B"


class Secret(str):
    """A value that appears in no output: its repr and str hide it, `reveal()` gives it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """Return the secret itself; only for the call that needs it."""
        return str.__str__(self)


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every options table."""


def option(text: str, *, example: object = None, ge: float | None = None, le: float | None = None) -> msgspec.Meta:
    """Declare what an option does; `text` is one or more sentences for the person who writes the file.

    Args:
        text: help, ends with a full stop.
        example: a TOML-able value shown where the default is not telling.
        ge: smallest value allowed, inclusive.
        le: largest value allowed, inclusive.
    """
    extra = None if example is None else {"example": example}
    return msgspec.Meta(description=text, ge=ge, le=le, extra=extra)
