"""Threads for what may wait long: a slow destination holds up no poll, and only so many partitions at once."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
_Work: TypeAlias = tuple[Future[Any], Callable[[], Any]]


class Pool(Protocol):
    """Threads that take work."""

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin; the result or the error is in the future."""


class Threads:
    """A fixed number of threads that take work in the order in which it came.

    They are daemons: work that nobody waits for any more, and that hangs in a call to a dead server, does not hold up
    the end of the process. All work given to them must be safe to be cut off at any step, as it must survive kill -9.
    """

    def __init__(self, name: str, count: int) -> None:
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin as soon as a thread is free; the result or the error is in the future."""
        future: Future[T] = Future()
        self._waiting.put((future, work))
        return future

    def close(self) -> None:
        """Begin nothing more and let the threads end; what is under way is not waited for."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (waiting := self._waiting.get_nowait()) is not None:
                    waiting[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        # A function of its own, so that a thread that waits for more holds on to nothing.
        if (waiting := self._waiting.get()) is None:
            return False
        future, work = waiting
        if future.set_running_or_notify_cancel():
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - raised where the future is read
                future.set_exception(error)
            else:
                future.set_result(result)
        return True
