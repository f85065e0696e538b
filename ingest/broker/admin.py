"""Questions about topics and the cluster, and making a topic: each opens a connection of its own and closes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka
from kafka.admin import ConfigResource, ConfigResourceType

from ingest.broker.failures import TopicMissing, translate, translated
from ingest.broker.seams import ClientFactory
from ingest.broker.security import Connection
from ingest.errors import Unavailable

DEFAULT_MAX_BATCH = 1_048_588
"""Kafka's own default of max.message.bytes."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the cluster describes it. `id` is empty where the broker is too old to have ids (before 2.8)."""

    name: str
    id: str
    partitions: int


class ClusterAdmin:
    """Every method blocks for at most about `connection.timeout` seconds, or twice that where it waits for a result.

    All raise Unavailable when no broker answers, Refused when one says no.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def topic(self, name: str) -> Topic:
        """Return a topic.

        Raises:
            TopicMissing: there is none of that name.
        """
        with self._client(f"describing topic {name}") as client:
            return self._describe(client, name)

    def cluster_id(self) -> str:
        """Return the id that the cluster was formatted with."""
        with self._client("asking for the cluster's id") as client:
            return str(client.describe_cluster()["cluster_id"])

    def max_batch_bytes(self, topic: str) -> int:
        """Return max.message.bytes: the largest record batch (as compressed, header included) that the topic takes.

        Kafka's default where we are not allowed to ask.
        """
        # All settings: there are brokers that hang up when asked for one by name.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, None)
        with self._client(f"describing topic {topic}") as client:
            self._describe(client, topic)
            answer = client.describe_configs([resource], config_filter="all")
        entry = answer.get("topic", {}).get(topic, {}).get("max.message.bytes")
        return int(entry["value"]) if entry else DEFAULT_MAX_BATCH

    def ensure_topic(self, name: str, partitions: int, replication: int) -> None:
        """Make a topic unless it is there, whatever its shape then; returns when its partitions have leaders.

        Args:
            name: the topic.
            partitions: of a topic that is made, >= 1; -1 leaves it to the broker.
            replication: replicas of each; -1 leaves it to the broker.
        """
        wanted = {name: {"num_partitions": partitions, "replication_factor": replication}}
        with self._client(f"making topic {name}") as client:
            try:
                client.create_topics(wanted, timeout_ms=int(self._connection.timeout * 1000))
            except kafka.TopicAlreadyExistsError:
                return
            client.wait_for_topics([name], timeout_ms=int(self._connection.timeout * 1000))

    @contextmanager
    def _client(self, doing: str) -> Iterator[KafkaAdminClient]:
        where = f"{doing} at {self._connection}"
        factory = ClientFactory()
        timeout_ms = int(self._connection.timeout * 1000)
        with translated(where):
            try:
                client = KafkaAdminClient(
                    kafka_client=factory, request_timeout_ms=timeout_ms, **self._connection.arguments()
                )
            except kafka.KafkaError:
                factory.discard()
                raise
            try:
                yield client
            finally:
                client.close()

    def _describe(self, client: KafkaAdminClient, name: str) -> Topic:
        found: dict[str, Any] = client.describe_topics([name])[0]
        code = found["error_code"]
        if code == kafka.UnknownTopicOrPartitionError.errno:
            raise TopicMissing(name)
        if code:
            where = f"describing topic {name} at {self._connection}"
            raise translate(kafka.for_code(code)(name), where)
        if not found["partitions"]:
            raise Unavailable(f"topic {name} at {self._connection} has no partitions yet")
        return Topic(name, topic_id_text(found.get("topic_id")), len(found["partitions"]))


def topic_id_text(value: uuid.UUID | str | None) -> str:
    """Return a topic's id as 32 hex digits, "" where there is none."""
    if value is None:
        return ""
    identity = value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
    return identity.hex if identity.int else ""
