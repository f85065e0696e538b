"""Cron ticks: what is due by the wall clock. A tick touches no data; whoever owns the data takes it when it can."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import STATE_STOPPED, BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from ingest.clock import Clock, SystemClock
from ingest.cron import Cron, zone_named

_LOOK = 15.0
"""Seconds after which the wall clock is looked at again: how late a tick may be when the clock was set."""
_STEP_BACK = 60.0
"""Seconds by which the wall clock must have been set back before ticks are planned anew rather than waited for."""


class VixieTrigger(BaseTrigger):  # type: ignore[misc]
    """apscheduler's trigger port over `Cron`.

    What was missed is one run: the next time is always later than now, so that nothing is made up for twice.
    """

    __slots__ = ("cron", "zone")

    def __init__(self, cron: Cron, zone: tzinfo) -> None:
        self.cron = cron
        self.zone = zone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next time in UTC, later than both arguments."""
        return self.cron.next_after(max(previous_fire_time or now, now), self.zone)


class _Wheel(BaseScheduler):  # type: ignore[misc]
    """apscheduler's scheduler in a thread that also notices when the wall clock is set.

    The stock ones sleep until a wall-clock time computed once: a clock set back by a day silences them for a day.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(timezone=UTC, executors={"default": DebugExecutor()})
        self._clock = clock
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ahead = clock.now() - clock.monotonic()

    def start(self) -> None:
        """Start ticking in a thread of its own."""
        super().start()
        self._thread = threading.Thread(target=self._loop, name="schedule", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Stop; no tick comes after this has returned."""
        super().shutdown()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def wakeup(self) -> None:
        """Look at the jobs now (apscheduler calls this when they changed)."""
        self._wake.set()

    def turn(self) -> float:
        """Fire what is due; return in how many seconds to come again."""
        ahead = self._clock.now() - self._clock.monotonic()
        step, self._ahead = ahead - self._ahead, ahead
        if step < -_STEP_BACK:
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            for job in self.get_jobs():
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))
        wait: float | None = self._process_jobs()
        return _LOOK if wait is None else min(wait, _LOOK)

    def _loop(self) -> None:
        wait = 0.0
        while self.state != STATE_STOPPED:
            self._wake.wait(wait)
            self._wake.clear()
            if self.state != STATE_STOPPED:
                wait = self.turn()


class Ticks:
    """Posts a tick under a name whenever its cron expression is due.

    A tick waits until it is taken: one that comes due meanwhile, or several missed while the machine was asleep or the
    clock was set ahead, are one, and counted. So is what the process itself missed while it was down, where `add` is
    told since when. Every method may be called from any thread.

    Args:
        clock: for telling when the wall clock was set.
        coalesced: called with a name, on the schedule's thread, for each tick that found the one before not taken.
    """

    def __init__(self, clock: Clock | None = None, coalesced: Callable[[str], None] | None = None) -> None:
        self._clock = clock or SystemClock()
        self._coalesced = coalesced
        self._wheel = _Wheel(self._clock)
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._merged: Counter[str] = Counter()
        self._wakers: dict[str, Callable[[], None]] = {}

    def add(
        self,
        name: str,
        cron: str,
        timezone: str = "UTC",
        wake: Callable[[], None] | None = None,
        since: float | None = None,
    ) -> None:
        """Tick under `name` by a cron expression from now on, instead of what was there under that name.

        Args:
            name: what `take` and `due` call it.
            cron: the expression.
            timezone: IANA name of the zone whose wall clock the expression means.
            wake: called when a tick begins to wait, on the schedule's thread; must return at once and touch no data.
            since: unix seconds when the work was last done: if it came due after that, there is one tick right away.

        Raises:
            ValueError: the expression or the zone is wrong.
        """
        trigger = VixieTrigger(Cron.parse(cron), zone_named(timezone))
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        first = trigger.get_next_fire_time(None, now)
        if since is not None and since < now.timestamp():
            first = min(first, max(now, trigger.cron.next_after(datetime.fromtimestamp(since, UTC), trigger.zone)))
        with self._lock:
            self._waiting.discard(name)
            self._wakers.pop(name, None)
            if wake is not None:
                self._wakers[name] = wake
        self._wheel.add_job(
            self._post,
            trigger,
            args=[name],
            id=name,
            name=name,
            next_run_time=first,
            coalesce=True,
            misfire_grace_time=None,
            replace_existing=True,
        )

    def remove(self, name: str) -> None:
        """Tick no more under `name`; a tick that waits is dropped. Fine if there is none."""
        if self._wheel.get_job(name) is not None:
            self._wheel.remove_job(name)
        with self._lock:
            self._waiting.discard(name)
            self._wakers.pop(name, None)

    def due(self, name: str) -> bool:
        """Return whether a tick waits, and leave it there."""
        with self._lock:
            return name in self._waiting

    def take(self, name: str) -> bool:
        """Return whether a tick waited, and take it.

        Take it after the work is done, and what came due during the work is merged into it; take it before, and the
        work is done once more.
        """
        with self._lock:
            waited = name in self._waiting
            self._waiting.discard(name)
            return waited

    def merged(self, name: str) -> int:
        """Return how many ticks found the one before not taken."""
        with self._lock:
            return self._merged[name]

    def next_due(self) -> dict[str, float]:
        """Return for each name when it ticks next, in unix seconds; for a status page."""
        return {job.id: job.next_run_time.timestamp() for job in self._wheel.get_jobs() if job.next_run_time}

    def start(self) -> None:
        """Start the schedule's thread. Nothing ticks before."""
        self._wheel.start()

    def stop(self) -> None:
        """Stop for good; no tick is posted once this has returned. Fine if it was never started."""
        if self._wheel.running:
            self._wheel.shutdown()

    def _post(self, name: str) -> None:
        with self._lock:
            waits = name in self._waiting
            self._waiting.add(name)
            self._merged[name] += waits
            wake = self._wakers.get(name)
        if waits and self._coalesced is not None:
            self._coalesced(name)
        elif not waits and wake is not None:
            wake()
