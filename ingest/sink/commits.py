"""Threads in which commits run, so that a slow destination holds up no other partition and no poll.

A commit is tried again for as long as the destination is merely unavailable: every step may be repeated. Only its owner
ends that, by cancelling, when the partition is taken away.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ingest.errors import OutcomeUnknown, Retriable, Unavailable

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0


class Job(Generic[T]):
    """One commit on its way."""

    def __init__(self, work: Callable[[], T], report: Callable[[Exception | None], None]) -> None:
        self._work = work
        self._report = report
        self._cancelled = threading.Event()
        self.future: Future[T]

    def cancel(self) -> None:
        """Give up at the next failure. What is under way goes on: a commit is safe to be left alone at any step."""
        self._cancelled.set()

    def run(self) -> T:
        """Work until it is done, refused for good, or cancelled."""
        wait = FIRST_WAIT
        while True:
            try:
                result = self._work()
            except (Retriable, OutcomeUnknown) as error:
                self._report(error)
                # Spread out, so that partitions that failed together do not come back together.
                if self._cancelled.wait(wait * random.uniform(0.5, 1.0)):
                    raise Unavailable(f"given up: {error}") from error
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                self._report(None)
                return result


class CommitPool:
    """A bounded number of commits at once, over all partitions; at most one of each partition (its owner sees to that).

    `report` is told after every attempt: None, or why it failed. It is called on the pool's threads.
    """

    def __init__(self, threads: int, report: Callable[[Exception | None], None]) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="commit")
        self._report = report

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Begin; the result or the error is in the job's `future`."""
        job = Job(work, self._report)
        job.future = self._pool.submit(job.run)
        return job

    def close(self) -> None:
        """Let go of the threads without waiting for jobs that were left alone."""
        self._pool.shutdown(wait=False, cancel_futures=True)
