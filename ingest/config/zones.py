"""Time zones by name. UTC needs no tables of the system; every other zone does."""

from __future__ import annotations

import datetime
import zoneinfo

from ingest.config.keys import hint
from ingest.errors import ConfigError


def zone(name: str) -> datetime.tzinfo:
    """Return the time zone.

    Raises:
        ValueError: it is not known here; the text names the nearest one.
    """
    if name == "UTC":
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        if not known:
            raise ValueError(f'no time zone "{name}": this machine has no time zone tables; install tzdata') from error
        raise ValueError(f'no time zone "{name}"{hint(name, known)}') from error


def check_zone(key: str, name: str) -> None:
    """Raise ConfigError for `key` if the zone is not known."""
    try:
        zone(name)
    except ValueError as error:
        raise ConfigError(key, str(error)) from error
