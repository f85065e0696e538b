"""Joining a group in small steps: a poll that runs out of time must not lose what the one before began."""

import time

import pytest

from ingest.broker.admin import ClusterAdmin
from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.membership import GroupOptions
from tests.builders.broker import TIMEOUT, connection, new_name

pytestmark = pytest.mark.kafka


def test_a_join_that_takes_longer_than_a_poll_is_not_forgotten(kafka):
    topics = [new_name("step") for _ in range(4)]
    consumer = KafkaBlockConsumer(connection(kafka), GroupOptions(new_name("group"), "worker-1"))
    try:
        consumer.subscribe(topics, [], lambda pairs: None, lambda pairs: None, lambda pairs: None)
        for count, topic in enumerate(topics, 1):
            ClusterAdmin(connection(kafka)).ensure_topic(topic, 1, 1)
            deadline = time.monotonic() + TIMEOUT
            while len(consumer.assignment()) < count:
                assert time.monotonic() < deadline, f"{count - 1} of {len(topics)}"
                consumer.poll(0.002)
    finally:
        consumer.close()
