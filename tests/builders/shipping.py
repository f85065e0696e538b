"""A Kafka in memory for tests of shipping, and what else a session stands among."""

import json

import numpy as np

from ingest.errors import Unavailable
from ingest.service.metrics import Metrics
from ingest.ship.checkpoint import Checkpoint
from ingest.ship.session import Surroundings
from ingest.testing.clock import ManualClock


class Log:
    def __init__(self):
        self.said = []

    def info(self, event, **fields):
        self.said.append(("info", event, fields))

    def warning(self, event, **fields):
        self.said.append(("warning", event, fields))

    def error(self, event, **fields):
        self.said.append(("error", event, fields))

    def texts(self, level):
        return [event for said, event, _ in self.said if said == level]


class Health:
    def __init__(self):
        self.reports = {}
        self.beats = 0

    def report(self, part, ok, why=""):
        self.reports[part] = (ok, why)

    def beat(self, part, within):
        self.beats += 1


class Kafka:
    """The records of one topic, and how it behaves."""

    def __init__(self, partitions=1, topic_id="a"):
        self.partitions = partitions
        self.topic_id = topic_id
        self.records = []
        self.answers = True
        self.failures = []
        self.unreachable = 0
        self.producers = []

    def producer(self):
        if self.unreachable:
            self.unreachable -= 1
            raise Unavailable("no broker answers")
        self.producers.append(FakeProducer(self))
        return self.producers[-1]

    @property
    def values(self):
        return [value for _, _, _, value in self.records]

    @property
    def distinct(self):
        """Return the values after dropping repeats by identity, as the sink does; a repeat must be identical."""
        found = {}
        for generation, start, end, value in self.records:
            assert found.setdefault((generation, start, end), value) == value
        return list(found.values())


class FakeProducer:
    """Acknowledges at once while `kafka.answers`, else when told; fails with the next of `kafka.failures`."""

    def __init__(self, kafka):
        self.kafka = kafka
        self.waiting = []
        self.broken = False
        self.closed = False
        self.silence = 0.0
        self.headers = []

    def partitions(self, topic):
        return self.kafka.partitions

    def topic_id(self, topic):
        return self.kafka.topic_id

    def max_record_bytes(self, topic):
        return 1_000_000

    def ensure_topic(self, topic, partitions, replication):
        self.kafka.made = (topic, partitions, replication)

    def contact_age(self):
        return self.silence

    def send(self, topic, partition, segments, on_done):
        assert not self.closed
        assert sum(block.rows for block, _ in segments) > 0
        if self.kafka.failures:
            error = self.kafka.failures.pop(0)
            if error is not None:
                on_done(error)
                return
        self.waiting.append((partition, segments, on_done))
        if self.kafka.answers:
            self.answer()

    def answer(self):
        waiting, self.waiting = self.waiting, []
        for _partition, segments, on_done in waiting:
            for block, header in segments:
                self.headers.append(json.loads(header))
                for row in range(block.rows):
                    value = block.data[block.starts[row] : block.ends[row]]
                    start, end = block.positions[row : row + 2].astype(np.int64).tolist()
                    self.kafka.records.append((block.stream.generation, start, end, value))
            on_done(None)

    def close(self, timeout):
        self.closed = True


def surroundings(directory, clock=None, **options):
    log = Log()
    return Surroundings(
        checkpoint=Checkpoint(directory / "state", "machine", log),
        clock=clock or ManualClock(),
        metrics=Metrics(),
        health=Health(),
        log=log,
        **options,
    )
