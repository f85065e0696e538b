"""Random lives of a queue on disk against a list in memory.

Lines are appended, made durable, handed out, acknowledged out of order, saved; processes are killed, also in the midst
of an append. The real ledger stands between the queue and Kafka, as it does in the product.

What is proven for each random history: every line whose append returned is in Kafka; a repeat is identical in its
position and bytes to its first copy; the intervals of a generation are contiguous; there is one generation, since
nothing is damaged by a crash; what was held back is there again; and what is acknowledged does not stay on disk.
"""

import contextlib
import itertools
import os
import random

import pytest

from ingest.connectors.queue.frame import Held
from ingest.connectors.queue.piece import Piece
from ingest.connectors.queue.queues import Queues
from ingest.connectors.sources.stdin import StdinOptions
from ingest.ship.ledger import Ledger
from ingest.ship.partitions import Topic
from tests.builders.sources import context, values

STEPS = 300
LIMIT = 4 << 10
OPTIONS = StdinOptions(name="in", type="stdin", topic="logs")


class Killed(Exception):
    """The process is no more."""


class Fuse:
    """Writes so many bytes, then never again."""

    def __init__(self, left):
        self.left = left
        self.whole = 0
        self.real = os.pwrite

    def __call__(self, fd, data, place):
        written = self.real(fd, data[: self.left], place)
        self.left -= written
        if written < len(data):
            raise Killed
        self.whole += 1
        return written


class World:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.directory = directory
        self.spool = directory / "spool"
        self.begun = itertools.count(1)
        self.number = itertools.count()
        self.kept = []
        self.unsure = []
        self.kafka = {}
        self.durable = {}
        self.held = Held()
        self.begin()

    def begin(self):
        self.flying = []
        self.ledger = Ledger(self.durable)
        self.queues = Queues(context(self.directory, first_generation=1000 * next(self.begun)), OPTIONS, LIMIT)
        self.queues.resume(self.ledger.states("in", "logs"), ["a"])

    def value(self):
        length = self.random.choice([0, 1, 10, 200])
        return b"%d\n%s" % (next(self.number), self.random.randbytes(length))

    def append(self):
        if self.queues.room("a"):
            self.unsure.append([self.value() for _ in range(self.random.randrange(1, 5))])
            self.queues.add("a", Piece.of_values(self.unsure[-1]))

    def hold(self):
        self.queues.log("a").hold(Held(self.random.randbytes(self.random.randrange(100))))

    def commit(self):
        self.queues.commit()
        self.held = self.queues.log("a").held
        self.kept += itertools.chain.from_iterable(self.unsure)
        self.unsure = []

    def take(self):
        for block in self.queues.take(self.random.choice([1, 500, 1 << 20])):
            parcel = self.ledger.accept(block, OPTIONS, topic=Topic(1))
            self.flying += [] if parcel is None else [parcel]
        if self.ledger.waiting:
            self.save()

    def save(self):
        self.durable = dict(self.ledger.entries)
        for entry in self.ledger.saved():
            self.queues.acknowledged(entry.id, entry.position)
        self.flying += self.ledger.release()

    def deliver(self, parcel):
        block = parcel.block
        for row, value in enumerate(values(block)):
            key = (block.stream.generation, int(block.positions[row]), int(block.positions[row + 1]))
            assert self.kafka.setdefault(key, value) == value

    def acknowledge(self, share=None):
        count = round((self.random.random() if share is None else share) * len(self.flying))
        for parcel in self.flying[:count]:
            self.deliver(parcel)
        for parcel in self.random.sample(self.flying[:count], count):
            self.ledger.resolve(parcel)
        self.flying = self.flying[count:]

    def crash(self):
        """Of what was on its way a part arrives, without anybody hearing of it."""
        for parcel in self.flying[: self.random.randrange(len(self.flying) + 1)]:
            self.deliver(parcel)
        self.queues.close()
        self.unsure = []
        self.begin()
        assert self.queues.log("a").held == self.held

    def crash_in_append(self):
        """Any number of bytes reach the disk."""
        self.append()
        appended, held = list(itertools.chain.from_iterable(self.unsure)), self.queues.log("a").held
        fuse = Fuse(self.random.randrange(3000))
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(os, "pwrite", fuse)
            self.queues.commit()
        if fuse.whole:
            self.kept += appended
            self.held = held
        self.crash()

    def segments(self):
        return sorted(self.spool.glob("*/*.segment"))

    def settle(self):
        self.commit()
        while self.queues.pending:
            self.take()
        self.acknowledge(1.0)
        self.save()


ACTIONS = {
    "append": 30,
    "hold": 5,
    "commit": 20,
    "take": 20,
    "acknowledge": 15,
    "save": 10,
    "crash": 4,
    "crash_in_append": 4,
}


@pytest.mark.parametrize("seed", range(20))
def test_what_was_appended_is_handed_out_with_the_same_positions_whatever_is_killed(tmp_path, seed):
    world = World(tmp_path, seed)

    for name in world.random.choices(list(ACTIONS), ACTIONS.values(), k=STEPS):
        getattr(world, name)()
    world.settle()

    world.queues.close()
    delivered = sorted(world.kafka.items())
    assert [value for _, value in delivered] == world.kept
    assert {generation for (generation, _, _), _ in delivered} == {delivered[0][0][0]}
    assert [start for (_, start, _), _ in delivered] == [0, *(end for (_, _, end), _ in delivered)][:-1]
    assert len(world.kept) > 20
    assert len(world.segments()) == 1
