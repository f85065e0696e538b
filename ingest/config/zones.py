"""Time zones as options: refused at check time, with the nearest name."""

from __future__ import annotations

import zoneinfo

from ingest.config.keys import hint
from ingest.cron import zone_named
from ingest.errors import ConfigError


def check_zone(key: str, name: str) -> None:
    """Raise ConfigError for `key` if the zone is not known on this machine; UTC always is."""
    try:
        zone_named(name)
    except ValueError as error:
        raise ConfigError(key, f"{error}{hint(name, zoneinfo.available_timezones())}") from error
