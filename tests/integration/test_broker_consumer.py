"""Columns out of a real Kafka, as a member of a group."""

import contextlib
import logging
import threading
import time

import pytest
from kafka import KafkaProducer, TopicPartition

from ingest.broker.admin import ClusterAdmin
from ingest.broker.consumer import KafkaBlockConsumer
from ingest.broker.failures import ConsumerFenced, TopicMissing
from ingest.broker.membership import FetchOptions, GroupOptions
from ingest.broker.producer import KafkaLineProducer
from ingest.broker.security import Connection
from ingest.broker.wire import CorruptBatch, concat
from ingest.errors import DataLoss, Unavailable
from tests.builders.broker import TIMEOUT, Acks, admin, connection, make_topic, new_name, read_back
from tests.builders.lines import TRUNCATED, line_block, numbered, stream
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka


class Member:
    """A consumer with an owner that places each partition where `start` says and writes down what happens."""

    def __init__(self, server, topics, *, start=0, group=None, patterns=(), columnar=True, fetch=None, **options):
        self.start = start
        self.events = []
        self.blocks = []
        self.problems = []
        options = GroupOptions(group or new_name("group"), **{"session_timeout": 6.0, **options})
        self.consumer = KafkaBlockConsumer(connection(server), options, fetch, columnar=columnar)
        self.thread = threading.current_thread()
        self.consumer.subscribe(topics, list(patterns), self.on_assign, self.on_revoke, self.on_lost)

    def on_assign(self, pairs):
        self._note("assign", pairs)
        for topic, partition in pairs:
            offset = self.start.get((topic, partition)) if isinstance(self.start, dict) else self.start
            if offset is not None:
                self.consumer.seek(topic, partition, offset)

    def on_revoke(self, pairs):
        self._note("revoke", pairs)

    def on_lost(self, pairs):
        self._note("lost", pairs)

    def _note(self, what, pairs):
        assert threading.current_thread() is self.thread
        self.events.append((what, pairs))

    def poll(self, seconds=0.2):
        blocks, problems = self.consumer.poll(seconds)
        self.blocks += blocks
        self.problems += problems

    def poll_until(self, met):
        deadline = time.monotonic() + TIMEOUT
        while not met():
            assert time.monotonic() < deadline, (self.events, self.next_offsets(), self.problems)
            self.poll()

    def next_offsets(self):
        return {(block.topic, block.partition): block.next_offset for block in self.blocks}

    def of(self, topic, partition=0):
        return concat([block for block in self.blocks if (block.topic, block.partition) == (topic, partition)])

    def assigned(self):
        return [pair for what, pairs in self.events if what == "assign" for pair in pairs]


@contextlib.contextmanager
def member(server, topics, **options):
    made = Member(server, topics, **options)
    try:
        yield made
    finally:
        made.consumer.close()


def produce_lines(server, topic, segments, partition=0, codec="lz4"):
    producer = KafkaLineProducer(connection(server), compression=codec)
    acks = Acks()
    for segment in segments:
        producer.send(topic, partition, [segment], acks.of(0))
    acks.wait(len(segments))
    producer.close(TIMEOUT)
    assert acks.errors == []


def produce_values(server, topic, values, partition=0, **options):
    with contextlib.closing(KafkaProducer(bootstrap_servers=server.bootstrap, **options)) as producer:
        for value in values:
            producer.send(topic, value, partition=partition)
        producer.flush(TIMEOUT)


def delete_before(server, topic, offset, partition=0):
    with admin(server) as client:
        client.delete_records({TopicPartition(topic, partition): offset})


@pytest.mark.parametrize("columnar", [True, False], ids=["columnar", "reference"])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_blocks_hold_what_an_ordinary_consumer_reads(kafka, codec, columnar):
    topic = make_topic(kafka)
    flagged = line_block([b"a" * 300, b"", b"caf\xc3\xa9\r", b"\xff\x00"] * 50, flags={2: TRUNCATED})
    other = numbered(300, begin=4096, of=stream(7, "stdin"))
    produce_lines(kafka, topic, [(flagged, b'{"generation":"fedc"}'), (other, b'{"generation":"7"}')], codec=codec)
    with contextlib.closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as plain:
        plain.send(topic, None, key=b"gone", partition=0)
        plain.send(topic, b"v", headers=[("foreign", b"x"), ("ingest-pos", b"short")], partition=0)
        plain.flush(TIMEOUT)
    with member(kafka, [topic], columnar=columnar) as reader:
        reader.poll_until(lambda: reader.next_offsets().get((topic, 0)) == 502)
        block = reader.of(topic)
    records = read_back(kafka, topic)
    assert block.values.to_pylist() == [record.value for record in records]
    assert block.offsets.tolist() == [record.offset for record in records] == list(range(502))
    assert block.timestamps.tolist() == [record.timestamp for record in records]
    assert block.keys.to_pylist() == [record.key for record in records]
    assert block.identity.present.tolist() == [True] * 500 + [False] * 2
    assert block.identity.start[:500].tolist() == [*flagged.positions[:-1], *other.positions[:-1]]
    assert block.identity.end[:500].tolist() == [*flagged.positions[1:], *other.positions[1:]]
    assert set(block.identity.generation[:500].tolist()) == {0xFEDCBA9876543210, 7}
    assert block.sources == {0: b'{"generation":"fedc"}', 200: b'{"generation":"7"}'}
    assert block.flags == {2: dict(records[2].headers)["ingest-flags"]}
    assert block.leader_epoch == 0


def test_reading_begins_in_the_middle_of_a_batch_where_seek_says(kafka):
    topic = make_topic(kafka)
    produce_lines(kafka, topic, [(numbered(100), b"{}")])
    with member(kafka, [topic], start=37) as reader:
        reader.poll_until(lambda: reader.next_offsets())
        assert reader.of(topic).offsets.tolist() == list(range(37, 100))
        reader.blocks.clear()
        reader.consumer.seek(topic, 0, 98, 0)
        reader.poll_until(lambda: reader.next_offsets())
        assert reader.of(topic).offsets.tolist() == [98, 99]


def test_joining_reading_and_leaving_at_once_logs_nothing(kafka, caplog):
    topic = make_topic(kafka)
    produce_lines(kafka, topic, [(numbered(10), b"{}")])
    for _ in range(5):
        with member(kafka, [topic]) as reader:
            reader.poll_until(lambda reader=reader: reader.next_offsets())
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_partition_stands_still_until_it_is_placed_whatever_the_group_has_stored(kafka):
    topic, group = make_topic(kafka), new_name("group")
    produce_lines(kafka, topic, [(numbered(10), b"{}")])
    with member(kafka, [topic], group=group) as first:
        first.poll_until(lambda: first.next_offsets())
        first.consumer.commit({(topic, 0): 7}, wait=TIMEOUT)
        assert first.consumer.commit_error is None
    with member(kafka, [topic], group=group, start=None) as second:
        second.poll_until(lambda: second.events)
        for _ in range(3):
            second.poll()
        second.consumer.resume([(topic, 0)])
        second.poll()
        assert second.blocks == []
        second.consumer.seek(topic, 0, 2)
        second.poll_until(lambda: second.blocks)
        assert second.of(topic).offsets.tolist() == list(range(2, 10))


def test_a_paused_partition_gives_nothing_until_it_is_resumed_also_after_a_seek(kafka):
    topic = make_topic(kafka, partitions=2)
    for partition in (0, 1):
        produce_lines(kafka, topic, [(numbered(10), b"{}")], partition)
    with member(kafka, [topic], start=None) as reader:
        reader.poll_until(lambda: reader.events)
        reader.consumer.pause([(topic, 0)])
        for partition in (0, 1):
            reader.consumer.seek(topic, partition, 0)
        reader.poll_until(lambda: (topic, 1) in reader.next_offsets())
        reader.poll()
        assert reader.consumer.paused() == {(topic, 0)}
        assert (topic, 0) not in reader.next_offsets()
        reader.consumer.resume([(topic, 0)])
        reader.poll_until(lambda: (topic, 0) in reader.next_offsets())
        assert reader.of(topic).rows == reader.of(topic, 1).rows == 10


@pytest.mark.parametrize("columnar", [True, False], ids=["columnar", "reference"])
def test_aborted_transactions_are_left_out_and_their_offsets_accounted_for(kafka, columnar):
    topic = make_topic(kafka)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=new_name("transaction"))
    producer.init_transactions()
    for values, commit in (([b"a", b"b"], True), ([b"no"] * 3, False), ([b"c"], True), ([b"no"], False)):
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value, partition=0)
        producer.flush(TIMEOUT)
        (producer.commit_transaction if commit else producer.abort_transaction)()
    producer.close()
    with member(kafka, [topic], columnar=columnar) as reader:
        reader.poll_until(lambda: reader.next_offsets().get((topic, 0)) == 11)
        assert reader.of(topic).values.to_pylist() == [b"a", b"b", b"c"]
        assert reader.of(topic).offsets.tolist() == [0, 1, 7]
        assert reader.consumer.end_offsets([(topic, 0)]) == {(topic, 0): 11}
        reader.blocks.clear()
        reader.consumer.seek(topic, 0, 8)
        reader.poll_until(lambda: reader.blocks)
        assert reader.of(topic).rows == 0
        assert reader.of(topic).next_offset == 11


@pytest.mark.parametrize("columnar", [True, False], ids=["columnar", "reference"])
def test_offsets_deleted_before_they_were_read_stop_their_partition_and_no_other(kafka, columnar):
    topic = make_topic(kafka, partitions=2)
    for partition in (0, 1):
        produce_lines(kafka, topic, [(numbered(20), b"{}")], partition)
    delete_before(kafka, topic, 15)
    with member(kafka, [topic], start={(topic, 0): 4, (topic, 1): 0}, columnar=columnar) as reader:
        reader.poll_until(lambda: reader.problems and (topic, 1) in reader.next_offsets())
        (problem,) = reader.problems
        assert (problem.topic, problem.partition) == (topic, 0)
        assert isinstance(problem.error, DataLoss)
        assert (problem.error.kind, problem.error.first, problem.error.next) == ("retention", 4, 15)
        produce_lines(kafka, topic, [(numbered(5), b"{}")], 1)
        reader.poll_until(lambda: reader.next_offsets()[topic, 1] == 25)
        assert len(reader.problems) == 1
        assert (topic, 0) not in reader.next_offsets()
        reader.consumer.seek(topic, 0, 15)
        reader.poll_until(lambda: (topic, 0) in reader.next_offsets())
        assert reader.of(topic).offsets.tolist() == list(range(15, 20))


def test_a_corrupt_batch_stops_its_partition_at_that_batch_and_no_other(kafka):
    topic = make_topic(kafka, partitions=2)
    for partition in (0, 1):
        produce_lines(kafka, topic, [(numbered(10), b"{}"), (numbered(10, begin=1010), b"{}")], partition)
    (segment,) = (kafka.directory / "data" / f"{topic}-0").glob("*.log")
    with segment.open("r+b") as log:
        log.seek(-20, 2)
        byte = log.read(1)
        log.seek(-20, 2)
        log.write(bytes([byte[0] ^ 1]))
    with member(kafka, [topic]) as reader:
        reader.poll_until(lambda: reader.problems and reader.next_offsets().get((topic, 1)) == 20)
        (problem,) = reader.problems
        assert isinstance(problem.error, CorruptBatch)
        assert (problem.partition, problem.error.base_offset) == (0, 10)
        assert reader.of(topic).offsets.tolist() == list(range(10))
        produce_lines(kafka, topic, [(numbered(5), b"{}")], 1)
        reader.poll_until(lambda: reader.next_offsets()[topic, 1] == 25)
        assert len(reader.problems) == 1


def test_a_log_that_ends_before_the_next_offset_is_a_loss_that_went_back(kafka):
    topic = make_topic(kafka)
    produce_lines(kafka, topic, [(numbered(3), b"{}")])
    with member(kafka, [topic], start=50) as reader:
        reader.poll_until(lambda: reader.problems)
        assert (reader.problems[0].error.kind, reader.problems[0].error.first) == ("went back", 3)


def test_a_leader_epoch_that_the_log_does_not_know_is_a_truncation(kafka):
    topic = make_topic(kafka)
    produce_lines(kafka, topic, [(numbered(10), b"{}")])
    with member(kafka, [topic], start=None) as reader:
        reader.poll_until(lambda: reader.events)
        reader.consumer.seek(topic, 0, 5, 9)
        reader.poll_until(lambda: reader.problems)
        assert reader.problems[0].error.kind == "truncated"
        assert reader.blocks == []
        reader.poll()
        assert reader.blocks == []


def test_a_static_member_that_was_killed_gets_its_partitions_back_at_once(kafka):
    topic, group = make_topic(kafka, partitions=2), new_name("group")
    options = {"group": group, "member": "worker-1", "session_timeout": 30.0}
    gone = Member(kafka, [topic], **options)
    gone.poll_until(lambda: gone.events)
    gone.consumer.close()
    began = time.monotonic()
    with member(kafka, [topic], **options) as back:
        back.poll_until(lambda: len(back.assigned()) == 2)
    assert time.monotonic() - began < 20


def test_a_static_member_that_comes_back_gets_what_was_made_while_it_was_away(kafka):
    early, late, group = make_topic(kafka, partitions=2), new_name("late"), new_name("group")
    with member(kafka, [early, late], group=group, member="a", session_timeout=30.0) as before:
        before.poll_until(lambda: len(before.assigned()) == 2)
    ClusterAdmin(connection(kafka)).ensure_topic(late, 2, 1)

    with member(kafka, [early, late], group=group, member="a", returning=True, session_timeout=30.0) as after:
        after.poll_until(lambda: len(after.assigned()) == 4 and after.consumer.settled())
        assert {early, late} == {topic for topic, _ in after.assigned()}


def test_a_member_whose_name_another_takes_is_fenced(kafka):
    topic, group = make_topic(kafka), new_name("group")
    first = Member(kafka, [topic], group=group, member="worker-1", session_timeout=1.5)
    first.poll_until(lambda: first.events)
    with member(kafka, [topic], group=group, member="worker-1", session_timeout=1.5) as second:
        second.poll_until(lambda: second.events)
        with pytest.raises(ConsumerFenced, match="state directory"):
            first.poll_until(lambda: False)
        first.consumer.close()
        produce_lines(kafka, topic, [(numbered(3), b"{}")])
        second.poll_until(lambda: second.blocks)


@pytest.mark.parametrize("cooperative", [True, False], ids=["cooperative", "eager"])
def test_partitions_move_to_a_new_member_and_back_without_loss(kafka, cooperative):
    topic, group = make_topic(kafka, partitions=4), new_name("group")
    for partition in range(4):
        produce_lines(kafka, topic, [(numbered(10), b"{}")], partition)
    everything = {(topic, partition) for partition in range(4)}
    with member(kafka, [topic], group=group, cooperative=cooperative) as first:
        first.poll_until(lambda: first.next_offsets().keys() == everything)
        assert first.events == [("assign", sorted(everything))]
        second = Member(kafka, [topic], group=group, cooperative=cooperative)
        polling = threading.Event()

        def poll_second():
            second.thread = threading.current_thread()
            while not polling.is_set():
                second.poll()

        thread = threading.Thread(target=poll_second)
        thread.start()
        try:
            first.poll_until(lambda: len(first.consumer.assignment()) == 2 and len(second.consumer.assignment()) == 2)
            assert first.consumer.assignment() | second.consumer.assignment() == everything
            revoked = [pair for what, pairs in first.events if what == "revoke" for pair in pairs]
            assert set(revoked) == (second.consumer.assignment() if cooperative else everything)
        finally:
            polling.set()
            thread.join()
        second.consumer.close()
        first.poll_until(lambda: first.consumer.assignment() == everything)


def test_calls_to_kafka_work_inside_the_callbacks_and_their_errors_come_out_of_poll(kafka):
    topic = make_topic(kafka)
    produce_lines(kafka, topic, [(numbered(10), b"{}")])
    with member(kafka, [topic]) as reader:
        seen = {}

        def ask(pairs):
            seen["bounds"] = reader.consumer.beginning_offsets(pairs), reader.consumer.end_offsets(pairs)
            seen["id"] = reader.consumer.topic_id(topic, max_age=0)
            reader.consumer.commit({(topic, 0): 3}, wait=TIMEOUT)
            reader.consumer.seek(topic, 0, 3)
            raise LookupError("mine")

        reader.on_assign = ask
        reader.consumer.subscribe([topic], [], ask, reader.on_revoke, reader.on_lost)
        with pytest.raises(LookupError, match="mine"):
            reader.poll_until(lambda: False)
        assert seen["bounds"] == ({(topic, 0): 0}, {(topic, 0): 10})
        assert len(seen["id"]) == 32
        reader.poll_until(lambda: reader.blocks)
        assert reader.of(topic).offsets.tolist() == list(range(3, 10))


def test_patterns_and_names_together_find_topics_that_exist_and_that_come_later(kafka):
    prefix = new_name("find")
    named, other = make_topic(kafka), make_topic(kafka)
    with admin(kafka) as client:
        client.create_topics({f"{prefix}.a": {"num_partitions": 1, "replication_factor": 1}})
    with member(kafka, [named], patterns=[f"^{prefix}\\..*"]) as reader:
        reader.poll_until(lambda: set(reader.assigned()) == {(named, 0), (f"{prefix}.a", 0)})
        assert reader.consumer.cluster_id()
        with pytest.raises(TopicMissing):
            reader.consumer.topic_id("missing-topic")
        assert (other, 0) not in reader.assigned()


def test_fetch_sizes_bound_what_one_poll_returns(kafka):
    topic = make_topic(kafka, partitions=2)
    for partition in (0, 1):
        produce_lines(kafka, topic, [(numbered(1000, begin=n * 101_000), b"{}") for n in range(10)], partition, "none")
    with member(kafka, [topic], fetch=FetchOptions(total_bytes=400_000, partition_bytes=200_000)) as reader:
        largest = 0
        while sum(block.rows for block in reader.blocks) < 20_000:
            before = len(reader.blocks)
            reader.poll()
            largest = max(largest, sum(block.values.nbytes for block in reader.blocks[before:]))
        assert 0 < largest < 500_000
        assert reader.of(topic).rows == reader.of(topic, 1).rows == 10_000


@pytest.mark.slow
def test_while_the_broker_is_gone_polls_return_nothing_and_then_go_on(tmp_path):
    with KafkaServer(tmp_path / "own") as server:
        topic = make_topic(server)
        produce_lines(server, topic, [(numbered(10), b"{}")])
        with member(server, [topic], member="worker-1") as reader:
            reader.poll_until(lambda: reader.blocks)
            assert reader.consumer.contact_age() < 5
            server.kill()
            while reader.consumer.contact_age() < 2:
                reader.poll()
            began = time.monotonic()
            calls = 0
            while time.monotonic() < began + 1:
                reader.poll()
                calls += 1
            assert calls < 20
            with pytest.raises(Unavailable):
                KafkaBlockConsumer(Connection((server.bootstrap,), timeout=0.5), GroupOptions("other"))
            server.start()
            produce_lines(server, topic, [(numbered(10), b"{}")])
            reader.poll_until(lambda: reader.next_offsets()[topic, 0] == 20)
            assert reader.of(topic).offsets.tolist() == list(range(20))
            assert reader.problems == []
            # The restart began a new leader epoch at 10: who read up to 15 in the old one read what is not there.
            reader.blocks.clear()
            reader.consumer.seek(topic, 0, 15, 0)
            reader.poll_until(lambda: reader.problems)
            assert (reader.problems[0].error.kind, reader.problems[0].error.first) == ("truncated", 10)
            assert reader.blocks == []
