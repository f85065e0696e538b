"""What a person may accept so that a stopped partition goes on: decided from the chain's end and Kafka's log.

    retention     a commit of kind "loss" for exactly the offsets that are gone; the era goes on behind them
    recreated     a new era at the log's first offset
    truncated     a new era where the log was cut: what lies below is the log that was read
    went back     a new era at the log's first offset: where it was cut is not known, so all of it is read again
    quarantine    a commit of kind "budget" and a new era at the same offset

Reading again loses nothing, and doubles nothing that carries its identity: a new era takes the streams over. Records
that other producers sent without it are written a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.commit.tail import Tail
from ingest.sink.loss import Bounds, loss_of
from ingest.sink.quarantine import Budget, Window
from ingest.sink.stops import StoppedPartition

_NEXT = "are read next"
_AGAIN = "are read again: lines are not doubled, but records that other producers sent without our headers are"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is about to be accepted of one partition.

    Attributes:
        topic, partition: Kafka's.
        kind: see the module.
        era: the chain's newest.
        at: the chain's next_offset; nothing is published if it is another one by then.
        first, next: the offsets [first, next) that are known to be lost; equal = none are known.
        resume: where reading goes on.
        topic_id: of the topic as it is now; None = unknown.
        message: what happened, for people.
    """

    topic: str
    partition: int
    kind: str
    era: int
    at: int
    first: int
    next: int
    resume: int
    topic_id: str | None
    message: str

    @property
    def lost(self) -> int | None:
        """Return how many offsets are lost; None = can't be counted."""
        if self.kind == "quarantine":
            return 0
        return self.next - self.first if self.kind == "retention" else None

    @property
    def opens_era(self) -> bool:
        """Return whether offsets go on in a new era."""
        return self.kind != "retention"


def acceptable_loss(tail: Tail, bounds: Bounds, stop: StoppedPartition | None = None) -> Acceptance | None:
    """Return what must be accepted before the sink reads on at `tail`; None = it reads on by itself.

    Args:
        tail: of a Kafka partition's chain.
        bounds: the partition's log now.
        stop: what a sink noted of the partition. That a log was cut and has grown again can't be seen from its bounds:
            only a reader is told. It counts as long as the chain is where it was.
    """
    topic, partition = _place(tail)
    found = loss_of(topic, partition, tail.next_offset, tail.topic_id, bounds)
    kind = found.kind if found is not None else None
    at, beginning = tail.next_offset, bounds.beginning
    if kind == "recreated":
        text = f"the topic was deleted and made again: what the old one held from offset {at} on is gone"
        return _new_era(tail, bounds, kind, beginning, text, f"{_NEXT}; lines that were written before are dropped")
    if kind == "retention":
        text = f"the offsets [{at}, {beginning}) were deleted from Kafka before they were read"
        return Acceptance(topic, partition, kind, tail.era, at, at, beginning, beginning, bounds.topic_id or None, text)
    if stop is not None and stop.stop.kind == "truncated" and stop.next_offset == at:
        cut = stop.stop.first
        where = "at an unknown offset" if cut is None else f"at offset {cut}"
        text = f"the log was cut {where}, below {at}, up to which its records were read: they stay in the warehouse"
        return _new_era(
            tail, bounds, "truncated", resume_after_cut(cut, bounds), text, _AGAIN if cut is None else _NEXT
        )
    if kind is not None:
        text = f"the log ends at offset {bounds.end}, though everything below {at} was read: it stays in the warehouse"
        return _new_era(tail, bounds, kind, beginning, text, _AGAIN)
    return None


def resume_after_cut(cut: int | None, bounds: Bounds) -> int:
    """Return where to go on in a log that was cut at an offset; None = not known where."""
    return bounds.beginning if cut is None else max(bounds.beginning, min(cut, bounds.end))


def acceptable_budget(tail: Tail, budget: Budget) -> Acceptance | None:
    """Return what must be accepted where the window in the chain is over the budget; None = it is not."""
    window = Window(*tail.window[0]) if tail.window else Window()
    if window.rejects <= budget.allowed:
        return None
    topic, partition = _place(tail)
    text = (
        f"more than {budget.allowed} of {budget.window} records could not be parsed; they are in _quarantine/{topic}, "
        "and counting begins anew"
    )
    at = tail.next_offset
    return Acceptance(topic, partition, "quarantine", tail.era, at, at, at, at, tail.topic_id, text)


def _new_era(tail: Tail, bounds: Bounds, kind: str, resume: int, text: str, then: str) -> Acceptance:
    """What else the old log held was never seen, so no offset can be named as lost."""
    if resume < bounds.end:
        text += f". Offsets [{resume}, {bounds.end}) {then}"
    topic, partition = _place(tail)
    at = tail.next_offset
    return Acceptance(topic, partition, kind, tail.era, at, at, at, resume, bounds.topic_id or None, text)


def _place(tail: Tail) -> tuple[str, int]:
    assert isinstance(tail.key.partition, int)
    return tail.key.topic, tail.key.partition
