"""What Kafka says of topics and their logs, asked from outside of any group: nothing is joined, nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.protocol.consumer import IsolationLevel

from ingest.broker.admin import ClusterAdmin, Topic, topic_id_text
from ingest.broker.membership import pattern_of
from ingest.broker.rebalance import Pair


class ClusterLook(ClusterAdmin):
    """Questions about many topics and partitions at once; errors and time as of `ClusterAdmin`."""

    def topics(self, names: Sequence[str], patterns: Sequence[str]) -> dict[str, Topic]:
        """Return the topics that a consumer with these names and patterns would find, by name; missing ones not.

        Brokers' own topics are found by name alone, as by a consumer.
        """
        pattern = re.compile(pattern_of(names, patterns) or r"(?!)")
        with self._client("listing topics") as client:
            described: list[dict[str, Any]] = client.describe_topics(None)
        found = {}
        for one in described:
            name, count = one["name"], len(one["partitions"])
            chosen = name in names or (pattern.match(name) and not one.get("is_internal"))
            if chosen and not one["error_code"] and count:
                found[name] = Topic(name, topic_id_text(one.get("topic_id")), count)
        return found

    def log_bounds(self, partitions: Collection[Pair]) -> dict[Pair, tuple[int, int]]:
        """Return each partition's first offset, and the end that a reader of committed records may reach (exclusive).

        Args:
            partitions: (topic, partition) pairs that exist.
        """
        if not partitions:
            return {}
        targets = [TopicPartition(*pair) for pair in partitions]
        with self._client(f"asking for the offsets of {len(targets)} partitions") as client:
            firsts = client.list_partition_offsets(dict.fromkeys(targets, OffsetSpec.EARLIEST))
            ends = client.list_partition_offsets(
                dict.fromkeys(targets, OffsetSpec.LATEST), isolation_level=IsolationLevel.READ_COMMITTED
            )
        return {(target.topic, target.partition): (firsts[target].offset, ends[target].offset) for target in targets}

    def group_offsets(self, group: str, partitions: Collection[Pair]) -> dict[Pair, int]:
        """Return what a consumer group was told of partitions; those it was told nothing of are left out."""
        if not partitions:
            return {}
        targets = [TopicPartition(*pair) for pair in partitions]
        with self._client(f"asking for the offsets of group {group}") as client:
            told = client.list_group_offsets({group: targets}).get(group, {})
        return {(target.topic, target.partition): at.offset for target, at in told.items() if at.offset >= 0}
