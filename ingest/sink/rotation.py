"""When to close what is open for a topic partition, decided from figures alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a range was closed; stands in the commit, the log and a metric."""

    ROWS = "rows"
    BYTES = "bytes"
    AGE = "age"
    IDLE = "idle"
    CRON = "cron"
    FLUSH = "flush"
    REVOKE = "revoke"
    DRAIN = "drain"
    ONCE = "once"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """From the table `rotate`; seconds and bytes; None = never for that reason."""

    rows: int | None
    bytes: int | None
    age: float | None
    idle: float | None


@dataclass(frozen=True, slots=True)
class Open:
    """What is open: rows and encoded bytes so far, and when its first and its latest block came (monotonic seconds)."""

    rows: int
    bytes: int
    since: float
    latest: float


def due(open: Open, limits: Limits, now: float) -> Reason | None:
    """Return why the open range must be closed now, or None.

    A range without rows (only repeated, aborted or control records) is due by age alone: its end must become durable
    some time, but nobody waits for it.
    """
    if limits.rows is not None and open.rows >= limits.rows:
        return Reason.ROWS
    if limits.bytes is not None and open.bytes >= limits.bytes:
        return Reason.BYTES
    if limits.age is not None and now - open.since >= limits.age:
        return Reason.AGE
    if open.rows and limits.idle is not None and now - open.latest >= limits.idle:
        return Reason.IDLE
    return None


def next_due(open: Open, limits: Limits, now: float) -> float:
    """Return in how many seconds `due` may change by time alone, 0 or more; infinity = never."""
    waits = [float("inf")]
    if limits.age is not None:
        waits.append(open.since + limits.age - now)
    if open.rows and limits.idle is not None:
        waits.append(open.latest + limits.idle - now)
    return max(0.0, min(waits))
