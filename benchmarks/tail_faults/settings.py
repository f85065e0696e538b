"""What a case is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What a case is about, apart from what happens in it.

    Attributes:
        key: short, for the command line.
        title: what happens, in words.
        glob: below the directory of logs.
        varied: whether the ends of lines differ.
        files: how many the shipper may have open.
        kills: it is killed, so that how often it notes its place matters.
        patience: seconds without news after which nothing more is awaited: longer than anybody's timers.
    """

    key: str
    title: str
    glob: str = "app.log*"
    varied: bool = True
    files: int | None = None
    kills: bool = False
    patience: float = 9.0
