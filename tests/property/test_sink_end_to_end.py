"""The sink against a model, without Kafka: everything real from the record block to the warehouse, all else random.

Two workers share the partitions of a topic. What may happen to them in a run: faults, lost and late answers of the
filesystem at any call; kill -9 at any call of the filesystem; partitions taken away orderly, or without a word while
the worker is frozen and later goes on as a zombie; a full local disk; little memory; records lost to retention and
accepted. At the end, after one worker has worked in peace, every record is in the files exactly once, by a reader that
knows nothing of ours, and the chains prove it.

What can't be seen here: threads that really run at once (tests/simulation interleaves two commits call by call).
"""

import errno
import io
import json
import os
import random
import shutil
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.commit.beginning import Beginning, agree
from ingest.commit.chain import iso
from ingest.commit.committer import ChainKey, StartDraft
from ingest.commit.verify import verify
from ingest.errors import DataLoss, Unavailable
from ingest.service.metrics import Metrics
from ingest.sink import encode, spill
from ingest.sink.assignment import Assignment
from ingest.sink.begin import open_range
from ingest.sink.chain import PartitionChain
from ingest.sink.description import describe
from ingest.sink.loss import Bounds
from ingest.sink.ports import Ports
from ingest.sink.rotation import Limits
from ingest.sink.worker import SinkWorker
from ingest.testing.clock import ManualClock
from ingest.testing.memory import Fault, MemoryFilesystem
from tests.builders.chains import committer
from tests.builders.sink import TOPIC, RecordingEvents, block, plan, source_header

PARTITIONS = 2
SEEDS = 200
BATCHES = 8


class Killed(BaseException):
    """kill -9: nothing of the worker runs after this."""


# ── Kafka ──────────────────────────────────────────────────────────────────


class Log:
    """One partition: records at ascending offsets with gaps, in fetches whose ends do not matter."""

    def __init__(self, partition, chance):
        self.partition = partition
        self.chance = chance
        self.records = {}
        self.batches = []
        self.start = 0
        self.end = 0
        self._streams = [chance.getrandbits(64) for _ in range(2)]
        self._sent = dict.fromkeys(self._streams, 0)

    def grow(self, names):
        """Append a batch: lines of a stream, perhaps sent again, foreign records, or nothing but control records."""
        self.batches.append(self.end)
        kind = self.chance.choices(["lines", "again", "merged", "foreign", "control", "newborn"], [6, 2, 1, 2, 1, 0.5])[
            0
        ]
        if kind == "newborn":
            stream = self.chance.getrandbits(64)
            self._streams[self.chance.randrange(2)] = stream
            self._sent[stream] = 0
        if kind == "control":
            self.end += self.chance.randint(1, 3)
            return
        if kind == "foreign":
            for _ in range(self.chance.randint(1, 6)):
                self._append(self._value(names), None, None)
            return
        stream = self.chance.choice(self._streams)
        begin = self._sent[stream]
        if kind == "again":
            begin = max(0, begin - self.chance.randint(1, 8))
        introduction = source_header(stream, self.partition)
        if kind == "merged" and begin:
            # One record over the last line and half of the next, as a shipper that cuts lines otherwise would send.
            self._append(b'{"n": %d}' % begin, (stream, begin * 10 - 10, begin * 10 + 5), introduction)
            self._append(b'{"n": %d}' % begin, (stream, begin * 10 + 5, begin * 10 + 10), None)
            begin += 1
            introduction = None
        # A shipper that sends again does so from its checkpoint to where it was, without a hole.
        for number in range(begin, max(self._sent[stream], begin + self.chance.randint(1, 10))):
            source = introduction if number == begin else None
            self._append(self._line(stream, number), (stream, number * 10, number * 10 + 10), source)
            self._sent[stream] = max(self._sent[stream], number + 1)

    def _line(self, stream, number):
        """The same bytes whenever it is sent."""
        fixed = random.Random(stream + number)
        return b"[no object" if fixed.random() < 0.05 else b'{"n": %d, "s": "%x"}' % (number, stream)

    def _value(self, names):
        roll = self.chance.random()
        if roll < 0.1:
            return None
        if roll < 0.2:
            return b"not json"
        return b'{"n": %d, "%s": "x"}' % (self.end, names(self.chance).encode())

    def _append(self, value, identity, source):
        if self.chance.random() < 0.05:
            self.end += self.chance.randint(1, 4)
        self.records[self.end] = (value, identity, source)
        self.end += 1

    def verdicts(self, lost, parsed):
        """The plain truth, offset by offset: every byte of a stream counts once."""
        written = {}
        for offset, (value, identity, _) in self.records.items():
            verdict = "quarantine" if parsed and value is not None and not value.startswith(b"{") else "data"
            if offset in lost:
                verdict = "lost"
            elif identity is not None:
                stream, start, end = identity
                bytes_of_it = set(range(start, end))
                before = written.setdefault(stream, set())
                if bytes_of_it <= before:
                    verdict = "repeated"
                elif bytes_of_it & before:
                    verdict = "quarantine"
                before |= bytes_of_it
            yield offset, verdict

    def fetch(self, position, most):
        """(block, problem) as the consumer would hand them out."""
        if position < self.start:
            error = DataLoss("gone", kind="retention", first=position, next=self.start)
            return None, error
        if position > self.end:
            return None, DataLoss("ends before", kind="went back", first=self.end)
        until = min(self.end, position + most)
        if until == position:
            return None, None
        offsets = [offset for offset in range(position, until) if offset in self.records]
        chosen = [self.records[offset] for offset in offsets]
        made = block(
            offsets,
            [value for value, _, _ in chosen],
            next_offset=until,
            identity={row: identity for row, (_, identity, _) in enumerate(chosen) if identity is not None},
            sources={row: source for row, (_, _, source) in enumerate(chosen) if source is not None},
            timestamps=[1_795_000_000_000 + offset * 900_000 for offset in offsets],
            partition=self.partition,
            begin=position,
        )
        return made, None


class PartitionLog:
    """See `chain.Log`."""

    def __init__(self, world, log):
        self.world = world
        self.log = log

    def bounds(self, max_age):
        self.world.kafka_may_fail()
        return Bounds(self.log.start, self.log.end, "id")

    def topic_id(self):
        self.world.kafka_may_fail()
        return "id"


class GroupConsumer:
    """One member's consumer; `notices` are what the group will tell it at its next poll."""

    def __init__(self, world):
        self.world = world
        self.owned = set()
        self.notices = []
        self.positions = {}
        self.paused = set()
        self.standing = set()

    def subscribe(self, topics, patterns, on_assign, on_revoke, on_lost):
        self.callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}

    def poll(self, timeout, meanwhile):
        meanwhile()
        self.world.clock.advance(timeout)
        while self.notices:
            what, keys = self.notices.pop(0)
            if what == "assign":
                self.owned |= set(keys)
                self.standing |= set(keys)
                self.paused -= set(keys)
            self.callbacks[what](sorted(keys))
            if what != "assign":
                self.owned -= set(keys)
        blocks, problems = [], []
        for key in sorted(self.owned - self.paused - self.standing):
            for _ in range(self.world.chance.randint(0, 2)):
                made, error = self.world.logs[key[1]].fetch(self.positions[key], self.world.chance.randint(1, 12))
                if error is not None:
                    self.standing.add(key)
                    problems.append(Problem(*key, error))
                    break
                if made is not None:
                    blocks.append(made)
                    self.positions[key] = made.next_offset
        if self.owned and self.world.hectic and self.world.chance.random() < 0.02:
            key = self.world.chance.choice(sorted(self.owned))
            if key not in self.standing:
                self.standing.add(key)
                problems.append(Problem(*key, Unavailable("for a while")))
        return blocks, problems

    def seek(self, topic, partition, offset, leader_epoch=-1):
        if (topic, partition) in self.owned:
            self.positions[topic, partition] = offset
            self.standing.discard((topic, partition))

    def pause(self, keys):
        self.paused |= set(keys)

    def resume(self, keys):
        self.paused -= set(keys)

    def settled(self):
        return not self.notices

    def assignment(self):
        return set(self.owned)

    def commit(self, offsets, wait=0.0):
        pass

    def close(self):
        pass


class Problem:
    def __init__(self, topic, partition, error):
        self.topic, self.partition, self.error = topic, partition, error


# ── threads and machines ──────────────────────────────────────────────────────────────────


class Interrupted(MemoryFilesystem):
    """Every call of a task may be its last for a while, or for ever; only one thread runs at any moment."""

    def __init__(self, before, shuffle):
        super().__init__(consume=True)
        self._before = before
        self._shuffle = shuffle

    def _call(self, call, action):
        self._before()
        return super()._call(call, action)

    def list(self, path):
        found = sorted(super().list(path), key=lambda entry: entry.name)
        self._shuffle(found)  # "in no order", but the same whenever this seed is run
        return found


class Slices:
    """A pool whose tasks run a few filesystem calls at a time, when the test says so."""

    def __init__(self, world):
        self.world = world
        self.tasks = []

    def submit(self, work):
        task = Task(work)
        self.tasks.append(task)
        return task.future

    def step(self, calls):
        if self.tasks:
            task = self.world.chance.choice(self.tasks[:2])
            self.world.running = task
            if task.advance(calls):
                self.tasks.remove(task)
            self.world.running = None

    def finish(self):
        while self.tasks:
            self.step(1_000_000)

    def kill(self):
        """All tasks are dead at the call where they stand."""
        for task in self.tasks:
            task.kill()
        self.tasks = []


class Task:
    def __init__(self, work):
        self.future = Future()
        self.left = 0
        self.dead = False
        self._work = work
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = None

    def advance(self, calls):
        """Run up to so many calls; return whether it is done."""
        self.left = calls
        if self._thread is None:
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
        else:
            self._go.release()
        self._back.acquire()
        if self.future.done():
            self._thread.join()
        return self.future.done()

    def before_call(self):
        if self.left <= 0:
            self._back.release()
            self._go.acquire()
        if self.dead:
            raise Killed
        self.left -= 1

    def kill(self):
        self.dead = True
        if self._thread is not None:
            self.advance(1)
        elif not self.future.done():
            self.future.set_exception(Killed())

    def _run(self):
        if not self.future.set_running_or_notify_cancel():
            self._back.release()
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the future is read
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        self._back.release()


class LoopClock(ManualClock):
    """While a loop waits for its commits, they go on."""

    def __init__(self):
        super().__init__()
        self.meanwhile = lambda: None

    def sleep(self, seconds):
        self.advance(seconds + 0.2)
        self.meanwhile()


class Watch:
    def turn(self, assignments):
        pass

    def beat(self):
        pass

    def note_stops(self, assignments):
        pass


class Machine:
    """A worker, its threads and its local disk."""

    def __init__(self, world):
        self.world = world
        self.frozen = False
        self.pool = Slices(world)
        self.consumer = GroupConsumer(world)
        self.events = RecordingEvents()
        self.spool = Path(tempfile.mkdtemp(dir=world.directory))
        self.worker = SinkWorker(
            self.consumer,
            [TOPIC],
            [],
            self._assign,
            Watch(),
            world.clock,
            released=self.events.released,
            due_topics=lambda: [TOPIC] if world.chance.random() < 0.02 else [],
            rows_limit=world.rows_limit,
            once=False,
            revoke=world.revoke,
        )
        self.worker.join()

    def _assign(self, topic, partition):
        world = self.world
        key = ChainKey(topic, partition)
        chain = PartitionChain(
            committer(world.filesystem, key=key, fold_every=4),
            partition,
            log=PartitionLog(world, world.logs[partition]),
            beginning=world.beginning,
            begin=lambda tail, topic_id: open_range(
                world.plan,
                tail,
                committer(world.filesystem, key=key),
                spool=self.spool,
                row_group=world.row_group,
                may_write=lambda: world.chance.random() < 0.5,
                clock=world.clock,
                metrics=world.metrics,
                topic_id=topic_id,
            ),
            require_root=lambda: None,
        )
        ports = Ports(self.consumer, self.pool, world.clock, self.events, world.chance.random)
        return Assignment(topic, partition, chain=chain, limits=world.plan.limits, ports=ports)

    def turn(self):
        self.world.clock.meanwhile = lambda: self.pool.step(self.world.chance.randint(1, 12))
        self.worker.turn()

    def half_a_turn(self):
        """What a frozen process does before it polls again: it works on what it has."""
        for assignment in list(self.worker.assignments.values()):
            assignment.turn()
        self.pool.step(self.world.chance.randint(1, 30))

    def kill(self):
        self.pool.kill()
        for assignment in self.worker.assignments.values():
            assignment.drop()  # only so that no descriptor stays open here
        shutil.rmtree(self.spool)


class World:
    """Everything, and the dice."""

    def __init__(self, seed, directory):
        self.chance = random.Random(seed)
        self.directory = directory
        self.hectic = True
        self.running = None
        self.kafka_down = False
        self.disk_full = False
        self.clock = LoopClock()
        self.metrics = Metrics()
        self.filesystem = Interrupted(self._before_call, self.chance.shuffle)
        self.logs = [Log(partition, self.chance) for partition in range(PARTITIONS)]
        parser = self.chance.choice(["json", "json", "raw"])
        self.parser = parser
        self.plan = plan(
            self.filesystem,
            parser=parser,
            partition_by=self.chance.choice(["dt=%Y-%m-%d", "dt=%Y-%m-%d/hour=%H"]),
            limits=Limits(self.chance.choice([10, 40, None]), None, self.chance.choice([5.0, 60.0]), 20.0),
        )
        self.rows_limit = self.chance.choice([20_000, 100_000, 1 << 30])
        self.row_group = self.chance.choice([5_000, 30_000, 1 << 20])
        self.revoke = self.chance.choice([0.0, 1.0, 20.0])
        self.names = lambda chance: chance.choice(["s", "s", "level", "user"])
        self.machines = [Machine(self), Machine(self)]
        self.owner = {}
        self.accepted = {partition: [] for partition in range(PARTITIONS)}
        self.filesystem.faults = self._fault

    def _before_call(self):
        if self.running is not None:
            self.running.before_call()

    def _fault(self, call):
        if not self.hectic or self.chance.random() > 0.03:
            return None
        return self.chance.choice([Fault.FAIL, Fault.LOSE, Fault.LATE])

    def kafka_may_fail(self):
        if self.kafka_down or (self.hectic and self.chance.random() < 0.03):
            raise Unavailable("no broker")

    def beginning(self):
        own = Beginning(
            topic=TOPIC, partitions=PARTITIONS, start_at="earliest", worker="w", created_at=iso(0), version="1"
        )
        return agree(self.filesystem, own)

    # ── what may happen ──

    def shuffle(self):
        """The group shares the partitions out anew; who is frozen learns of it when it polls again."""
        for partition in range(PARTITIONS):
            key = (TOPIC, partition)
            new = self.chance.choice(self.machines)
            old = self.owner.get(key)
            if new is old or (new.frozen and self.chance.random() < 0.9):
                continue
            if old is not None:
                old.consumer.notices.append(("lost" if old.frozen else "revoke", [key]))
                if not old.frozen:
                    old.turn()
            self.owner[key] = new
            new.consumer.notices.append(("assign", [key]))

    def crash(self):
        machine = self.chance.choice(self.machines)
        machine.kill()
        self.machines[self.machines.index(machine)] = fresh = Machine(self)
        for key, owner in self.owner.items():
            if owner is machine:
                self.owner[key] = fresh
                fresh.consumer.notices.append(("assign", [key]))

    def expire(self):
        log = self.chance.choice(self.logs)
        # Retention deletes whole segments, so whole batches.
        log.start = next((begin for begin in log.batches if begin >= log.start + self.chance.randint(0, 30)), log.start)

    def accept(self):
        """A person accepts whatever loss there is."""
        for log in self.logs:
            hand = committer(self.filesystem, key=ChainKey(TOPIC, log.partition))
            tail = hand.open(StartDraft(log.start))
            if tail.next_offset < log.start:
                first = tail.next_offset
                hand.accept_loss((first, log.start), who="me", why="test")
                self.accepted[log.partition].append((first, log.start))

    def freeze(self):
        machine = self.chance.choice(self.machines)
        machine.frozen = not machine.frozen

    def fill_disk(self):
        self.disk_full = not self.disk_full

    def part_from_kafka(self):
        self.kafka_down = not self.kafka_down

    def land(self):
        if self.filesystem.late:
            self.filesystem.land(self.chance.randrange(len(self.filesystem.late)))

    def grow(self):
        self.chance.choice(self.logs).grow(self.names)

    def nothing(self):
        pass

    def act(self):
        happens = {
            self.shuffle: 6,
            self.crash: 1,
            self.freeze: 2,
            self.fill_disk: 2,
            self.land: 2,
            self.part_from_kafka: 2,
            self.expire: 2,
            self.grow: 4,
            self.nothing: 180,
        }
        self.chance.choices(list(happens), list(happens.values()))[0]()
        machine = self.chance.choice(self.machines)
        if not machine.frozen:
            machine.turn()
        elif self.chance.random() < 0.3:
            machine.half_a_turn()
        for each in self.machines:
            each.pool.step(self.chance.randint(1, 10))

    def end(self):
        """One worker in peace until nothing is left to do; zombies and late answers come in between."""
        self.hectic = self.kafka_down = self.disk_full = False
        last, other = self.machines
        for machine in self.machines:
            machine.frozen = False
        for partition in range(PARTITIONS):
            key = (TOPIC, partition)
            if self.owner.get(key) is other:
                other.consumer.notices.append(("revoke", [key]))
            if self.owner.get(key) is not last:
                self.owner[key] = last
                last.consumer.notices.append(("assign", [key]))
        other.turn()
        for step in range(2_000):
            self.clock.advance(1.0)
            last.turn()
            last.pool.step(1_000)
            other.pool.step(7)
            if step == 40:
                self.accept()
            while self.filesystem.late:
                self.filesystem.land()
            if step > 45 and self.quiet(last) and not other.pool.tasks:
                break
        else:
            raise AssertionError([describe(each) for each in last.worker.assignments.values()])
        other.pool.finish()
        other.kill()
        assert list(last.spool.iterdir()) == [], "nothing in hand, nothing on the local disk"
        last.kill()

    def quiet(self, machine):
        done = {key: each.committed_offset for key, each in machine.worker.assignments.items()}
        return done == {(TOPIC, log.partition): log.end for log in self.logs}

    # ── what is there ──

    def check(self):
        report = verify(self.filesystem, deep=True)
        assert report.ok, report.as_dict()["differences"]
        found = {"data": {}, "quarantine": {}}
        for path, content in self.filesystem.files.items():
            kind = {"t": "data", "_quarantine": "quarantine"}.get(path.partition("/")[0])
            if kind is None:
                continue
            table = pq.read_table(io.BytesIO(content), use_threads=False)
            for row in table.to_pylist():
                place = row["kafka_partition"], row["kafka_offset"]
                assert not any(place in places for places in found.values()), ("twice", place)
                found[kind][place] = row
        for log in self.logs:
            self._check_log(log, found)

    def _check_log(self, log, found):
        lost = {offset for first, end in self.accepted[log.partition] for offset in range(first, end)}
        lost |= set(range(self._begun(log.partition)))
        for offset, verdict in log.verdicts(lost, self.parser == "json"):
            place = log.partition, offset
            kinds = [kind for kind, places in found.items() if place in places]
            assert kinds == [verdict] * (verdict in found), (place, kinds, verdict)
            if kinds:
                self._check_value(verdict, found[verdict][place], log.records[offset][0])

    def _begun(self, partition):
        return committer(self.filesystem, key=ChainKey(TOPIC, partition)).open().start.next_offset

    def _check_value(self, kind, row, value):
        if kind == "quarantine":
            assert row["raw"] == value
        elif self.parser == "raw":
            assert row["value"] == (None if value is None else value.decode())
        elif value is None:
            assert row.get("n") is None
        else:
            assert row["n"] == json.loads(value)["n"]


class Disk:
    """The local disk of all machines: full for a while, now and then."""

    def __init__(self, monkeypatch):
        self.world = None
        pwrite, write = os.pwrite, encode._CheckedFile.write
        monkeypatch.setattr(spill.os, "pwrite", lambda *how: self.may_be_full() or pwrite(*how))
        monkeypatch.setattr(encode._CheckedFile, "write", lambda *how: self.may_be_full() or write(*how))
        # Durability of the local disk is not what is tested here, and it takes time.
        monkeypatch.setattr(encode.os, "fsync", lambda descriptor: None)

    def may_be_full(self):
        if self.world.disk_full and self.world.chance.random() < 0.3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def run(seed, directory, disk):
    disk.world = world = World(seed, directory)
    for log in world.logs:
        for _ in range(BATCHES):
            log.grow(world.names)
    world.shuffle()
    for _ in range(world.chance.choice([20, 150])):
        world.act()
    world.end()
    world.check()


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def directory():
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="sink-", dir=base))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("part", range(8))
def test_every_record_is_in_the_files_exactly_once_whatever_happens(part, directory, disk):
    for seed in range(part * SEEDS // 8, (part + 1) * SEEDS // 8):
        try:
            run(seed, directory, disk)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
