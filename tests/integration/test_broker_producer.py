"""Lines into a real Kafka: what is acknowledged is there, once, in order."""

import contextlib
import itertools

import pytest

from ingest.broker.failures import ProducerBroken, TopicMissing
from ingest.broker.producer import KafkaLineProducer, LineTooLarge
from ingest.broker.security import Connection
from ingest.broker.wire.headers import flag_value, position_value
from ingest.errors import Unavailable
from tests.builders.broker import TIMEOUT, Acks, connection, make_topic, new_name, read_back
from tests.builders.lines import TRUNCATED, line_block, numbered, stream
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka


@contextlib.contextmanager
def producer_for(server, **options):
    producer = KafkaLineProducer(connection(server), **options)
    try:
        yield producer
    finally:
        producer.close(TIMEOUT)


def expected(segments):
    """(value, headers) of each record that segments become."""
    rows = []
    for block, source in segments:
        for row in range(block.rows):
            start, end = int(block.positions[row]), int(block.positions[row + 1])
            headers = [("ingest-pos", position_value(block.stream.generation, start, end))]
            if row == 0:
                headers.append(("ingest-src", source))
            if row in block.flags:
                headers.append(("ingest-flags", flag_value(block.flags[row])))
            rows.append((block.data[block.starts[row] : block.ends[row]], headers))
    return rows


def found(records):
    return [(record.value, record.headers) for record in records]


def positions(records):
    return [
        (int.from_bytes(value[8:16], "big"), int.from_bytes(value[16:], "big"))
        for record in records
        for name, value in record.headers
        if name == "ingest-pos"
    ]


@pytest.mark.parametrize("columnar", [True, False], ids=["columnar", "reference"])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_read_back_with_their_headers_by_an_ordinary_consumer(kafka, codec, columnar):
    topic = make_topic(kafka)
    first = line_block([b"a" * 300, b"", b"caf\xc3\xa9\r", b"\xff\x00"] * 50, flags={2: TRUNCATED})
    second = line_block([b"x", b"y"], begin=4096, of=stream(7, "stdin"))
    segments = [(first, b'{"generation":"fedc"}'), (second, b'{"generation":"7"}')]
    acks = Acks()
    with producer_for(kafka, compression=codec, columnar=columnar) as producer:
        producer.send(topic, 0, segments, acks.of("one"))
        acks.wait(1)
    records = read_back(kafka, topic)
    assert found(records) == expected(segments)
    assert acks.calls == [("one", None)]


@pytest.mark.parametrize("known", [True, False], ids=["limit known", "limit not known"])
def test_batches_too_large_for_the_topic_are_cut_and_every_line_arrives_once_in_order(kafka, known):
    topic = make_topic(kafka, max_message_bytes=4000)
    acks = Acks()
    with producer_for(kafka) as producer:
        if known:
            assert 0 < producer.max_record_bytes(topic) < 4000
        for number in range(5):
            producer.send(topic, 0, [(numbered(200, begin=number * 20200), b"{}")], acks.of(number))
        acks.wait(5)
        assert producer.inflight_bytes == 0
    assert acks.calls == [(number, None) for number in range(5)]
    records = read_back(kafka, topic)
    assert len(records) == 1000
    assert positions(records) == list(itertools.pairwise(range(0, 101_001, 101)))
    sources = [record for record in records if any(name == "ingest-src" for name, _ in record.headers)]
    assert len(sources) > 5


def test_a_line_that_no_cut_can_save_is_named_and_breaks_the_producer(kafka):
    topic = make_topic(kafka, max_message_bytes=2000)
    acks = Acks()
    with producer_for(kafka) as producer:
        producer.send(topic, 0, [(numbered(1, begin=10), b"{}")], acks.of("small"))
        acks.wait(1)
        kafka.suspend()
        producer.send(topic, 0, [(numbered(1, width=9000, begin=500), b"{}")], acks.of("large"))
        producer.send(topic, 0, [(numbered(1, begin=9501), b"{}")], acks.of("behind"))
        kafka.resume()
        acks.wait(3)
        assert acks.names == ["small", "large", "behind"]
        (_, small), (_, large), (_, behind) = acks.calls
        assert small is None
        assert isinstance(large, LineTooLarge)
        for part in (topic, "partition 0", "position 500", "fedcba9876543210", "max.message.bytes"):
            assert part in str(large)
        assert isinstance(behind, ProducerBroken)
        assert producer.broken
        assert producer.failure is large
        with pytest.raises(ProducerBroken):
            producer.send(topic, 0, [(numbered(1), b"{}")], acks.of("after"))
    assert len(read_back(kafka, topic)) == 1


def test_everything_sent_while_the_broker_is_killed_and_restarted_arrives_once_in_order(tmp_path):
    with KafkaServer(tmp_path / "own") as server:
        topic = make_topic(server, partitions=2)
        acks = Acks()
        with producer_for(server, request_timeout=5.0) as producer:
            for number in range(20):
                producer.send(topic, number % 2, [(numbered(500, begin=number * 50500), b"{}")], acks.of(number))
            acks.wait(3)
            server.kill()
            for number in range(20, 40):
                producer.send(topic, number % 2, [(numbered(500, begin=number * 50500), b"{}")], acks.of(number))
            assert not producer.flush(0.5)
            server.start()
            acks.wait(40)
        assert acks.errors == []
        for partition in (0, 1):
            records = read_back(server, topic, partition)
            sent = [
                (number * 50500 + at, number * 50500 + at + 101)
                for number in range(partition, 40, 2)
                for at in range(0, 50500, 101)
            ]
            assert positions(records) == sent
            assert [name for name in acks.names if name % 2 == partition] == list(range(partition, 40, 2))


def test_a_quota_slows_down_and_loses_nothing(kafka):
    topic = make_topic(kafka)
    quota = ["--alter", "--entity-type", "clients", "--entity-default"]
    kafka.tool("kafka.admin.ConfigCommand", *quota, "--add-config", "producer_byte_rate=300000")
    try:
        producer = KafkaLineProducer(connection(kafka), compression="none")
        acks = Acks()
        position, sends = 0, 40
        for number in range(sends):
            block = line_block([b"x" * 990] * 50, begin=position)
            position = block.end
            producer.send(topic, 0, [(block, b"{}")], acks.of(number))
        acks.wait(sends)
        producer.close(TIMEOUT)
    finally:
        kafka.tool("kafka.admin.ConfigCommand", *quota, "--delete-config", "producer_byte_rate")

    assert (acks.names, acks.errors) == (list(range(sends)), [])
    assert len(read_back(kafka, topic)) == 50 * sends


def test_closing_with_no_broker_tells_every_send_that_it_was_not_acknowledged(tmp_path):
    with KafkaServer(tmp_path / "own") as server:
        topic = make_topic(server)
        acks = Acks()
        producer = KafkaLineProducer(connection(server))
        producer.send(topic, 0, [(numbered(3), b"{}")], acks.of("before"))
        acks.wait(1)
        server.kill()
        for number in range(3):
            producer.send(topic, 0, [(numbered(3), b"{}")], acks.of(number))
        assert producer.inflight_bytes == 900
        producer.close(0.0)
    acks.wait(4)
    assert sorted(map(str, acks.names)) == ["0", "1", "2", "before"]
    assert [type(error) for error in acks.errors] == [ProducerBroken] * 3


def test_no_broker_at_start_is_unavailable_and_leaves_nothing_open():
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1\b"):
        KafkaLineProducer(Connection(("127.0.0.1:1",), timeout=0.5))


def test_topics_are_made_once_and_a_missing_one_is_named_with_what_to_do(kafka):
    topic = new_name("made")
    with producer_for(kafka) as producer:
        with pytest.raises(TopicMissing, match="create_topics = true"):
            producer.partitions(topic)
        producer.ensure_topic(topic, 3)
        producer.ensure_topic(topic, 5)
        assert producer.partitions(topic) == 3
        assert len(producer.topic_id(topic)) == 32
        assert producer.cluster_id()
        assert 1_000_000 < producer.max_record_bytes(topic) < 1_048_588


def test_contact_with_the_broker_ages_while_it_hangs_and_is_young_again_after(tmp_path):
    with KafkaServer(tmp_path / "own") as server, producer_for(server) as producer:
        topic = make_topic(server)
        acks = Acks()
        producer.send(topic, 0, [(numbered(3), b"{}")], acks.of(0))
        acks.wait(1)
        assert producer.contact_age() < 5
        server.suspend()
        producer.send(topic, 0, [(numbered(3), b"{}")], acks.of(1))
        while producer.contact_age() < 1:
            assert not producer.flush(0.1)
        server.resume()
        acks.wait(2)
        assert producer.contact_age() < 1
        assert acks.errors == []
