"""Random lives of log files against a list in memory.

A model knows what each content ("life") of each file was; the real source, ledger and reader work on real files. Blocks
are sent, acknowledged out of order, saved, lost in crashes and read again, as they are in the product. Rotated files
are compressed, sometimes in two goes, and sometimes anew because somebody wrote to the original meanwhile.

What is proven for each random history:
  * every record holds exactly the bytes of its interval, and a repeat is identical to its first copy;
  * the intervals of a generation are contiguous;
  * without truncation, or when the truncated content still lives in a rotated copy that the globs match: each life is
    read as exactly one generation, from its first byte to its last;
  * the same for files renamed out of the globs, also before any look and over crashes after a save;
  * with truncation and files renamed out of the globs: everything that was there when the source was drained,
    acknowledged and saved is in Kafka.

What can't be proven, because nobody can read it any more: bytes truncated or deleted between two looks, files that left
the globs before the checkpoint knew them and while nobody looked. There the last part asserts bounds only. The model's
copytruncate is atomic: lines that a writer adds between the copy and the truncation are the rotator's own loss. Two
contents of which one is the beginning of the other can't be told apart at all, so each content of the model begins with
a line of its own; later lines are often alike.
"""

import gzip
import os
import random

import pytest

from ingest.connectors.sources import file as file_source
from ingest.connectors.sources.file import FileOptions, FileSource
from ingest.ship.ledger import Ledger
from ingest.ship.partitions import Topic
from ingest.testing.clock import ManualClock
from tests.builders.sources import context, values

STEPS = 300
MAX_LINE = 120


class Life:
    """One content of one file."""

    def __init__(self):
        self.content = b""
        self.generations = set()
        self.covered = {}

    def expected(self, start, end, flag, drop):
        piece = self.content[start:end]
        names = flag.names if flag else ()
        value = piece if "partial" in names else piece[:-1]
        value = value.lstrip(b"\n") if drop else value
        if "truncated" in names:
            assert len(value) == flag.length
        return value, "truncated" in names


class World:
    """Files on a disk, a source that reads them, and a Kafka that remembers."""

    def __init__(self, directory, seed, pattern, drop):
        self.random = random.Random(seed)
        self.directory = directory
        self.drop = drop
        self.options = FileOptions(
            name="web",
            type="file",
            topic="logs",
            paths=[str(directory / pattern)],
            empty_lines="drop" if drop else "send",
            open_files=self.random.choice([2, 512]),
        )
        self.clock = ManualClock()
        self.lives = []
        self.by_inode = {}
        self.kafka = {}
        self.durable = {}
        self.generations = 1
        self.number = 0
        self.archive = 0
        self.flying = []
        self.begin()
        self.create("app.log")

    # ── the source and what stands around it ──

    def begin(self):
        self.generations += 10_000
        self.ledger = Ledger(self.durable)
        self.source = FileSource(
            self.options,
            context(self.directory, clock=self.clock, max_line=MAX_LINE, first_generation=self.generations),
        )
        self.source.resume(self.ledger.states("web", "logs"))

    def poll(self):
        for block in self.source.poll(self.random.choice([1, 500, 1 << 20])):
            if block.rows:
                self.check(block)
            parcel = self.ledger.accept(block, self.options, topic=Topic(3))
            self.flying += [] if parcel is None else [parcel]
        if self.ledger.waiting:
            self.save()

    def check(self, block):
        life = self.by_inode[block.state["inode"]]
        life.generations.add(block.stream.generation)
        for row, value in enumerate(values(block)):
            start, end = int(block.positions[row]), int(block.positions[row + 1])
            assert start < end
            expected, truncated = life.expected(start, end, block.flags.get(row), self.drop)
            assert value == (expected[: len(value)] if truncated else expected)
            assert not truncated or len(value) > MAX_LINE - 4

    def save(self):
        self.durable = dict(self.ledger.entries)
        for entry in self.ledger.saved():
            self.source.acknowledged(entry.id, entry.position)
        self.flying += self.ledger.release()

    def deliver(self, parcel):
        block = parcel.block
        for row, value in enumerate(values(block)):
            key = (block.stream.generation, int(block.positions[row]), int(block.positions[row + 1]))
            assert self.kafka.setdefault(key, (parcel.partition, value)) == (parcel.partition, value)

    def acknowledge(self, share):
        """Kafka keeps the order within a partition, and here each generation is in one; between them any order."""
        left = []
        for partition in self.random.sample(range(3), 3):
            mine = [parcel for parcel in self.flying if parcel.partition == partition]
            count = round(share * len(mine))
            for parcel in mine[:count]:
                self.deliver(parcel)
            for parcel in self.random.sample(mine[:count], count):
                self.ledger.resolve(parcel)
            left += mine[count:]
        self.flying = left

    def crash(self):
        """Of what was on its way a part arrives, without anybody hearing of it."""
        share = self.random.random()
        for partition in range(3):
            mine = [parcel for parcel in self.flying if parcel.partition == partition]
            for parcel in mine[: round(share * len(mine))]:
                self.deliver(parcel)
        self.flying = []
        self.source.close()
        self.begin()

    def crash_after_a_save(self):
        """A file that left the globs is sought after a crash only if something of it is in the checkpoint."""
        self.clock.advance(1.1)
        self.poll()
        while self.source.next_poll() == 0:
            self.poll()
        if any(file.held and not (file.known or file.listed) for file in self.source._roster.live.values()):
            self.finish()
        self.save()
        self.crash()
        self.poll()

    def settle(self):
        """Read and acknowledge everything there is."""
        for _ in range(5):
            self.clock.advance(1.1)
            self.poll()
            while self.source.next_poll() == 0:
                self.poll()
            self.acknowledge(1.0)
            self.save()

    def finish(self):
        """The same, and let unterminated last lines be given out."""
        self.settle()
        self.clock.advance(400.0)
        self.settle()

    # ── what happens to files ──

    def path(self, name):
        return self.directory / name

    def create(self, name):
        self.path(name).touch()
        self.lives.append(Life())
        self.by_inode[os.stat(self.path(name)).st_ino] = self.lives[-1]

    def append(self, name, data):
        path = self.path(name)
        if not path.exists():
            self.create(name)
        with path.open("ab") as file:
            file.write(data)
        self.by_inode[os.stat(path).st_ino].content += data

    def lines(self):
        self.number += 1
        made = b"%d begins\n" % self.number
        for _ in range(self.random.randrange(8)):
            self.number += 1
            kind = self.random.random()
            if kind < 0.1:
                made += b"\n"
            elif kind < 0.2:
                made += f"{self.number} {'ü€' * self.random.randrange(10, 200)}\r\n".encode()
            elif kind < 0.3:
                made += b"the same as ever\n"
            else:
                made += b"%d %s\n" % (self.number, b"x" * self.random.randrange(0, 60))
        return made

    def half(self):
        self.number += 1
        return b"half a line %d;" % self.number

    def shift(self):
        """Make room at app.log.1."""
        for number in range(8, 0, -1):
            for ending in ("", ".gz"):
                path = self.path(f"app.log.{number}{ending}")
                if path.exists():
                    path.rename(self.path(f"app.log.{number + 1}{ending}"))
        if any(self.directory.glob("app.log.9*")):
            self.finish()
            for last in self.directory.glob("app.log.9*"):
                last.unlink()

    def rotate(self):
        self.shift()
        if self.path("app.log").exists():
            self.path("app.log").rename(self.path("app.log.1"))
        if self.random.random() < 0.8:
            self.create("app.log")

    def copytruncate(self):
        self.shift()
        if not self.path("app.log").exists():
            return
        data = self.path("app.log").read_bytes()
        life = self.by_inode[os.stat(self.path("app.log")).st_ino]
        self.path("app.log.1").write_bytes(data)
        self.by_inode[os.stat(self.path("app.log.1")).st_ino] = life
        self.truncate()

    def truncate(self):
        if self.path("app.log").exists():
            with self.path("app.log").open("r+b") as file:
                file.truncate()
            self.lives.append(Life())
            self.by_inode[os.stat(self.path("app.log")).st_ino] = self.lives[-1]

    def compress(self):
        """Compress a rotated file, or go on where that was begun, or begin anew because it was written to."""
        rotated = [path for path in sorted(self.directory.glob("app.log.*")) if path.suffix != ".gz"]
        if not rotated:
            return
        original = self.random.choice(rotated)
        packed = original.with_name(original.name + ".gz")
        data = original.read_bytes()
        half = len(data) // 2
        whole = gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
        done = packed.read_bytes() if packed.exists() else b""
        if done != whole[: len(done)]:
            packed.unlink()
        left = whole[len(done) :] if packed.exists() else whole
        take = self.random.choice([len(left), len(left), len(left) // 2])
        with packed.open("ab") as file:
            file.write(left[:take])
        self.by_inode[os.stat(packed).st_ino] = self.by_inode[os.stat(original).st_ino]
        if take == len(left):
            original.unlink()

    def recreate(self):
        if self.path("app.log").exists():
            self.finish()
            self.path("app.log").unlink()
            self.create("app.log")

    def rename_away(self):
        if self.path("app.log").exists():
            self.archive += 1
            self.path("app.log").rename(self.path(f"old-{self.archive}"))
            self.create("app.log")

    def write_late(self):
        if self.path("app.log.1").exists():
            self.append("app.log.1", self.random.choice([self.lines, self.half])())

    # ── the random walk ──

    def walk(self, deeds):
        names, weights = zip(*deeds.items(), strict=True)
        actions = {
            "write": lambda: self.append("app.log", self.lines()),
            "half": lambda: self.append("app.log", self.half()),
            "poll": self.poll,
            "ack": lambda: self.acknowledge(self.random.random()),
            "save": self.save,
            "time": lambda: self.clock.advance(self.random.choice([0.02, 0.5, 1.1, 1.1, 7.0])),
            "long": lambda: self.clock.advance(400.0),
            "crash": self.crash,
            "careful": self.crash_after_a_save,
            "rotate": self.rotate,
            "late": self.write_late,
            "copytruncate": self.copytruncate,
            "gzip": self.compress,
            "recreate": self.recreate,
            "truncate": self.truncate,
            "away": self.rename_away,
            "settle": self.drained,
        }
        for name in self.random.choices(names, weights, k=STEPS):
            actions[name]()
        self.finish()

    def drained(self):
        self.settle()
        self.assert_contiguous()
        for path in self.directory.glob("app.log*"):
            self.assert_shipped(self.by_inode[os.stat(path).st_ino], partial=False)

    # ── what must hold ──

    def assert_contiguous(self):
        ends = {}
        for generation, start, end in sorted(self.kafka):
            assert start == ends.get(generation, start), "a hole between intervals"
            ends[generation] = end
        return ends

    def assert_shipped(self, life, partial):
        """Every line of the life is in Kafka; with `partial` its unterminated rest too."""
        content = life.content
        goal = len(content) if partial else content.rfind(b"\n") + 1
        if self.drop:
            goal = len(content[:goal].rstrip(b"\n"))
        ends = [end for generation, _, end in self.kafka if generation in life.generations]
        assert max(ends, default=0) >= goal

    def assert_each_life_is_one_generation(self):
        self.assert_contiguous()
        starts = {}
        for generation, start, _ in sorted(self.kafka, reverse=True):
            starts[generation] = start
        assert set(starts.values()) == {0}
        for life in self.lives:
            shipped = {generation for generation in life.generations if generation in starts}
            assert len(shipped) == (1 if life.content.strip(b"\n" if self.drop else b"") else 0)
            self.assert_shipped(life, partial=True)


COMMON = {"write": 20, "half": 5, "poll": 25, "ack": 10, "save": 5, "time": 15, "long": 1, "crash": 4}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(file_source, "_QUANTUM", 97)


@pytest.mark.parametrize("seed", range(12))
def test_each_life_of_a_file_is_shipped_exactly_once_as_one_generation(tmp_path, small_chunks, seed):
    world = World(tmp_path, seed, "app.log*", drop=seed % 2 == 1)

    world.walk({**COMMON, "rotate": 5, "late": 4, "copytruncate": 3, "recreate": 1, "gzip": 6 * (seed % 3)})

    world.source.close()
    world.assert_each_life_is_one_generation()
    assert len(world.kafka) > 100


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
@pytest.mark.parametrize("seed", range(8))
def test_files_renamed_out_of_the_globs_are_shipped_as_one_generation_each(tmp_path, small_chunks, seed, pattern):
    world = World(tmp_path, 2000 + seed, pattern, drop=seed % 2 == 1)
    world.poll()

    world.walk({**COMMON, "crash": 0, "careful": 5, "away": 8, "rotate": 4 if pattern == "app.log*" else 0})

    world.source.close()
    world.assert_each_life_is_one_generation()
    assert len(world.kafka) > 100
    assert len(world.lives) > 10


@pytest.mark.parametrize("seed", range(12))
def test_what_was_there_when_everything_was_saved_is_in_kafka_whatever_happens_after(tmp_path, small_chunks, seed):
    world = World(tmp_path, 1000 + seed, "app.log*", drop=False)

    world.walk(
        {
            **COMMON,
            "rotate": 3,
            "truncate": 3,
            "copytruncate": 2,
            "away": 3,
            "recreate": 1,
            "settle": 5,
            "gzip": 2 * (seed % 3),
        }
    )

    world.drained()
    world.source.close()
    assert len(world.kafka) > 50
