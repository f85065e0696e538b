"""What Kafka lost, what the commands say of it, and that the sink goes on afterwards: a real broker, a local root."""

import pytest

from ingest.commit.committer import CommitDraft
from ingest.config.load import load
from ingest.errors import Fenced
from ingest.wiring.accept import AcceptLoss
from ingest.wiring.look import Look, warehouse_of
from tests.builders.box import Box, delete_records, lines_of, make_topic, recreate, send
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka

TEN = [b"line %d" % number for number in range(10)]


def words(text):
    return [line.split() for line in text.splitlines()]


def notes(report, kind="accepted loss"):
    return [note["detail"] for note in report["notes"] if note["kind"] == kind]


def row(done, topic, partition):
    """What the first line of a table that is about a partition says of it."""
    found = next(each for each in words(done.stdout) if each[:2] == [topic, str(partition)])
    return " ".join(found[2:])


def test_what_retention_took_is_accepted_as_shown_and_other_partitions_go_on(kafka, tmp_path):
    topic = make_topic(kafka, partitions=2)
    box = Box(tmp_path, kafka, [topic])
    send(kafka, topic, TEN, 0)
    box.sink()
    assert box.run("accept-loss").stdout == "Nothing to accept: no partition is lost.\n"
    send(kafka, topic, TEN, 0)
    send(kafka, topic, [b"other"], 1)
    delete_records(kafka, topic, 0, 15)

    stopped = box.sink(code=3)
    assert "[10, 15)" in stopped.stderr
    assert box.rows(topic) == sorted([*(each.decode() for each in TEN), "other"])
    assert row(box.run("status"), topic, 0).startswith("stopped")
    shown = box.run("offsets")
    assert row(shown, topic, 0).startswith("0 10 10 15 20 10 -5 ")
    assert "LOSS (retention, 5 offsets)" in shown.stdout

    asked = box.run("accept-loss")
    assert asked.returncode == 2
    assert row(asked, topic, 0) == "retention 10 15 5 offsets loss commit 15"
    assert "say --yes" in asked.stderr
    assert box.sink(code=3)
    assert "accepted" in box.run("accept-loss", "--yes", "--why", "disk was full").stdout

    box.sink()
    assert len(box.rows(topic)) == 16
    report = box.verified()
    (accepted,) = notes(report)
    assert "[10, 15)" in accepted
    assert "retention: disk was full" in accepted
    assert report["counts"]["lost_offsets"] == 5
    assert row(box.run("offsets"), topic, 0).startswith("0 20 ")
    assert box.run("status").stdout.split() == ["sink:", "not", "running"]


def test_after_a_topic_was_made_again_its_beginning_is_read_and_no_line_is_doubled(kafka, tmp_path):
    topic, other = make_topic(kafka), make_topic(kafka)
    box = Box(tmp_path, kafka, [topic, other])
    send(kafka, topic, TEN, headers=list(lines_of(topic, 0, 7, TEN)))
    box.sink()
    recreate(kafka, topic, 1)
    again, new = TEN[6:], [b"new", b"newer"]
    begin = sum(len(each) + 1 for each in TEN[:6])
    send(kafka, topic, [*again, *new], headers=list(lines_of(topic, 0, 7, [*again, *new], begin)))
    send(kafka, other, [b"other"])

    assert "was deleted and made again" in box.sink(code=3).stderr
    assert box.rows(other) == ["other"]
    assert "LOSS (recreated)" in box.run("offsets").stdout
    shown = box.run("accept-loss", "--yes")
    assert row(shown, topic, 0) == "recreated 10 10 not known loss commit, new era 1 0"

    box.sink()
    assert box.rows(topic) == sorted(each.decode() for each in [*TEN, *new])
    report = box.verified()
    assert report["counts"]["duplicates"] == 4
    assert len(notes(report)) == 1
    assert row(box.run("offsets"), topic, 0).startswith("1 6 ")
    assert "Nothing to accept" in box.run("accept-loss").stdout


def test_a_log_that_went_back_is_read_again_from_its_beginning(kafka, tmp_path):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic])
    send(kafka, topic, TEN, headers=list(lines_of(topic, 0, 7, TEN)))
    box.sink()
    commit_without_files(box, topic, 30, leader_epoch=-1)

    assert "the log ends at 10" in box.sink(code=3).stderr
    shown = box.run("accept-loss", "--yes")
    assert row(shown, topic, 0).startswith("went back 30 30 ")
    assert "Offsets [0, 10) are read again" in shown.stdout

    box.sink()
    assert box.rows(topic) == [each.decode() for each in TEN]
    assert box.verified()["counts"]["duplicates"] == 10


@pytest.mark.slow
def test_a_log_that_was_cut_and_grew_again_goes_on_where_it_was_cut(tmp_path):
    with KafkaServer(tmp_path / "own") as server:
        topic = make_topic(server)
        box = Box(tmp_path, server, [topic])
        send(server, topic, TEN)
        box.sink()
        # As if five more had been read that only a broker had which is gone.
        commit_without_files(box, topic, 15, leader_epoch=0)
        server.restart()
        send(server, topic, [b"after"] * 10)

        assert "the log was cut at offset 10" in box.sink(code=3).stderr
        shown = box.run("accept-loss", "--yes", "--topic", topic, "--partition", "0")
        assert row(shown, topic, 0) == "truncated 15 15 not known loss commit, new era 1 10"
        assert "Nothing to accept" in box.run("accept-loss").stdout

        box.sink()
        assert box.rows(topic) == sorted([*(each.decode() for each in TEN), *["after"] * 10])
        box.verified()
        assert "Nothing to accept" in box.run("accept-loss").stdout


def test_a_budget_that_was_spent_is_reset_and_counts_anew(kafka, tmp_path):
    topic = make_topic(kafka)
    limit = "quarantine = { max_ratio = 0.1, window = 20 }"
    box = Box(tmp_path, kafka, [topic], parser="json", extra=limit)
    send(kafka, topic, [b"no json"] * 3 + [b'{"value": 1}'] * 3)

    assert "accept-loss --quarantine" in box.sink(code=1).stderr
    assert "Nothing to accept" in box.run("accept-loss").stdout
    shown = box.run("accept-loss", "--quarantine", "--yes")
    assert row(shown, topic, 0) == "quarantine 6 6 0 offsets budget commit, new era 1 6"
    assert "no partition is over its budget" in box.run("accept-loss", "--quarantine").stdout

    send(kafka, topic, [b"no json", b'{"value": 2}'])
    box.sink()
    report = box.verified()
    assert (report["counts"]["rows"], report["counts"]["quarantined"]) == (4, 4)
    assert len(notes(report, "accepted budget")) == 1


def test_only_one_of_two_who_saw_the_same_accepts_it(kafka, tmp_path):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic])
    send(kafka, topic, TEN)
    box.sink()
    recreate(kafka, topic, 1)
    config = load(box.config)
    with warehouse_of(config) as warehouse:
        first, second = AcceptLoss(config, warehouse), AcceptLoss(config, warehouse)
        (seen,), (also_seen,) = first.losses(), second.losses()
        assert seen == also_seen
        assert first.publish(seen, "me", "").era == 1
        with pytest.raises(Fenced, match="nothing was accepted"):
            second.publish(also_seen, "you", "")
    assert len(notes(box.verified())) == 1


def test_a_warehouse_of_another_group_is_left_alone(kafka, tmp_path):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic])
    send(kafka, topic, TEN)
    box.sink()
    recreate(kafka, topic, 1)
    stranger = Box(tmp_path, kafka, [topic], root=box.root, state="other")

    refused = stranger.run("accept-loss", "--yes")
    assert refused.returncode == 2
    assert f"belongs to the Kafka cluster {cluster_of(box)} and the group {box.group}" in refused.stderr
    assert f"the group {box.group}" in stranger.run("check", "--online").stdout
    assert stranger.run("check", "--online").returncode == 2
    assert box.sink(code=3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--partition", "1"], "--partition needs --topic"),
        (["--topic", "nonsense"], 'the sink has no topic "nonsense"'),
    ],
)
def test_what_can_not_be_meant_is_wrong_usage(kafka, tmp_path, options, problem):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic])
    box.sink()

    done = box.run("accept-loss", *options)

    assert done.returncode == 2
    assert problem in done.stderr


def commit_without_files(box, topic, next_offset, leader_epoch):
    """Let the chain say that everything below `next_offset` was read."""
    config = load(box.config)
    with warehouse_of(config) as warehouse:
        committer = Look(config, warehouse).committer(topic, 0, "test")
        tail = committer.open()
        committer.commit(CommitDraft(next_offset, streams=tail.streams, leader_epoch=leader_epoch))


def cluster_of(box):
    config = load(box.config)
    with warehouse_of(config) as warehouse:
        return Look(config, warehouse).cluster.cluster_id()
