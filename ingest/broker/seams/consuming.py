"""Fetched partitions as columns from kafka-python's own Fetcher, and its membership in a group as we need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from ingest.broker.seams.pinned import COLUMNAR


def read_with(consumer: KafkaConsumer, partition_records: type, on_error: Callable[[Any, Exception], None]) -> None:
    """Have fetched partitions read by `partition_records`, and errors of one partition told instead of raised.

    Args:
        consumer: before it is subscribed.
        partition_records: a subclass of Fetcher.PartitionRecords.
        on_error: called with (TopicPartition, error) inside poll. The partition must not be fetched again until it was
            given a new position: after an error inside it, kafka-python's next poll would never return.
    """
    fetcher: Any = consumer._fetcher
    fetcher.PartitionRecords = partition_records
    parse = fetcher._parse_fetched_data

    def parse_or_tell(completed: Any) -> Any:
        truncated = fetcher._cached_log_truncation
        if truncated is not None and completed.topic_partition in truncated.divergent_offsets:
            return None
        try:
            return parse(completed)
        except kafka_errors.KafkaError as error:
            on_error(completed.topic_partition, error)
            return None

    fetcher._parse_fetched_data = parse_or_tell


def fetch_ahead(consumer: KafkaConsumer) -> None:
    """Ask for what comes after what poll returned, instead of at the next poll; on the thread that polls."""
    consumer._fetcher.send_fetches()


def seek(consumer: KafkaConsumer, target: TopicPartition, offset: int, leader_epoch: int) -> None:
    """Seek; with a leader epoch >= 0 the broker is asked whether its log still holds what was read before `offset`."""
    if leader_epoch < 0 or not COLUMNAR:
        consumer.seek(target, offset)
    else:
        consumer._subscription.assignment[target].seek(OffsetAndMetadata(offset, "", leader_epoch))


def position(consumer: KafkaConsumer, target: TopicPartition) -> int | None:
    """Return the next offset to fetch without asking a broker; None = not assigned, or never placed."""
    state = consumer._subscription.assignment.get(target)
    return None if state is None or state.position is None else int(state.position.offset)


def joined(consumer: KafkaConsumer) -> bool:
    """Return whether the group has settled and this member with it."""
    coordinator: Any = consumer._coordinator
    return coordinator.generation_if_stable() is not None and not coordinator.need_rejoin()


def join_again(consumer: KafkaConsumer) -> None:
    """Have the consumer join the group once more at its next poll, keeping what it has."""
    consumer._coordinator.request_rejoin()


def finish_joins(consumer: KafkaConsumer) -> None:
    """Have a join that is under way be waited for by every poll until it ended.

    kafka-python asks at each poll whether to join, and forgets that it does: when it joins because topics changed, as
    the group's leader, the reason is gone once it shared the partitions out. A poll that ran out of time just then
    was the last one to wait. The member never hears what it got, and sends no heartbeats any more.
    """
    coordinator: Any = consumer._coordinator
    need_rejoin = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: getattr(coordinator, "_join_task", None) is not None or need_rejoin()


def tell_when_fenced(consumer: KafkaConsumer, on_fenced: Callable[[Exception], None]) -> None:
    """Call `on_fenced` (on the I/O thread) when a heartbeat says FENCED_INSTANCE_ID.

    kafka-python itself only stops the heartbeat then, and goes on fetching.
    """
    coordinator: Any = consumer._coordinator
    send = coordinator._send_heartbeat_request

    async def send_and_tell() -> Any:
        try:
            return await send()
        except kafka_errors.FencedInstanceIdError as error:
            on_fenced(error)
            raise

    coordinator._send_heartbeat_request = send_and_tell


def resolve(consumer: KafkaConsumer, future: Any) -> None:
    """Complete a future that a coroutine on the consumer's I/O thread awaits; from any thread."""
    consumer._net.call_soon_threadsafe(lambda: future.success(None))
