"""Rebalance callbacks on the thread that polls.

kafka-python runs a rebalance listener on its I/O thread, where blocking calls are forbidden and stop the heartbeat.
Here the poll itself runs on a helper thread, and the thread that called `Desk.run` serves meanwhile what the listener
asks for:

    caller      run(poll) ─ meanwhile ─ serves: on_revoke ─────── serves: on_assign ─────────▶ poll's result
    helper            └─ consumer.poll ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┘
    I/O thread                         └─ listener waits ┘ rejoins └─ listener waits ┘         (heartbeats go on)
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from kafka import AsyncConsumerRebalanceListener
from kafka.future import Future as KafkaFuture

T = TypeVar("T")

Pair: TypeAlias = tuple[str, int]
"""(topic, partition)"""


@dataclass(frozen=True, slots=True)
class _Errand:
    """A callback that somebody on the I/O thread waits for."""

    work: Callable[[], None]
    done: Any


class Desk:
    """Runs one call at a time on a helper thread, and errands on the thread that waits for it."""

    def __init__(self, name: str, release: Callable[[Any], None]) -> None:
        """`release(future)` completes a future of kafka-python's loop from any thread."""
        self._release = release
        self._helper = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._errands: queue.SimpleQueue[_Errand | None] = queue.SimpleQueue()
        self._running: Future[Any] | None = None
        self._closing = False

    def run(
        self, call: Callable[[], T], meanwhile: Callable[[], None] | None = None
    ) -> tuple[Future[T], Exception | None]:
        """Run `call` on the helper thread, and here first `meanwhile`, then errands until the call returns.

        Returns:
            the call's outcome, and what `meanwhile` or the first errand that failed raised: the call goes on to its end
            all the same. After `meanwhile` failed no errand is run: what it left half done must not be built upon.
        """
        self._settle()
        running: Future[T] = self._helper.submit(call)
        self._running = running
        running.add_done_callback(lambda _: self._errands.put(None))
        failure = None if meanwhile is None else _failure_of(meanwhile)
        failure = self._serve(idle=failure is not None) or failure
        self._running = None
        return running, failure

    async def errand(self, work: Callable[[], None]) -> None:
        """Have `work` done by the thread that waits in `run`; awaited on the I/O thread."""
        if self._closing:
            return
        done = KafkaFuture()
        self._errands.put(_Errand(work, done))
        await done

    def close(self) -> None:
        """Run no more errands: whoever asks is told at once that it is done."""
        self._closing = True
        self._settle()

    def end(self) -> None:
        """End the helper thread."""
        self._helper.shutdown()

    def _settle(self) -> None:
        """Wait for a call whose `run` was left by an interrupt."""
        if self._running is not None:
            self._serve(idle=True)
            self._running = None

    def _serve(self, *, idle: bool) -> Exception | None:
        """Answer errands until the call has returned; run them unless `idle`."""
        failure: Exception | None = None
        while (errand := self._errands.get()) is not None:
            try:
                if not (idle or self._closing):
                    error = _failure_of(errand.work)
                    failure = failure or error
            finally:
                self._release(errand.done)
        return failure


def _failure_of(work: Callable[[], None]) -> Exception | None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 — raised by poll, when kafka-python is back in a state that it knows
        return error
    return None


class Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Hands kafka-python's rebalance events to callbacks that take sorted lists of (topic, partition)."""

    def __init__(
        self,
        desk: Desk,
        on_assign: Callable[[list[Pair]], None],
        on_revoke: Callable[[list[Pair]], None],
        on_lost: Callable[[list[Pair]], None],
    ) -> None:
        self._desk = desk
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._on_lost = on_lost

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Called by kafka-python on its I/O thread."""
        pairs = pairs_of(assigned)
        await self._desk.errand(lambda: self._on_assign(pairs))

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Called by kafka-python on its I/O thread."""
        pairs = pairs_of(revoked)
        if pairs:
            await self._desk.errand(lambda: self._on_revoke(pairs))

    async def on_partitions_lost(self, lost: Collection[Any]) -> None:
        """Called by kafka-python on its I/O thread."""
        pairs = pairs_of(lost)
        if pairs:
            await self._desk.errand(lambda: self._on_lost(pairs))


def pairs_of(targets: Iterable[Any]) -> list[Pair]:
    """Return TopicPartitions as sorted pairs."""
    return sorted((target.topic, target.partition) for target in targets)
