"""The real broker that the other tests lean on."""

import pytest

from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka


def test_the_shared_broker_answers(kafka):
    assert kafka.alive
    assert kafka.bootstrap.startswith("127.0.0.1:")


def test_a_broker_that_cannot_start_says_why(kafka, tmp_path):
    server = KafkaServer(tmp_path / "broken", properties={"offsets.topic.replication.factor": "not a number"})
    with pytest.raises(RuntimeError, match=r"offsets\.topic\.replication\.factor"):
        server.start()
    assert not server.alive
