"""What tests against a real broker need: topics of their own, an independent reader, acknowledgements to wait for."""

import contextlib
import itertools
import threading

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from ingest.broker.security import Connection

TIMEOUT = 60
_names = itertools.count()


def connection(server, **changes):
    return Connection((server.bootstrap,), **{"timeout": 20.0, **changes})


def new_name(prefix):
    return f"{prefix}-{next(_names)}"


@contextlib.contextmanager
def admin(server):
    client = KafkaAdminClient(bootstrap_servers=server.bootstrap)
    try:
        yield client
    finally:
        client.close()


def make_topic(server, partitions=1, **configs):
    name = new_name("topic")
    settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
    with admin(server) as client:
        client.create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": settings}})
        client.wait_for_topics([name])
    return name


def read_back(server, topic, partition=0, **options):
    """All committed records of a partition, by plain kafka-python."""
    target = TopicPartition(topic, partition)
    consumer = KafkaConsumer(
        bootstrap_servers=server.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest", **options
    )
    try:
        consumer.assign([target])
        consumer.seek(target, consumer.beginning_offsets([target])[target])
        end = consumer.end_offsets([target])[target]
        records = []
        while consumer.position(target) < end:
            records += consumer.poll(1000).get(target, [])
        return records
    finally:
        consumer.close()


class Acks:
    """Collects calls of `on_done`; `name` marks the send."""

    def __init__(self):
        self.calls = []
        self._changed = threading.Condition()

    def of(self, name):
        def on_done(error):
            with self._changed:
                self.calls.append((name, error))
                self._changed.notify_all()

        return on_done

    def wait(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, TIMEOUT), f"{len(self.calls)} of {count}"

    @property
    def names(self):
        return [name for name, _ in self.calls]

    @property
    def errors(self):
        return [error for _, error in self.calls if error is not None]
