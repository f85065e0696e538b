"""Why a partition can't be read on, as a value: the others go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafka import TopicPartition
from kafka import errors as kafka

from ingest.broker.failures import translate
from ingest.broker.rebalance import Pair
from ingest.errors import DataLoss, IngestError, Unavailable


@dataclass(frozen=True, slots=True)
class PartitionProblem:
    """A partition that stands still until it is given a new position.

    Attributes:
        topic: whose.
        partition: whose.
        error: DataLoss of kind "retention" (with the lost range), "went back" or "truncated"; CorruptBatch; OldFormat;
            Refused.
    """

    topic: str
    partition: int
    error: IngestError


def problem_of(
    pair: Pair, error: Exception, position: int | None, log_of: Callable[[Pair], tuple[int, int]]
) -> PartitionProblem:
    """Return what an error that kafka-python has with one partition means.

    Args:
        pair: topic and partition.
        error: as raised, or ours already.
        position: next offset to read, where known.
        log_of: asks for the partition's first and end offset; may raise Unavailable.
    """
    topic, partition = pair
    where = f"topic {topic} partition {partition}"
    if isinstance(error, IngestError):
        found: IngestError = error
    elif isinstance(error, kafka.LogTruncationError):
        found = _truncated(where, error.divergent_offsets.get(TopicPartition(topic, partition)), position)
    elif isinstance(error, kafka.OffsetOutOfRangeError):
        found = _out_of_range(where, position, _log(pair, log_of))
    else:
        found = translate(error, f"reading {where}")
    return PartitionProblem(topic, partition, found)


def _log(pair: Pair, log_of: Callable[[Pair], tuple[int, int]]) -> tuple[int, int] | None:
    try:
        return log_of(pair)
    except Unavailable:
        return None


def _out_of_range(where: str, position: int | None, log: tuple[int, int] | None) -> DataLoss:
    if position is None or log is None:
        text = f"{where}: offset {position} is not in the log any more, and where the log begins could not be asked"
        return DataLoss(f"{text}; look with `ingest offsets`", kind="retention", first=position)
    beginning, end = log
    if position < beginning:
        return DataLoss(
            f"{where}: offsets {position} to {beginning - 1} were deleted before they were read (retention, or deleted "
            f"records); `ingest accept-loss` goes on at {beginning}",
            kind="retention",
            first=position,
            next=beginning,
        )
    if position <= end:
        return _truncated(where, None, position)
    return DataLoss(
        f"{where}: the log ends at offset {end}, before the next offset {position}: it was cut, or the topic was made "
        f"anew; `ingest accept-loss` begins a new era",
        kind="went back",
        first=end,
    )


def _truncated(where: str, divergent: object, position: int | None) -> DataLoss:
    cut = getattr(divergent, "offset", None)
    known = "at an unknown offset" if cut is None else f"at offset {cut}"
    return DataLoss(
        f"{where}: the log was cut {known}, below the next offset {position}: records that were read are not in it any "
        f"more (an unclean leader election, or the topic was made anew); `ingest accept-loss` begins a new era",
        kind="truncated",
        first=cut,
    )
