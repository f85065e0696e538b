"""Telling systemd how the service is: the sd_notify protocol, in its few lines."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from ingest.service.log import logger


class Notifier:
    """Sends states to the service manager that started this process; to nobody where none did.

    A notification that can't be delivered is logged, once in a row, and stops nothing.

    Attributes:
        watchdog: seconds within which systemd expects `WATCHDOG=1`; None = it does not.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self._address else None
        self._failing = False

    def ready(self) -> None:
        """Start-up is done: units ordered after this one may start."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The drain has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in one line what goes on, for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """Keep the watchdog quiet for another `watchdog` seconds."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(state.encode(), self._address)
            self._failing = False
        except OSError as error:
            if not self._failing:
                logger().warning("the service manager could not be told", state=state, error=error)
            self._failing = True


def _address(text: str) -> str | None:
    """Return what to send to: a path, or a name in the abstract namespace (written with a leading @)."""
    if text.startswith("/"):
        return text
    if text.startswith("@"):
        return "\0" + text[1:]
    if text:
        logger().warning("NOTIFY_SOCKET is no unix socket: the service manager is not told", address=text)
    return None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return the interval meant for this very process."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6
