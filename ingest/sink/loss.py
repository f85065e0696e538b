"""Whether Kafka still has what comes next, decided from figures alone."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.errors import DataLoss


@dataclass(frozen=True, slots=True)
class Bounds:
    """A partition's log as Kafka has it now: first offset, end (exclusive), and the topic's id."""

    beginning: int
    end: int
    topic_id: str


_ACCEPT = "Look at it with `ingest accept-loss`, which asks before it lets the partition go on"


def refuse_loss(topic: str, partition: int, next_offset: int, known_topic_id: str | None, bounds: Bounds) -> None:
    """Return quietly when reading may go on at `next_offset`.

    Raises:
        DataLoss: see `loss_of`.
    """
    loss = loss_of(topic, partition, next_offset, known_topic_id, bounds)
    if loss is not None:
        raise loss


def loss_of(
    topic: str, partition: int, next_offset: int, known_topic_id: str | None, bounds: Bounds
) -> DataLoss | None:
    """Return why reading can't go on at `next_offset`; None = it can.

    The topic is another one, the log begins after `next_offset`, or it ends before.
    """
    where = f"{topic}/{partition}"
    if (other := other_topic(topic, partition, next_offset, known_topic_id, bounds.topic_id)) is not None:
        return other
    if next_offset < bounds.beginning:
        return DataLoss(
            f"{where}: the offsets [{next_offset}, {bounds.beginning}) were deleted from Kafka before they were read "
            f"(retention). {_ACCEPT}",
            kind="retention",
            first=next_offset,
            next=bounds.beginning,
        )
    if next_offset > bounds.end:
        return DataLoss(
            f"{where}: the log ends at {bounds.end}, but everything below {next_offset} is committed already: it was "
            f"truncated, or the topic was made again. {_ACCEPT}",
            kind="went back",
            first=bounds.end,
        )
    return None


def other_topic(
    topic: str, partition: int, next_offset: int, known_topic_id: str | None, topic_id: str
) -> DataLoss | None:
    """Return the loss where a topic has another id than the one that was read below `next_offset`; None = it has not.

    An id that is not known, because brokers are too old or the topic is being deleted, says nothing.
    """
    if not known_topic_id or not topic_id or topic_id == known_topic_id:
        return None
    return DataLoss(
        f"{topic}/{partition}: the topic was deleted and made again (its id was {known_topic_id}, is {topic_id}): "
        f"what the old one held from offset {next_offset} on is gone. {_ACCEPT}",
        kind="recreated",
        first=next_offset,
    )
