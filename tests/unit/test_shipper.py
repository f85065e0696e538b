import errno
import itertools
import threading

import pytest

from ingest.clock import SystemClock
from ingest.connectors.sources.file import FileOptions, FileSource
from ingest.errors import Refused, StateDamaged, Unavailable, UsageError
from ingest.ship import checkpoint as checkpoint_module
from ingest.ship.ledger import Ledger
from ingest.ship.ports import Connections
from ingest.ship.recovery import CHANGES, COPY, FILES, NAME, PREVIOUS, choose
from ingest.ship.session import Session
from ingest.ship.shipper import Shipper
from ingest.ship.topics import prepare
from ingest.testing.clock import ManualClock
from tests.builders.shipping import Kafka, Log, surroundings
from tests.builders.sources import context


class House:
    """Everything around a shipper, with one source over one directory."""

    def __init__(self, directory, kafka, *, once=False, clock=None, linger=0.0, **options):
        self.directory = directory
        self.kafka = kafka
        self.once = once
        self.clock = clock or ManualClock()
        self.around = surroundings(directory, self.clock, **options)
        self.options = FileOptions(
            name="web", type="file", topic="logs", paths=[str(directory / "*.log")], linger=linger
        )
        self.generations = itertools.count(1)
        self.sources = []

    def connect(self):
        producer = self.kafka.producer()
        given = context(self.directory, clock=self.clock, once=self.once, first_generation=next(self.generations) * 100)
        self.sources.append(FileSource(self.options, given))
        return Connections([self.sources[-1]], producer)

    def session(self):
        return Session(self.connect(), Ledger(self.around.checkpoint.load()), self.around)

    def shipper(self, **options):
        return Shipper(self.connect, self.around, once=self.once, pause=0.0, **options)

    def write(self, data, name="app.log"):
        with (self.directory / name).open("ab") as file:
            file.write(data)

    def durable(self):
        return self.around.checkpoint.load()

    def steps(self, session, count=3, seconds=1.1):
        for _ in range(count):
            session.step()
            self.clock.advance(seconds)

    def close(self):
        for source in self.sources:
            source.close()


@pytest.fixture
def kafka():
    return Kafka()


@pytest.fixture
def house(tmp_path, kafka):
    house = House(tmp_path, kafka)
    yield house
    house.close()


@pytest.fixture
def broken_disk(monkeypatch):
    """Make fsync fail while the returned list is not empty."""
    full = []

    def fsync(fd):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_module.os, "fsync", fsync)
    return full


# ── a session ──


def test_lines_are_sent_acknowledged_and_checkpointed(house, kafka):
    house.write(b"a\nb\n")
    session = house.session()

    house.steps(session)

    assert kafka.values == [b"a", b"b"]
    (entry,) = house.durable().values()
    assert (entry.position, entry.begin, entry.topic_id) == (4, 0, "a")
    assert kafka.producers[0].headers[0]["generation"] == entry.generation
    assert house.around.metrics.ship_lines.labels("web")._value.get() == 2
    assert house.around.metrics.ship_acked_bytes.labels("web")._value.get() == 4


def test_a_new_generation_is_in_both_copies_before_its_first_record_is_sent(house, kafka, monkeypatch):
    house.write(b"a\n")
    session = house.session()
    seen = []
    producer = kafka.producers[0]
    real = producer.send

    def send(topic, partition, segments, on_done):
        files = {name: (house.around.checkpoint.directory / name).read_bytes() for name in FILES}
        for lost in (NAME, PREVIOUS, CHANGES, COPY):
            found = choose(*(None if name == lost else data for name, data in files.items()))
            seen.append({entry.id for entry in found.content.entries})
        real(topic, partition, segments, on_done)

    monkeypatch.setattr(producer, "send", send)
    house.steps(session)

    (generation,) = house.durable()
    assert seen == [{generation}] * 4


def test_a_line_given_out_without_newline_is_durable_before_it_is_sent(house, kafka, monkeypatch):
    house.write(b"a\nhalf")
    session = house.session()
    house.steps(session)
    kafka.answers = False

    house.steps(session, count=2, seconds=400)

    (entry,) = house.durable().values()
    assert entry.boundaries == (6,)
    assert len(kafka.producers[0].waiting) == 1


def test_the_checkpoint_stays_below_what_is_not_acknowledged(house, kafka):
    house.write(b"a\n")
    session = house.session()
    house.steps(session)
    kafka.answers = False
    house.write(b"b\n")

    house.steps(session, count=5)

    (entry,) = house.durable().values()
    assert entry.position == 2
    kafka.producers[0].answer()
    house.steps(session)
    (entry,) = house.durable().values()
    assert entry.position == 4


def test_sources_hear_of_what_is_durable(house, monkeypatch):
    heard = []
    monkeypatch.setattr(FileSource, "acknowledged", lambda self, generation, position: heard.append(position))
    house.write(b"a\n")
    session = house.session()

    house.steps(session)
    house.write(b"b\n")
    house.steps(session)

    assert heard == [2, 4]


def test_a_session_goes_on_where_the_one_before_stood(house, kafka):
    house.write(b"a\nb\n")
    house.steps(house.session())
    house.write(b"c\n")

    house.steps(house.session())

    assert kafka.values == [b"a", b"b", b"c"]
    assert len({generation for generation, _, _, _ in kafka.records}) == 1


def test_what_was_sent_and_not_checkpointed_comes_again_as_the_same_records(house, kafka):
    house.write(b"a\nb\n")
    session = house.session()
    session.step()
    session.step()
    assert kafka.values == [b"a", b"b"]

    house.steps(house.session())

    assert kafka.values == [b"a", b"b", b"a", b"b"]
    assert kafka.distinct == [b"a", b"b"]


def test_nothing_is_saved_where_nothing_changed(house, monkeypatch):
    house.write(b"a\n")
    session = house.session()
    house.steps(session, count=5)
    saves = []
    monkeypatch.setattr(house.around.checkpoint, "save", lambda entries, both=False: saves.append(both))

    house.steps(session, count=5)

    assert saves == []


def test_reading_stops_at_the_bound_and_goes_on_when_kafka_does(tmp_path, kafka):
    house = House(tmp_path, kafka, max_inflight=3 << 20)
    kafka.answers = False
    line = b"x" * 1023 + b"\n"
    house.write(line * (20 << 10))
    session = house.session()

    house.steps(session, count=20)

    assert session._inflight < 5 << 20
    assert house.around.metrics.ship_inflight_bytes._value.get() == session._inflight
    kafka.answers = True
    kafka.producers[0].answer()
    while len(kafka.records) < 20 << 10:
        house.steps(session, count=1)
    house.steps(session)
    assert session._inflight == 0
    assert kafka.distinct == [line[:-1]] * (20 << 10)
    house.close()


def test_at_the_bound_a_source_may_keep_what_would_be_lost(tmp_path, kafka, monkeypatch):
    house = House(tmp_path, kafka, max_inflight=1 << 20)
    absorbed = []
    monkeypatch.setattr(FileSource, "absorb", lambda source: absorbed.append(source))
    session = house.session()
    house.steps(session)
    assert absorbed == []
    kafka.answers = False
    house.write(b"x\n" * (1 << 20))

    house.steps(session, count=20)

    assert set(absorbed) == set(house.sources)
    house.close()


def test_a_trickle_lingers_and_several_streams_leave_together(tmp_path, kafka):
    house = House(tmp_path, kafka, linger=1.0)
    house.write(b"a\n", "a.log")
    house.write(b"b\n", "b.log")
    session = house.session()
    session.step()
    session.step()
    assert kafka.records == []

    house.clock.advance(1.0)
    session.step()

    assert sorted(kafka.values) == [b"a", b"b"]
    assert len(kafka.producers[0].headers) == 2
    house.close()


def test_lines_that_wait_too_long_for_an_acknowledgement_turn_it_unready(house, kafka):
    house.write(b"a\n")
    session = house.session()
    kafka.answers = False
    house.steps(session)
    assert house.around.health.reports["ship"] == (True, "")

    house.clock.advance(31)
    session.step()
    ok, why = house.around.health.reports["ship"]
    assert not ok
    assert "topic logs partition 0" in why

    kafka.producers[0].answer()
    house.clock.advance(10)
    session.step()
    assert house.around.health.reports["ship"] == (True, "")


# ── a full disk ──


def test_on_a_full_disk_known_streams_go_on_and_new_ones_wait_until_there_is_room(house, kafka, broken_disk):
    house.write(b"a\n")
    session = house.session()
    house.steps(session)
    (known,) = house.durable()
    broken_disk.append(True)
    house.write(b"b\n")
    house.write(b"new\n", "other.log")

    house.steps(session, count=5)

    assert kafka.values == [b"a", b"b"]
    assert house.durable()[known].position >= 2
    ok, why = house.around.health.reports["checkpoint"]
    assert not ok
    assert "No space left" in why
    assert len(house.around.log.texts("error")) == 1

    broken_disk.clear()
    house.steps(session, count=5)

    assert kafka.values == [b"a", b"b", b"new"]
    assert sorted(entry.position for entry in house.durable().values()) == [4, 4]
    assert house.around.health.reports["checkpoint"] == (True, "")


def test_in_a_read_only_state_directory_it_ships_on_and_a_restart_sends_the_rest_again(house, kafka, monkeypatch):
    house.write(b"a\n")
    session = house.session()
    house.steps(session)

    def refuse(*_, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checkpoint_module, "open", refuse, raising=False)
    house.write(b"b\n")
    house.steps(session)
    assert kafka.values == [b"a", b"b"]
    assert "Read-only" in house.around.health.reports["checkpoint"][1]
    monkeypatch.undo()

    house.steps(house.session())

    assert kafka.values == [b"a", b"b", b"b"]
    assert kafka.distinct == [b"a", b"b"]


# ── topics ──


def test_a_partition_that_is_gone_ends_its_generations_loudly(house, kafka):
    house.write(b"a\n")
    house.steps(house.session())
    (before,) = house.durable().values()
    kafka.topic_id = "made anew"
    house.write(b"b\n")

    house.steps(house.session())

    (after,) = house.durable().values()
    assert (after.begin, after.position, after.topic_id) == (2, 4, "made anew")
    assert after.id != before.id
    assert kafka.values == [b"a", b"b"]
    assert len(house.around.log.texts("warning")) == 1


@pytest.mark.parametrize(
    ("wanted", "room", "expected", "warned"),
    [(None, 900_000, 900_000, False), (None, 9 << 20, 1 << 20, False), (500, 900, 500, False), (5000, 900, 900, True)],
)
def test_no_line_may_be_longer_than_the_topic_takes(house, kafka, wanted, room, expected, warned):
    house.options.max_line = wanted
    producer = kafka.producer()
    producer.max_record_bytes = lambda topic: room
    log = Log()

    assert prepare(producer, house.options, log) == expected
    assert bool(log.said) == warned


def test_a_topic_is_made_only_where_that_is_asked_for(house, kafka):
    prepare(kafka.producer(), house.options, Log())
    assert not hasattr(kafka, "made")

    house.options.create_topics, house.options.partitions = True, 4
    prepare(kafka.producer(), house.options, Log())

    assert kafka.made == ("logs", 4, -1)


# ── health and status ──


def test_kafka_that_is_silent_is_reported_and_again_when_it_is_back(house, kafka):
    session = house.session()
    kafka.producers[0].silence = 16.0
    house.steps(session)
    ok, why = house.around.health.reports["kafka"]
    assert (ok, "16s" in why) == (False, True)

    kafka.producers[0].silence = 0.0
    house.steps(session)

    assert house.around.health.reports["kafka"] == (True, "")
    assert house.around.health.beats == 6


def test_the_status_says_how_far_each_stream_is(house, kafka):
    house.write(b"a\nhalf")
    session = house.session()

    house.steps(session, count=4)

    (row,) = session.streams
    assert (row.source, row.path) == ("web", str(house.directory / "app.log"))
    assert (row.position, row.acknowledged, row.size, row.behind) == (2, 2, 6, 4)
    assert row.decision == "new"


def test_files_that_are_not_read_are_counted_beside_the_streams(house, kafka):
    house.write(b"a\n")
    (house.directory / "link.log").symlink_to("app.log")
    session = house.session()

    house.steps(session)

    metrics = house.around.metrics
    assert metrics.ship_streams.labels("web")._value.get() == 1
    assert metrics.ship_unread.labels("web")._value.get() == 1


# ── the shipper ──


def real(tmp_path, kafka, **options):
    return House(tmp_path, kafka, clock=SystemClock(), save_interval=0.0, **options)


def run(shipper, stop=None):
    stop = stop or threading.Event()
    shipper.run(stop)


def test_with_once_it_ends_when_everything_is_durable(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    for number in range(30):
        house.write(b"%d\n" % number, f"{number}.log")

    run(house.shipper())

    assert sorted(kafka.values) == sorted(b"%d" % number for number in range(30))
    assert all(entry.position > 0 for entry in house.durable().values())
    assert kafka.producers[0].closed


def test_with_once_a_second_run_sends_what_came_since(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\n")
    run(house.shipper())
    house.write(b"b\n")

    run(house.shipper())

    assert kafka.values == [b"a", b"b"]


def test_after_a_failed_send_everything_is_built_anew_and_goes_on_from_the_checkpoint(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\nb\n")
    kafka.failures = [Refused("no"), Unavailable("not now")]

    run(house.shipper())

    assert kafka.distinct == [b"a", b"b"]
    assert [producer.closed for producer in kafka.producers] == [True, True, True]
    assert len(house.sources) == 3
    assert house.around.metrics.ship_restarts._value.get() == 2


def test_a_broken_producer_ends_the_session(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\n")
    real_producer = kafka.producer

    def first_is_broken():
        producer = real_producer()
        producer.broken = len(kafka.producers) == 1
        return producer

    kafka.producer = first_is_broken
    run(house.shipper())

    assert kafka.values == [b"a"]
    assert len(kafka.producers) == 2


def test_kafka_that_is_away_at_the_start_is_waited_for(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\n")
    kafka.unreachable = 3

    run(house.shipper())

    assert kafka.values == [b"a"]


def test_with_once_it_gives_up_when_nothing_works(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\n")
    kafka.unreachable = 100

    with pytest.raises(Unavailable, match="no broker answers"):
        run(house.shipper())

    assert kafka.unreachable == 95


def test_a_refusal_at_the_start_is_not_tried_again(tmp_path, kafka):
    house = real(tmp_path, kafka)
    kafka.producer = lambda: (_ for _ in ()).throw(Refused("no such topic"))

    with pytest.raises(Refused):
        run(house.shipper())


def test_a_checkpoint_that_can_not_be_trusted_ends_it(tmp_path, kafka):
    house = real(tmp_path, kafka)
    directory = house.around.checkpoint.directory
    directory.mkdir()
    (directory / NAME).write_bytes(b"")

    with pytest.raises(StateDamaged):
        run(house.shipper())

    assert kafka.values == []


def test_another_machines_checkpoint_is_refused_or_adopted(tmp_path, kafka):
    house = real(tmp_path, kafka, once=True)
    house.write(b"a\n")
    run(house.shipper())
    house.write(b"b\n")
    house.around.checkpoint._machine = "another"
    with pytest.raises(UsageError, match="--adopt"):
        run(house.shipper())

    run(house.shipper(adopt=True))
    run(house.shipper())

    assert kafka.values == [b"a", b"b"]
    assert len({generation for generation, _, _, _ in kafka.records}) == 2


def test_told_to_stop_it_waits_for_what_is_on_its_way_and_saves(tmp_path, kafka):
    house = real(tmp_path, kafka)
    kafka.answers = False
    house.write(b"a\n")
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(house.shipper(), stop))
    thread.start()
    wait_until(lambda: kafka.producers and kafka.producers[0].waiting)

    stop.set()
    kafka.producers[0].answer()
    thread.join(10)

    assert not thread.is_alive()
    (entry,) = house.durable().values()
    assert entry.position == 2


def test_told_to_stop_while_kafka_is_away_it_stops_at_its_deadline_and_loses_nothing(tmp_path, kafka):
    house = real(tmp_path, kafka)
    kafka.answers = False
    house.write(b"a\n")
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(house.shipper(drain_timeout=0.1), stop))
    thread.start()
    wait_until(lambda: kafka.producers and kafka.producers[0].waiting)

    stop.set()
    thread.join(10)

    assert not thread.is_alive()
    (entry,) = house.durable().values()
    assert entry.position == 0
    assert house.around.log.texts("warning")


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never happened")
