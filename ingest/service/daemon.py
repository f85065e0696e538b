"""Runs the parts of a long-lived process: threads, signals, drain, systemd, the exit code."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ingest.clock import Clock, SystemClock
from ingest.errors import IngestError
from ingest.service.health import Health
from ingest.service.log import logger
from ingest.service.systemd import Notifier

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SEVERITY = (2, 1, 3, 0)
"""Exit codes, the one that wins first. Wrong usage: nothing will work until a person changes it. A failure: the work is
not done, and a restart may do it. Data loss: stands in the state, and is told again by the run that gets that far."""
_STARTING, _RUNNING = 0.1, 5.0
"""Seconds between looks at the parts while one is not up yet, and afterwards; signals and ends wake us at once."""


@dataclass(slots=True)
class Part:
    """Something that runs until it is told to stop.

    Attributes:
        name: of the thread, in logs and health.
        run: blocks until its work is done or the event is set, and then drains. What it raises decides the exit code.
        up: set by the part once its start-up is done; None = up as soon as it runs.
    """

    name: str
    run: Callable[[threading.Event], None]
    up: threading.Event | None = None
    failure: BaseException | None = field(default=None, init=False)
    """What `run` raised, once it has ended."""
    ended: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when `run` is over."""


def exit_code(failures: Iterable[BaseException | None]) -> int:
    """Return the code of the gravest failure: 2 before 1 before 3 before 0; a bug counts as 1."""
    codes = {_code(failure) for failure in failures} | {0}
    return next((code for code in _SEVERITY if code in codes), 1)


def _code(failure: BaseException | None) -> int:
    if failure is None:
        return 0
    code = failure.exit_code if isinstance(failure, IngestError) else 1
    return code if code in _SEVERITY else 1


class Service:
    """Runs parts in threads until all have ended, and decides the exit code. For the main thread.

    - The first SIGTERM or SIGINT, or a part that fails, sets the parts' stop event: they drain. A part that ends
      without an error leaves the others running.
    - A second signal ends the process at once, with code 1 and without a drain. Nothing is lost by it.
    - systemd hears READY=1 when every part is up, STATUS= what `status` says, STOPPING=1, and WATCHDOG=1 only while
      `health` says alive: a part that hangs gets the process killed and restarted.

    Args:
        parts: what to run.
        health: told of ends (`forget`), asked for life.
        status: one line on what goes on.
        drain: seconds that parts have to drain before they are left behind, with code 1; None = until systemd kills.
        notifier: to systemd.
        clock: for the drain's deadline.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        health: Health,
        status: Callable[[], str] | None = None,
        drain: float | None = None,
        notifier: Notifier | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._parts = parts
        self._health = health
        self._status = status
        self._drain = drain
        self._notifier = notifier or Notifier()
        self._clock = clock or SystemClock()
        self.stop = threading.Event()
        """Set it to drain, from any thread; the parts get this very event."""
        self._signals: list[int] = []
        self._threads: list[threading.Thread] = []
        self._ready = False
        self._stopping_since: float | None = None
        self._said = ""
        self._hung = False

    def run(self) -> int:
        """Run the parts and return the exit code; the signal handlers are then what they were."""
        _dump_threads_on_abort()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with self._signals_caught(wake):
                self._start(wake)
                while self._running() and not self._overdue():
                    self._look()
                    _wait(woken, self._pause())
                return self._outcome()
        finally:
            if not self._running():  # else a part that was left behind writes to the pipe at its end
                for thread in self._threads:
                    thread.join()
                os.close(woken)
                os.close(wake)

    # ── parts ────────────────────────────────────────────────────────────────

    def _start(self, wake: int) -> None:
        for part in self._parts:
            thread = threading.Thread(target=self._run_part, args=[part, wake], name=part.name, daemon=True)
            try:
                thread.start()
                self._threads.append(thread)
            except RuntimeError as error:  # no more threads: no silent partial service
                self._failed(part, error)
                part.ended.set()

    def _run_part(self, part: Part, wake: int) -> None:
        try:
            part.run(self.stop)
        except BaseException as error:  # noqa: BLE001 - nothing goes on: it ends the service and decides the exit code
            self._failed(part, error)
        finally:
            self._health.forget(part.name)
            part.ended.set()
            os.write(wake, b"p")

    def _failed(self, part: Part, error: BaseException) -> None:
        part.failure = error
        logger().error("a part failed", part=part.name, exc_info=error)
        self.stop.set()

    def _running(self) -> bool:
        return not all(part.ended.is_set() for part in self._parts)

    def _outcome(self) -> int:
        failures = [part.failure for part in self._parts]
        left = [part.name for part in self._parts if not part.ended.is_set()]
        if left:
            logger().error("parts did not drain in time and were left behind; nothing is lost", parts=left)
            failures.append(IngestError("left behind"))
        return exit_code(failures)

    # ── a look, now and then ─────────────────────────────────────────────────

    def _look(self) -> None:
        if self._signals:
            self.stop.set()
        if self.stop.is_set():
            self._begin_drain()
        elif not self._ready and all(
            part.up is None or part.up.is_set() or part.ended.is_set() for part in self._parts
        ):
            self._ready = True
            self._notifier.ready()
        self._feed_watchdog()
        said = self._status() if self._status else ""
        if said != self._said:
            self._said = said
            self._notifier.status(said)

    def _begin_drain(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = self._clock.monotonic()
            self._notifier.stopping()
            why = signal.Signals(self._signals[0]).name if self._signals else "asked to"
            logger().info("stopping: finishing what is in hand; a second signal ends at once", why=why)

    def _feed_watchdog(self) -> None:
        state = self._health.alive()
        if state["alive"]:
            self._hung = False
            if self._notifier.watchdog is not None:
                self._notifier.alive()
        elif not self._hung:
            self._hung = True
            hung = {name: part["why"] for name, part in state["parts"].items() if not part["ok"]}
            logger().error("a part hangs", parts=hung, restart=self._notifier.watchdog is not None)

    def _overdue(self) -> bool:
        if self._drain is None or self._stopping_since is None:
            return False
        return self._clock.monotonic() - self._stopping_since > self._drain

    def _pause(self) -> float:
        starting = not self._ready and self._stopping_since is None
        pause = _STARTING if starting else _RUNNING
        if self._notifier.watchdog is not None:
            pause = min(pause, self._notifier.watchdog / 3)
        if self._drain is not None and self._stopping_since is not None:
            pause = min(pause, max(0.0, self._stopping_since + self._drain - self._clock.monotonic()) + 0.01)
        return pause

    # ── signals ──────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _signals_caught(self, wake: int) -> Iterator[None]:
        """Note signals while inside. Off the main thread they can't be caught, and are left alone."""

        def note(number: int, _frame: object) -> None:
            # Runs between any two steps of the main thread, so it may take no lock: no logging, no event.
            self._signals.append(number)
            if len(self._signals) > 1:
                os._exit(1)
            os.write(wake, b"s")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _wait(woken: int, seconds: float) -> None:
    """Wait until something is written to the pipe, or for so many seconds."""
    if select.select([woken], [], [], seconds)[0]:
        os.read(woken, 4096)


def _dump_threads_on_abort() -> None:
    """Let the watchdog's SIGABRT show where each thread stood."""
    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # no stderr
            faulthandler.enable()
