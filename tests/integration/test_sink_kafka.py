"""The sink against a real broker, as processes: what restarts, rivals, rebalances and an orderly end leave behind."""

import json
import os
import signal
import time

import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from ingest.service.control import call
from tests.builders.box import Box, delete_records, make_topic, send, until
from tests.builders.broker import admin, new_name
from tests.servers.kafka import KafkaServer
from tests.servers.plugin import require_servers

pytestmark = pytest.mark.kafka

FREQUENT = 'rotate = { rows = 2000, age = "300ms", idle = "200ms" }'
PATIENT = 'rotate = { age = "1h", idle = "1h" }'


def adjust(box, *lines):
    """Put lines into the table [sink]."""
    text = box.config.read_text()
    box.config.write_text(text.replace("[sink]\n", "[sink]\n" + "\n".join(lines) + "\n", 1))
    return box


def fill(server, topic, records, partition, begin=0):
    """Send many numbered records quickly; return their values."""
    values = [b"%d-%d" % (partition, number) for number in range(begin, begin + records)]
    producer = KafkaProducer(bootstrap_servers=server.bootstrap, linger_ms=20, batch_size=1 << 18)
    try:
        for value in values:
            producer.send(topic, value, partition=partition)
        producer.flush(60)
    finally:
        producer.close()
    return [value.decode() for value in values]


def commits(box, topic, partition=0):
    """The records of a partition's chain that are not folded, in order."""
    directory = box.root / "_ingest" / topic / str(partition) / "0" / "commits"
    return [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]


def next_offset(box, topic, partition=0):
    found = commits(box, topic, partition)
    return found[-1]["next_offset"] if found else 0


def said(victim, event):
    return [line for line in victim.log.read_text().splitlines() if json.loads(line)["event"] == event]


def running(victim, event="partition opened", times=1):
    victim.start()
    until(lambda: len(said(victim, event)) >= times)
    return victim


def open_rows(box):
    """What the running sink has in hand, partition by partition."""
    return [row["open_rows"] for row in sorted(call(box.state, "sink", "status"), key=lambda row: row["partition"])]


def pid(victim):
    return victim._process.pid


@pytest.fixture
def started():
    """Victims that are ended whatever happens."""
    made = []

    def remember(victim):
        made.append(victim)
        return victim

    yield remember
    for victim in made:
        if victim._process is not None and victim._process.poll() is None:
            os.kill(pid(victim), signal.SIGCONT)
        victim.end()


def test_once_writes_everything_and_without_the_groups_offsets_nothing_is_read_twice(kafka, tmp_path):
    topic = make_topic(kafka, partitions=4)
    sent = [value for partition in range(4) for value in fill(kafka, topic, 25_000, partition)]
    box = Box(tmp_path, kafka, [topic])
    box.sink()
    assert box.rows(topic) == sorted(sent)
    with admin(kafka) as client:
        until(lambda: client.delete_groups([box.group])[box.group] == "OK" or not time.sleep(0.5))
    box.sink()
    assert box.rows(topic) == sorted(sent)
    counts = box.verified()["counts"]
    assert (counts["rows"], counts["duplicates"], counts["commits"]) == (100_000, 0, 4)
    assert list((box.state / "sink" / "spool").iterdir()) == []


def test_killed_again_and_again_while_it_commits_it_loses_and_doubles_nothing(kafka, tmp_path, started):
    topic = make_topic(kafka, partitions=2)
    box = Box(tmp_path, kafka, [topic], extra=FREQUENT)
    victim = started(box.service())
    sent = []
    for life in range(4):
        for partition in range(2):
            sent += fill(kafka, topic, 6_000, partition, life * 6_000)
        before = next_offset(box, topic)
        victim.start()
        until(lambda before=before: next_offset(box, topic) > before)
        victim.kill()
    box.sink()
    assert box.rows(topic) == sorted(sent)
    box.verified()


def test_a_frozen_worker_whose_partitions_others_took_is_fenced_when_it_goes_on(kafka, tmp_path, started):
    topic = make_topic(kafka, partitions=2)
    sent = [*fill(kafka, topic, 1_000, 0), *fill(kafka, topic, 1_000, 1)]
    frozen = Box(tmp_path, kafka, [topic], extra=PATIENT)
    other = Box(tmp_path, kafka, [topic], extra=FREQUENT, group=frozen.group, state="other")
    zombie = running(started(frozen.service()), times=2)
    until(lambda: open_rows(frozen) == [1_000] * 2)
    os.kill(pid(zombie), signal.SIGSTOP)
    successor = running(started(other.service()), "committed", times=2)
    assert next_offset(frozen, topic) == 1_000
    os.kill(pid(zombie), signal.SIGCONT)
    frozen.run("flush")
    sent += [*fill(kafka, topic, 500, 0, 1_000), *fill(kafka, topic, 500, 1, 1_000)]
    until(lambda: len(said(successor, "committed")) + len(said(zombie, "committed")) >= 3)
    assert (zombie.stop(), successor.stop()) == (0, 0)
    frozen.sink()
    assert frozen.rows(topic) == sorted(sent)
    frozen.verified()


def test_a_worker_that_joins_gets_partitions_whose_rows_are_committed_first(kafka, tmp_path, started):
    topic = make_topic(kafka, partitions=4)
    sent = [value for partition in range(4) for value in fill(kafka, topic, 500, partition)]
    first = Box(tmp_path, kafka, [topic], extra=PATIENT)
    second = Box(tmp_path, kafka, [topic], extra=PATIENT, group=first.group, state="second")
    one = running(started(first.service()), times=4)
    until(lambda: open_rows(first) == [500] * 4)
    two = running(started(second.service()), times=2)
    moved = [partition for partition in range(4) if commits(first, topic, partition)]
    assert len(moved) == 2
    assert [commits(first, topic, partition)[-1]["reason"] for partition in moved] == ["revoke", "revoke"]
    assert [next_offset(first, topic, partition) for partition in moved] == [500, 500]
    assert (one.stop(), two.stop()) == (0, 0)
    assert first.rows(topic) == sorted(sent)
    first.verified()


def test_told_to_stop_it_commits_everything_and_ends_with_0(kafka, tmp_path, started):
    topic = make_topic(kafka, partitions=2)
    sent = [*fill(kafka, topic, 3_000, 0), *fill(kafka, topic, 3_000, 1)]
    box = Box(tmp_path, kafka, [topic], extra=PATIENT)
    victim = running(started(box.service()), times=2)
    until(lambda: open_rows(box) == [3_000] * 2)
    assert box.rows(topic) == []
    assert victim.stop() == 0
    assert [commits(box, topic, partition)[-1]["reason"] for partition in range(2)] == ["drain", "drain"]
    assert box.rows(topic) == sorted(sent)
    with admin(kafka) as client:
        told = client.list_group_offsets({box.group: None})[box.group]
    assert {target.partition: at.offset for target, at in told.items() if target.topic == topic} == {0: 3_000, 1: 3_000}


def test_of_transactions_only_the_committed_ones_are_written_and_once_reaches_the_end(kafka, tmp_path):
    topic = make_topic(kafka)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=new_name("transaction"))
    try:
        producer.init_transactions()
        for number, keep in enumerate([True, False, True, False]):
            producer.begin_transaction()
            for record in range(10):
                producer.send(topic, b"%d-%d" % (number, record), partition=0)
            if keep:
                producer.commit_transaction()
            else:
                producer.flush()
                producer.abort_transaction()
    finally:
        producer.close()
    box = Box(tmp_path, kafka, [topic])
    box.sink()
    assert box.rows(topic) == sorted(f"{number}-{record}" for number in (0, 2) for record in range(10))
    (only,) = commits(box, topic)
    assert only["next_offset"] == 44, "the markers are behind us too"
    box.sink()
    assert len(commits(box, topic)) == 1


@pytest.mark.slow
def test_topics_that_a_pattern_finds_later_and_partitions_added_later_are_read_from_their_beginning(
    kafka, tmp_path, started
):
    prefix = new_name("late")
    early = f"{prefix}-early"
    with admin(kafka) as client:
        client.create_topics({early: {"num_partitions": 1, "replication_factor": 1}})
        client.wait_for_topics([early])
    send(kafka, early, [b"before the sink was there"])
    box = adjust(Box(tmp_path, kafka, [], extra=FREQUENT), f'patterns = ["^{prefix}-.*"]', 'start_at = "latest"')
    victim = running(started(box.service()))
    late = f"{prefix}-late"
    with admin(kafka) as client:
        client.create_topics({late: {"num_partitions": 1, "replication_factor": 1}})
        client.create_partitions({early: 2})
        client.wait_for_topics([late])
    until(lambda: send(kafka, early, [b"added"], 1))
    send(kafka, early, [b"after"], 0)
    until(lambda: len(said(victim, "partition opened")) >= 3)
    send(kafka, late, [b"late"])
    until(lambda: "added" in box.rows(early) and box.rows(late))
    assert victim.stop() == 0
    assert box.rows(early) == ["added", "after"]
    assert box.rows(late) == ["late"]
    box.verified()


def test_without_a_topic_to_read_once_ends_and_says_so(kafka, tmp_path):
    box = Box(tmp_path, kafka, ["no-such-topic"])
    done = box.sink()
    assert "nothing was read of a topic" in done.stderr


def test_files_name_their_offsets_and_hold_them(kafka, tmp_path):
    topic = make_topic(kafka)
    fill(kafka, topic, 5_000, 0)
    box = Box(tmp_path, kafka, [topic])
    box.sink()
    (path,) = box.root.joinpath(topic).rglob("*.parquet")
    assert path.name == f"{topic}+0+{0:020d}+{4_999:020d}.parquet"
    assert pq.read_table(path)["kafka_offset"].to_pylist() == list(range(5_000))


def test_a_warehouse_whose_disk_is_not_mounted_is_waited_for_and_the_mount_point_stays_empty(kafka, tmp_path, started):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic], extra=FREQUENT)
    victim = running(started(box.service()))
    away = tmp_path / "disk"
    box.root.rename(away)
    box.root.mkdir()
    sent = fill(kafka, topic, 5_000, 0)
    until(lambda: said(victim, "waiting"))
    assert list(box.root.iterdir()) == []
    box.root.rmdir()
    away.rename(box.root)
    until(lambda: next_offset(box, topic) == 5_000)
    assert victim.stop() == 0
    assert box.rows(topic) == sorted(sent)
    box.verified()


def test_told_to_stop_while_kafka_is_gone_it_still_commits_what_it_has(tmp_path, started):
    require_servers()
    with KafkaServer(tmp_path / "kafka") as server:
        topic = make_topic(server)
        sent = fill(server, topic, 2_000, 0)
        box = Box(tmp_path, server, [topic], extra=PATIENT)
        victim = running(started(box.service()))
        until(lambda: open_rows(box) == [2_000])
        server.kill()
        assert victim.stop() == 0
        assert box.rows(topic) == sorted(sent)


def test_a_partition_that_stopped_goes_on_within_seconds_of_being_accepted(kafka, tmp_path, started):
    topic = make_topic(kafka, partitions=2)
    box = Box(tmp_path, kafka, [topic], extra=FREQUENT)
    for partition in range(2):
        fill(kafka, topic, 10, partition)
    box.sink()
    fill(kafka, topic, 10, 0, 10)
    delete_records(kafka, topic, 0, 15)
    victim = running(started(box.service()), "partition stopped")
    sent = fill(kafka, topic, 10, 1, 10)
    until(lambda: next_offset(box, topic, 1) == 20)
    assert box.run("accept-loss", "--yes", "--why", "test").returncode == 0
    until(lambda: next_offset(box, topic, 0) == 20)
    assert victim.stop() == 0
    assert len(box.rows(topic)) == 10 + 5 + 10 + len(sent)
    box.verified()
