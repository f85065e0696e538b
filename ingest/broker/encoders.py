"""A few threads that encode and compress, with the order of each partition kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

THREADS = 2
"""Compression lets go of the interpreter's lock, the small calls around it do not: more threads only queue for it."""


@dataclass(slots=True)
class _Lane:
    """The pieces of work of one key, in order; `lock` is held while outcomes are handed on."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[tuple[Future[Any], Callable[[Future[Any]], None]]] = field(default_factory=deque)


class Encoders(Generic[T]):
    """Runs work on a pool and hands the outcomes on, for each key in the order of `submit`."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._lanes: dict[Hashable, _Lane] = {}

    def submit(self, key: Hashable, work: Callable[[], T], then: Callable[[Future[T]], None]) -> None:
        """Begin; `then` is called once with the finished future, on a thread of the pool. One thread submits."""
        lane = self._lanes.setdefault(key, _Lane())
        future = self._pool.submit(work)
        lane.waiting.append((future, then))
        future.add_done_callback(lambda _: self._hand_on(lane))

    def close(self) -> None:
        """Take no more; what was submitted is still done and handed on."""
        self._pool.shutdown(wait=True)

    @staticmethod
    def _hand_on(lane: _Lane) -> None:
        # Whoever finishes hands on everything that is ready; a piece that waits for an earlier one is handed on by it.
        with lane.lock:
            while lane.waiting and lane.waiting[0][0].done():
                future, then = lane.waiting.popleft()
                then(future)
