"""One machine's sink for tests: a configuration, a warehouse, and records sent by plain kafka-python."""

import itertools
import json
import struct
import time

from kafka import KafkaProducer, TopicPartition

from tests.builders.broker import admin, make_topic, new_name
from tests.crash.processes import Victim, run

PATIENCE = 60


class Box:
    """A sink that reads the topics of `server` into a local warehouse; commands run as real processes."""

    def __init__(self, directory, server, topics, *, parser="raw", extra="", group=None, root=None, state="state"):
        self.directory = directory
        self.server = server
        self.topics = topics
        self.root = root or directory / "warehouse"
        self.state = directory / state
        self.group = group or new_name("group")
        self.config = directory / f"{state}.toml"
        self.config.write_text(f"""
[kafka]
bootstrap = ["{server.bootstrap}"]
[state]
dir = "{self.state}"
[sink]
group = "{self.group}"
topics = {json.dumps(topics)}
session_timeout = "6s"
[sink.destination]
type = "local"
root = "{self.root}"
[sink.defaults]
parser = "{parser}"
partition_by = "dt=%Y"
{extra}
""")

    def run(self, command, *options):
        return run([command, "-c", str(self.config), *options], timeout=120)

    def sink(self, *, code=0):
        done = self.run("sink", "--once")
        assert done.returncode == code, done.stderr[-3000:]
        return done

    def verified(self):
        done = self.run("verify", "--json", "--deep")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(done.stdout)

    def service(self):
        """A sink that runs until it is stopped; not started."""
        return Victim(["sink", "-c", str(self.config)], self.directory / f"{self.state.name}.log")

    def rows(self, topic):
        import pyarrow.parquet as pq

        values = []
        for path in sorted(self.root.joinpath(topic).rglob("*.parquet")):
            with pq.ParquetFile(path) as file:
                values += file.read(columns=["value"]).column("value").to_pylist()
        return sorted(values)


def send(server, topic, values, partition=0, headers=None):
    """Send plain records; `headers` yields those of each."""
    producer = KafkaProducer(bootstrap_servers=server.bootstrap)
    try:
        sent = [
            producer.send(topic, value, partition=partition, headers=own)
            for value, own in zip(values, headers or itertools.repeat([]), strict=False)
        ]
        return [each.get(30).offset for each in sent]
    finally:
        producer.close()


def lines_of(topic, partition, generation, values, begin=0):
    """Headers by which lines say where they come from, as `ship` sends them."""
    source = {"host": "h", "path": "/l", "source": "s", "topic": topic, "partition": partition}
    for value in values:
        end = begin + len(value) + 1
        own = [("ingest-pos", struct.pack(">QQQ", generation, begin, end))]
        yield [*own, ("ingest-src", json.dumps({"generation": f"{generation:016x}", **source}).encode())]
        begin = end


def delete_records(server, topic, partition, before):
    with admin(server) as client:
        client.delete_records({TopicPartition(topic, partition): before})


def topics_of(server):
    with admin(server) as client:
        return client.list_topics()


def until(look):
    """What `look` returns as soon as it is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def recreate(server, topic, partitions):
    with admin(server) as client:
        client.delete_topics([topic])
    until(lambda: topic not in topics_of(server))
    with admin(server) as client:
        client.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1}})
        client.wait_for_topics([topic])


__all__ = ["Box", "delete_records", "lines_of", "make_topic", "recreate", "send", "until"]
