"""Whether the program is ready (what it needs answers) and alive (its loops move): what parts last said, and when."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ingest.clock import Clock, SystemClock

FRESH = 20.0
"""Seconds for which a report on readiness holds: a silent part turns /readyz red before 30 s have passed."""


@dataclass(frozen=True, slots=True)
class _Report:
    ok: bool
    why: str
    at: float
    within: float | None


@dataclass(frozen=True, slots=True)
class _Beat:
    at: float
    within: float


class Health:
    """What each part last reported. Decides nothing but "how long ago"; any thread may call.

    Readiness: a part reports whether what it needs answers ("kafka", "destination"). A report grows stale: who says
    nothing for `within` seconds is unknown, which is not ready. Liveness: a part promises to beat again within so many
    seconds; one that does not is dead, until it beats. Nobody reported: not ready. Nobody promised a beat: alive.

    Args:
        clock: ages are measured with its monotonic hand.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._reports: dict[str, _Report] = {}
        self._beats: dict[str, _Beat] = {}

    def report(self, part: str, ok: bool, why: str = "", within: float | None = FRESH) -> None:
        """Say whether a part can do its work.

        Args:
            part: its name; the last report counts.
            ok: whether it can.
            why: what is wrong, or what it is doing; for a person, never with a secret.
            within: seconds for which the report holds; None = until the next one (for what can't change by itself).
        """
        with self._lock:
            self._reports[part] = _Report(ok, why, self._clock.monotonic(), within)

    def beat(self, part: str, within: float) -> None:
        """Say that a part moves, and promise to say so again within so many seconds."""
        with self._lock:
            self._beats[part] = _Beat(self._clock.monotonic(), within)

    def forget(self, part: str) -> None:
        """A part has ended: expect nothing of it. Fine if it never said anything."""
        with self._lock:
            self._reports.pop(part, None)
            self._beats.pop(part, None)

    def ready(self) -> dict[str, Any]:
        """Return {"ready": bool, "parts": {name: {"ok": bool, "why": text, "age": seconds}}}."""
        with self._lock:
            now, reports = self._clock.monotonic(), dict(self._reports)
        parts = {name: _readiness(report, now) for name, report in sorted(reports.items())}
        return {"ready": bool(parts) and all(part["ok"] for part in parts.values()), "parts": parts}

    def alive(self) -> dict[str, Any]:
        """Return {"alive": bool, "parts": {name: {"ok": bool, "why": text, "age": seconds}}}."""
        with self._lock:
            now, beats = self._clock.monotonic(), dict(self._beats)
        parts = {name: _liveness(beat, now) for name, beat in sorted(beats.items())}
        return {"alive": all(part["ok"] for part in parts.values()), "parts": parts}


def _readiness(report: _Report, now: float) -> dict[str, Any]:
    age = round(now - report.at, 3)
    if report.within is not None and age > report.within:
        return {"ok": False, "why": f"unknown: no report for {age:.0f} s", "age": age}
    return {"ok": report.ok, "why": report.why, "age": age}


def _liveness(beat: _Beat, now: float) -> dict[str, Any]:
    age = round(now - beat.at, 3)
    if age > beat.within:
        return {"ok": False, "why": f"has not moved for {age:.0f} s, promised {beat.within:g} s", "age": age}
    return {"ok": True, "why": "", "age": age}
