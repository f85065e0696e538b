"""What tests of the sink need: plans, blocks, and a world of fakes whose every step a test takes itself."""

import json
from concurrent.futures import Future

import numpy as np
import pyarrow as pa

from ingest.blocks import Identity, RecordBlock
from ingest.commit.committer import CommitDraft
from ingest.commit.names import ChainKey
from ingest.commit.schema import SchemaBook
from ingest.commit.tail import Tail
from ingest.config.model import ColumnsOptions
from ingest.connectors.parsers.json import JsonOptions, JsonParser
from ingest.connectors.parsers.raw import RawOptions, RawParser
from ingest.sink.encodings import Encodings
from ingest.sink.event_time import EventTime
from ingest.sink.layout import layout
from ingest.sink.plan import TopicPlan
from ingest.sink.quarantine import Budget
from ingest.sink.rotation import Limits
from tests.builders.chains import committer

TOPIC = "t"
NEVER = Limits(None, None, None, None)


def plan(filesystem, *, parser="raw", schema=None, budget=None, limits=NEVER, partition_by="dt=%Y-%m-%d", field=None):
    made = RawParser(RawOptions()) if parser == "raw" else JsonParser(JsonOptions(schema=schema or {}))
    return TopicPlan(
        topic=TOPIC,
        parser=made,
        book=SchemaBook(filesystem, TOPIC, "w"),
        event_time=EventTime(field),
        layout=layout(partition_by, "UTC"),
        columns=ColumnsOptions(),
        encodings=Encodings(),
        budget=budget or Budget(1.0, 10_000),
        limits=limits,
        cron=None,
        cron_timezone="UTC",
        dedup_days=14,
    )


def source_header(generation, partition=0, topic=TOPIC):
    return json.dumps(
        {
            "generation": f"{generation:016x}",
            "host": "h",
            "path": f"/log/{generation}",
            "source": "s",
            "topic": topic,
            "partition": partition,
        }
    ).encode()


def block(
    offsets, values=None, *, next_offset=None, identity=None, sources=None, timestamps=None, partition=0, begin=0
):
    """identity: row → (generation, start, end); sources: row → header."""
    offsets = np.array(list(offsets), np.int64)
    rows = len(offsets)
    values = [f"value {offset}".encode() for offset in offsets] if values is None else values
    columns = Identity.none(rows)
    for row, (generation, start, end) in (identity or {}).items():
        columns.present[row], columns.generation[row] = True, generation
        columns.start[row], columns.end[row] = start, end
    times = np.full(rows, 1_795_000_000_000, np.int64) if timestamps is None else np.array(timestamps, np.int64)
    end = int(offsets[-1]) + 1 if next_offset is None else next_offset
    return RecordBlock(
        TOPIC,
        partition,
        offsets,
        times,
        pa.array(values, pa.binary()),
        None,
        columns,
        sources or {},
        {},
        end,
        3,
        begin=begin,
    )


def empty_block(next_offset, partition=0):
    return block([], [], next_offset=next_offset, partition=partition)


class StepPool:
    """Runs what was submitted when the test says so."""

    def __init__(self):
        self.waiting = []

    def submit(self, work):
        future = Future()
        self.waiting.append((work, future))
        return future

    def step(self):
        """Run the oldest task to its end."""
        work, future = self.waiting.pop(0)
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where the future is read
            future.set_exception(error)
        else:
            future.set_result(result)

    def run(self):
        while self.waiting:
            self.step()


class RecordingCursor:
    """Knows what is paused and where it was placed, as the consumer does: what was never placed is not read."""

    def __init__(self):
        self.calls = []
        self.paused = set()
        self.placed = {}

    def seek(self, topic, partition, offset, leader_epoch=-1):
        self.calls.append(("seek", (topic, partition), offset, leader_epoch))
        self.placed[topic, partition] = offset

    def pause(self, partitions):
        self.calls.append(("pause", *partitions))
        self.paused |= set(partitions)

    def resume(self, partitions):
        self.calls.append(("resume", *partitions))
        self.paused -= set(partitions)

    def reading(self, key=(TOPIC, 0)):
        return key in self.placed and key not in self.paused


class RecordingEvents:
    def __init__(self):
        self.told = []

    def opened(self, assignment, tail):
        self.told.append(("opened", tail.next_offset))

    def committed(self, assignment, draft, tail):
        self.told.append(("committed", tail.next_offset, draft.reason))

    def fenced(self, assignment, error):
        self.told.append(("fenced",))

    def waiting(self, assignment, error):
        self.told.append(("waiting", str(error)))

    def stopped(self, assignment, stop):
        self.told.append(("stopped", stop.kind, stop.first, stop.next))

    def released(self, assignment):
        self.told.append(("released", assignment.key))

    def of(self, kind):
        return [told for told in self.told if told[0] == kind]


def tail_at(offset, era=0, leader_epoch=-1) -> Tail:
    """A tail as if a chain had been committed up to `offset`."""
    from ingest.testing.memory import MemoryFilesystem

    hand = committer(MemoryFilesystem(), key=ChainKey(TOPIC, 0))
    from ingest.commit.committer import StartDraft

    return hand.open(StartDraft(offset, "id", "test", leader_epoch=leader_epoch))


def draft_to(next_offset, files=()) -> CommitDraft:
    return CommitDraft(next_offset, list(files), reason="test")
