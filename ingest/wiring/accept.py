"""Accepting what stopped partitions: finds it, and publishes exactly what was shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.api import Filesystem
from ingest.commit.committer import StartDraft, Tail
from ingest.config.load import Config
from ingest.errors import Fenced
from ingest.sink.acceptance import Acceptance, acceptable_budget, acceptable_loss
from ingest.sink.quarantine import Budget
from ingest.sink.stops import StoppedPartition, read_stops
from ingest.wiring.look import Look, PartitionLook


class AcceptLoss:
    """What a person may accept of one configuration's sink.

    Raises:
        UsageError: the warehouse is another cluster's or group's.
    """

    def __init__(self, config: Config, warehouse: Filesystem[Any]) -> None:
        self._config = config
        self._look = Look(config, warehouse)
        self._look.require_own_root()
        self._found = self._look.partitions()

    def partitions(self) -> list[PartitionLook]:
        """Return every partition that Kafka or the warehouse knows of the sink's topics."""
        return self._found

    def losses(self) -> list[Acceptance]:
        """Return what was lost, partition by partition.

        Raises:
            StateDamaged: what the sink noted in the state directory can't be read.
        """
        noted = {(each.topic, each.partition): each for each in self._noted()}
        found = (_loss(each, noted.get((each.topic, each.partition))) for each in self._found)
        return [each for each in found if each is not None]

    def budgets(self) -> list[Acceptance]:
        """Return where too many records could not be parsed."""
        return list(self._over_budget())

    def publish(self, shown: Acceptance, who: str, why: str) -> Tail:
        """Let a partition go on; returns where.

        Args:
            shown: one of `losses` or `budgets`, as a person saw it.
            who: accepts it, for the record.
            why: for the record.

        Raises:
            Fenced: the chain is not where it was when it was shown: nothing was accepted.
            Unavailable: the warehouse does not answer: it may have been accepted; look again.
        """
        committer = self._look.committer(shown.topic, shown.partition, f"accept-loss by {who}")
        tail = committer.open()
        if (tail.era, tail.next_offset) != (shown.era, shown.at):
            raise Fenced(
                f"{shown.topic}/{shown.partition}: another worker went on meanwhile (offset {tail.next_offset} of era "
                f"{tail.era}, shown was {shown.at} of {shown.era}); nothing was accepted: look again"
            )
        why = f"{shown.kind}: {why}"
        if shown.kind == "quarantine":
            return committer.accept_budget(who=who, why=why)
        if not shown.opens_era:
            return committer.accept_loss((shown.first, shown.next), who=who, why=why)
        # The window is kept: what may be quarantined is another question.
        start = StartDraft(shown.resume, shown.topic_id, why, window=tail.window)
        return committer.open_era(start, "loss", shown.at, (shown.first, shown.next), who=who, why=why)

    def _noted(self) -> list[StoppedPartition]:
        return read_stops(Path(self._config.state.dir) / "sink" / "stopped.json")

    def _over_budget(self) -> Iterator[Acceptance]:
        for each in self._found:
            if each.tail is None:
                continue
            options = self._config.for_topic(each.topic).options.quarantine
            found = acceptable_budget(each.tail, Budget(options.max_ratio, options.window))
            if found is not None:
                yield found


def _loss(each: PartitionLook, noted: StoppedPartition | None) -> Acceptance | None:
    """A partition that Kafka does not have stops nobody, so there is nothing to accept."""
    if each.tail is None or each.bounds is None:
        return None
    return acceptable_loss(each.tail, each.bounds, noted)
