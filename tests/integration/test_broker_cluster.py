"""Three brokers: leaders that are killed in the midst of it."""

import itertools

import pytest

from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.membership import GroupOptions
from ingest.broker.producer import KafkaLineProducer
from ingest.broker.security import Connection
from tests.builders.broker import TIMEOUT, Acks, admin, new_name
from tests.builders.lines import numbered
from tests.servers.kafka_cluster import KafkaCluster
from tests.servers.plugin import require_servers

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

BATCHES, ROWS = 60, 50


@pytest.fixture(scope="module")
def cluster():
    require_servers()
    with KafkaCluster(3) as made:
        yield made


def replicated(cluster):
    name = new_name("replicated")
    with admin(cluster) as client:
        client.create_topics({name: {"num_partitions": 1, "replication_factor": 3}})
        client.wait_for_topics([name])
    return name


def leader(cluster, topic):
    """Return the node that leads the topic's partition."""
    with admin(cluster) as client:
        (found,) = client.describe_topics([topic])
    return cluster.nodes[found["partitions"][0]["leader_id"] - 1]


def connection(cluster):
    return Connection(tuple(cluster.bootstrap.split(",")), timeout=30.0)


def read_all(cluster, topic, count):
    """Return the offsets and positions that the product's own consumer reads."""
    consumer = KafkaBlockConsumer(connection(cluster), GroupOptions(new_name("group"), session_timeout=6.0))
    blocks = []
    try:
        consumer.subscribe(
            [topic], [], lambda pairs: [consumer.seek(*pair, 0) for pair in pairs], lambda _: None, lambda _: None
        )
        for _ in itertools.count():
            found, problems = consumer.poll(0.2)
            assert problems == []
            blocks += found
            if sum(block.rows for block in blocks) >= count:
                return blocks
    finally:
        consumer.close()
    return blocks


def test_every_line_is_there_once_and_in_order_though_its_leaders_are_killed(cluster):
    topic = replicated(cluster)
    producer = KafkaLineProducer(connection(cluster))
    acks = Acks()
    position = 0
    for number in range(BATCHES):
        block = numbered(ROWS, begin=position)
        position = block.end
        producer.send(topic, 0, [(block, b"{}")], acks.of(number))
        if number % 20 == 10:
            acks.wait(number - 5)
            killed = leader(cluster, topic)
            killed.kill()
            acks.wait(number + 1)
            killed.start()
    acks.wait(BATCHES)
    producer.close(TIMEOUT)

    assert acks.errors == []
    assert acks.names == list(range(BATCHES))
    blocks = read_all(cluster, topic, BATCHES * ROWS)
    starts = [int(start) for block in blocks for start in block.identity.start]
    assert starts == sorted(starts)
    assert len(set(starts)) == BATCHES * ROWS
    assert len(starts) == BATCHES * ROWS


def test_a_reader_goes_on_at_the_next_leader(cluster):
    topic = replicated(cluster)
    producer = KafkaLineProducer(connection(cluster))
    acks = Acks()
    consumer = KafkaBlockConsumer(connection(cluster), GroupOptions(new_name("group"), session_timeout=6.0))
    offsets, epochs = [], set()

    def read(until):
        while len(offsets) < until:
            blocks, problems = consumer.poll(0.2)
            assert problems == []
            for block in blocks:
                offsets.extend(block.offsets.tolist())
                epochs.add(block.leader_epoch)

    try:
        consumer.subscribe(
            [topic], [], lambda pairs: [consumer.seek(*pair, 0) for pair in pairs], lambda _: None, lambda _: None
        )
        first = numbered(ROWS)
        producer.send(topic, 0, [(first, b"{}")], acks.of(0))
        read(ROWS)
        killed = leader(cluster, topic)
        killed.kill()
        producer.send(topic, 0, [(numbered(ROWS, begin=first.end), b"{}")], acks.of(1))
        read(2 * ROWS)
        killed.start()
    finally:
        consumer.close()
        producer.close(TIMEOUT)

    assert offsets == list(range(2 * ROWS))
    assert len(epochs) > 1
