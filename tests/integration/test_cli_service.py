"""Commands beside a sink that runs: a real broker, a local root."""

import json

import pytest

from tests.builders.box import Box, delete_records, make_topic, recreate, send, until

pytestmark = pytest.mark.kafka

TEN = [b"line %d" % number for number in range(10)]


@pytest.fixture
def running(kafka, tmp_path):
    """A sink that runs, on two partitions that have records; it commits when told alone."""
    topic = make_topic(kafka, partitions=2)
    box = Box(tmp_path, kafka, [topic], extra='rotate = { age = "1h", idle = "1h" }')
    for partition in (0, 1):
        send(kafka, topic, TEN, partition)
    service = box.service()
    service.start()
    yield box, topic, service
    service.end()


def partitions(box):
    document = json.loads(box.run("status", "--json").stdout)
    assert document["sink"]["running"] or not document["sink"]["partitions"]
    return {each["partition"]: each for each in document["sink"]["partitions"]}


def read_up_to(box, *offsets):
    """The partitions, once both are read up to there."""

    def look():
        found = partitions(box)
        return len(found) == 2 and [found[each]["read_offset"] for each in (0, 1)] == list(offsets) and found

    return until(look)


def stopped(box, partition):
    return until(lambda: (found := partitions(box)).get(partition, {}).get("phase") == "stopped" and found)


def test_flush_returns_when_everything_that_was_read_is_in_the_warehouse(running):
    box, topic, service = running
    before = read_up_to(box, 10, 10)
    assert [each["next_offset"] for each in before.values()] == [0, 0]
    assert [each["open_rows"] for each in before.values()] == [10, 10]
    assert box.rows(topic) == []

    done = box.run("flush")

    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [[topic, "0", "10"], [topic, "1", "10"]]
    assert len(box.rows(topic)) == 20
    assert box.verified()["counts"]["commits"] == 2
    assert "sink: process" in box.run("status").stdout
    assert service.stop() == 0
    assert box.run("flush").returncode == 2


def test_a_running_sink_goes_on_by_itself_after_a_loss_was_accepted(running):
    box, topic, service = running
    read_up_to(box, 10, 10)
    assert box.run("flush").returncode == 0
    service.kill()
    send(box.server, topic, TEN, 0)
    delete_records(box.server, topic, 0, 15)
    service.start()
    found = stopped(box, 0)
    assert "[10, 15)" in found[0]["stopped"]
    send(box.server, topic, [b"other"], 1)
    until(lambda: partitions(box)[1]["read_offset"] == 11)

    assert box.run("accept-loss", "--yes").returncode == 0

    read_up_to(box, 20, 11)
    assert box.run("flush").returncode == 0
    assert len(box.rows(topic)) == 26
    assert service.log.read_text().count('"event": "partition stopped"') == 1
    assert service.stop() == 0
    assert box.verified()["counts"]["lost_offsets"] == 5


def test_a_topic_that_is_made_again_under_a_running_sink_stops_it_until_that_is_accepted(running):
    box, topic, service = running
    read_up_to(box, 10, 10)
    recreate(box.server, topic, 2)
    send(box.server, topic, [b"new"], 0)
    box.run("flush")
    stopped(box, 0)
    assert len(box.rows(topic)) == 20

    done = box.run("accept-loss", "--yes", "--topic", topic, "--partition", "0")

    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: partitions(box)[0]["read_offset"] == 1)
    assert box.run("flush").returncode == 0
    assert box.rows(topic).count("new") == 1
    box.verified()
    service.stop()
