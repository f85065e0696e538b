"""Questions to Kafka about many partitions, asked few times."""

import threading

import pytest

from ingest.broker.failures import TopicMissing
from ingest.errors import Unavailable
from ingest.sink.loss import Bounds
from ingest.testing.clock import ManualClock
from ingest.wiring.logs import Logs


class Consumer:
    def __init__(self):
        self.asked = []
        self.missing = False
        self.hold = None

    def beginning_offsets(self, pairs):
        self.asked.append(list(pairs))
        if self.hold is not None:
            assert self.hold.wait(10)
        return dict.fromkeys(pairs, 3)

    def end_offsets(self, pairs):
        return {pair: 100 + pair[1] for pair in pairs}

    def topic_id(self, topic):
        if self.missing:
            raise TopicMissing(topic)
        return "id"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def consumer():
    return Consumer()


@pytest.fixture
def logs(consumer, clock):
    return Logs(consumer, clock.monotonic)


def test_one_question_serves_all_partitions_of_a_topic(logs, consumer):
    found = [logs.of("t", partition) for partition in range(3)]
    other = logs.of("u", 0)
    assert [each.bounds(2.0) for each in found] == [Bounds(3, 100 + partition, "id") for partition in range(3)]
    assert consumer.asked == [[("t", 0), ("t", 1), ("t", 2)]]
    other.bounds(2.0)
    assert consumer.asked[1:] == [[("u", 0)]]


def test_an_answer_that_is_too_old_is_asked_for_again(logs, consumer, clock):
    log = logs.of("t", 0)
    log.bounds(2.0)
    clock.advance(1.5)
    log.bounds(2.0)
    assert len(consumer.asked) == 1
    log.bounds(1.0)
    assert len(consumer.asked) == 2
    clock.advance(0.1)
    log.bounds(0.0)
    assert len(consumer.asked) == 3


def test_a_partition_that_came_since_is_asked_for_and_one_that_went_is_not(logs, consumer):
    logs.of("t", 0).bounds(2.0)
    logs.of("t", 1).bounds(2.0)
    logs.forget("t", 0)
    logs.of("t", 2).bounds(2.0)
    assert consumer.asked == [[("t", 0)], [("t", 0), ("t", 1)], [("t", 1), ("t", 2)]]


def test_who_asks_while_another_asks_gets_its_answer(logs, consumer):
    consumer.hold = threading.Event()
    pair = [logs.of("t", 0), logs.of("t", 1)]
    found = []
    threads = [threading.Thread(target=lambda log=log: found.append(log.bounds(2.0))) for log in pair]
    for thread in threads:
        thread.start()
    consumer.hold.set()
    for thread in threads:
        thread.join(10)
    assert (len(found), len(consumer.asked)) == (2, 1)


def test_a_topic_that_is_gone_has_no_bounds_for_now_and_no_id(logs, consumer):
    log = logs.of("t", 0)
    consumer.missing = True
    with pytest.raises(Unavailable, match='no topic "t"'):
        log.bounds(2.0)
    assert log.topic_id() == ""
