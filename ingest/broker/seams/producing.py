"""Ready batches for kafka-python's own Sender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer, TopicPartition

_BUSY_MS = 50.0


class BatchQueue:
    """Where a KafkaProducer's Sender takes its batches from.

    Batches of a partition go out in the order of the queue, one at a time; between partitions there is no order.
    """

    def __init__(self, producer: KafkaProducer, on_too_large: Callable[[Any], None]) -> None:
        """Hook into a producer before anything was sent.

        Args:
            producer: whose Sender takes the batches.
            on_too_large: called with a batch of several records that the broker refused for its size, on the Sender's
                thread. It must put the batch's parts in front, the last one first. (The stock split decodes all records
                and forgets the acknowledgement of the whole.)
        """
        self._sender: Any = producer._sender
        self._accumulator: Any = producer._accumulator
        self._transactions: Any = producer._transaction_manager
        self._abort_with: Exception | None = None
        self._run_once = self._sender.run_once
        self._sender.run_once = self._abort_and_run
        self._accumulator.split_and_reenqueue = lambda batch, now=None: self._split(batch, on_too_large)
        _pause_while_busy(self._sender._client)

    def batch(self, topic: str, partition: int, records: Any) -> Any:
        """Return a ProducerBatch around `records`, which has the methods of kafka-python's MemoryRecordsBuilder."""
        from kafka.producer.producer_batch import ProducerBatch

        return ProducerBatch(TopicPartition(topic, partition), records)

    def put(self, batch: Any, front: bool = False) -> None:
        """Queue a batch; never blocks. It waits while the topic's leader is unknown."""
        target = batch.topic_partition
        self._sender.add_topic(target.topic)
        with self._accumulator._tp_lock(target):
            queue = self._accumulator._batches[target]
            if front:
                queue.appendleft(batch)
            else:
                queue.append(batch)
            self._accumulator._incomplete.add(batch)
        self._sender.wakeup()

    def abort_waiting(self, error: Exception) -> None:
        """From the Sender's next round on, fail every batch that was never on its way to a broker.

        Not at once: the Sender may be in the middle of failing batches itself, and must not find one failed already.
        """
        self._abort_with = error
        self._sender.wakeup()

    def stop(self, timeout: float) -> None:
        """Fail every batch and end the Sender's thread; returns when it ended, or after `timeout` seconds."""
        self._sender.force_close()
        self._sender.join(timeout)

    def _abort_and_run(self) -> None:
        if self._abort_with is not None:
            self._accumulator.abort_undrained_batches(self._abort_with)
        self._run_once()

    def _split(self, batch: Any, on_too_large: Callable[[Any], None]) -> int:
        if self._transactions is not None and batch.has_sequence:
            self._transactions.set_sequence_number(batch.topic_partition, batch.base_sequence)
        on_too_large(batch)
        return 2


def _pause_while_busy(client: Any) -> None:
    """Have the Sender sleep while a broker's connection takes no more requests, instead of turning without a pause.

    It asks for a delay in milliseconds and is told seconds, and of a connection with as many requests in flight as it
    may have it is told 0. An answer wakes it up in any case. Only a producer's client: a consumer that is told a delay
    for a connection not yet made takes its coordinator for dead.
    """
    delay = client.connection_delay
    client.connection_delay = lambda node: max(1000 * delay(node), _BUSY_MS)
