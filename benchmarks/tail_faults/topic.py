"""What is in a topic, as it comes in; with librdkafka, so that nothing of ours looks after our own results."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from benchmarks.tail_faults.tally import Found, Tally, Written

QUIET = 3.0
"""Seconds without news after which a topic that holds everything counts as done: what comes again comes by then."""
WITHIN = 5.0
"""The same for one that lacks something, in the midst of a case."""
LONGEST = 120.0


class Watch:
    """Reads one topic from its beginning, for as long as a case lasts."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self.found = Found()
        self._reader = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"bench-{topic}",
                "log_level": 0,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 << 20,
            }
        )
        self._reader.assign([TopicPartition(topic, number, 0) for number in range(partitions)])

    def look(self, wait: float = 0.1) -> int:
        """Take in what has come; return how many records that were."""
        messages = [message for message in self._reader.consume(5000, wait) if not message.error()]
        for message in messages:
            self.found.add(message.value() or b"", dict(message.headers() or ()))
        return len(messages)

    def wait(self, written: Written, moving: Callable[[], bool] = lambda: True) -> bool:
        """Wait until everything is there; return whether it is, when nothing more comes.

        Args:
            written: what is awaited.
            moving: returns False when whoever ships has ended, so that waiting is of no use.
        """
        return self._until(lambda: written.whole(self.found), WITHIN, moving)

    def settle(self, written: Written, patience: float) -> Tally:
        """Wait until nothing comes any more for so many seconds; return what is wrong then."""
        self._until(lambda: written.whole(self.found), patience, lambda: True)
        self._until(lambda: False, QUIET, lambda: True)
        return written.compare(self.found)

    def _until(self, done: Callable[[], bool], silence: float, moving: Callable[[], bool]) -> bool:
        began = heard = time.monotonic()
        while not done():
            if self.look():
                heard = time.monotonic()
            now = time.monotonic()
            if now - heard > silence or now - began > LONGEST or not moving():
                return done()
        return True

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()
