"""Whether journalctl can do what it will be asked for, found out before it is leant on."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Final

from ingest.api import Refused

_PATIENCE: Final = 10.0  # seconds
_FORBIDDEN: Final = re.compile(rb"insufficient permissions|not seeing messages from|Permission denied")


def check(source: str, command: Sequence[str]) -> None:
    """Run journalctl once for nothing; one that takes very long is trusted.

    Args:
        source: the name of the source.
        command: what is run; it prints no entry and ends.

    Raises:
        Refused: it is missing, sees nothing or not everything, or does not understand its options.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return
    except OSError as error:
        raise Refused(
            f"{source}: {command[0]} can't be started: {error.strerror or error}; "
            "install systemd, or read another source"
        ) from error
    if _FORBIDDEN.search(done.stderr):
        raise Refused(
            f"{source}: journalctl may not read all of the journal as user {os.geteuid()}; "
            "add the user to the group systemd-journal (SupplementaryGroups=systemd-journal in the unit)"
        )
    if done.returncode:
        raise Refused(
            f"{source}: journalctl ended with {done.returncode}: {words(done.stderr)}; correct the source's options"
        )


def words(said: bytes) -> str:
    """Return the end of what it wrote to its standard error."""
    return said.decode("utf-8", "backslashreplace").strip()[-200:] or "it does not say why"
