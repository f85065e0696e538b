"""Backfills in one process: a warehouse in memory, files on the disk, and what became of them."""

import io
import itertools
import os
from dataclasses import replace

import pyarrow.parquet as pq

from ingest.backfill.chains import Warehouse
from ingest.backfill.files import listed
from ingest.backfill.intake import World
from ingest.backfill.patience import Patience
from ingest.backfill.run import Run
from ingest.commit.committer import ChainKey, Committer
from ingest.commit.schema import SchemaBook
from ingest.commit.verify import verify
from ingest.config.model import ColumnsOptions
from ingest.connectors.parsers.json import JsonOptions, JsonParser
from ingest.connectors.parsers.raw import RawOptions, RawParser
from ingest.lines import Framing
from ingest.service.metrics import Metrics
from ingest.sink.encodings import Encodings
from ingest.sink.event_time import EventTime
from ingest.sink.layout import layout
from ingest.sink.memory import Shares
from ingest.sink.plan import TopicPlan
from ingest.sink.quarantine import Budget
from ingest.sink.rotation import Limits
from ingest.testing.clock import ManualClock
from ingest.testing.memory import MemoryFilesystem

TOPIC = "t"
HOST = "here"
_IDS = itertools.count()


class Killed(BaseException):
    """The process is gone."""


class Quiet:
    """A watcher who looks at nothing."""

    def begin(self, file):
        pass

    def moved(self, consumed):
        pass

    def end(self, outcome):
        pass


class WatchedParser(RawParser):
    """Says so before it parses."""

    def __init__(self, watch):
        super().__init__(RawOptions())
        self._watch = watch

    def parse(self, values, schema):
        self._watch()
        return super().parse(values, schema)


class Box:
    """One warehouse and one directory of files; every `take` is a process of its own."""

    def __init__(self, directory, *, parser="raw", rows=None, budget=None, drop_empty=False, max_line=1 << 20):
        self.directory = directory
        self.filesystem = MemoryFilesystem(consume=True)
        self.clock = ManualClock()
        self.stop = False
        self.said = []
        self._spools = itertools.count()
        self.parsing = lambda: None
        """Called before lines are parsed: in the midst of an intake, and never while files are looked at."""
        made = WatchedParser(lambda: self.parsing()) if parser == "raw" else JsonParser(JsonOptions())
        self.plan = TopicPlan(
            topic=TOPIC,
            parser=made,
            book=SchemaBook(self.filesystem, TOPIC, "w"),
            event_time=EventTime(),
            layout=layout("dt=%Y-%m-%d", "UTC"),
            columns=ColumnsOptions(),
            encodings=Encodings(),
            budget=budget or Budget(1.0, 10_000),
            limits=Limits(rows, None, None, None),
            cron=None,
            cron_timezone="UTC",
            dedup_days=14,
            kafka=False,
        )
        self.framing = Framing(max_line, drop_empty)

    def write(self, name, content, modified=1_700_000_000):
        path = self.directory / name
        path.write_bytes(content)
        os.utime(path, (modified, modified))
        return str(path)

    def committer(self, generation):
        return Committer(
            self.filesystem,
            ChainKey.backfill(TOPIC, generation),
            worker="w",
            version="1",
            now=self.clock.now,
            new_id=lambda: f"id{next(_IDS)}",
            fold_every=3,
        )

    @property
    def chains(self):
        return Warehouse(self.filesystem, TOPIC, self.committer)

    def world(self, **changes):
        spool = self.directory / f"spool{next(self._spools)}"
        spool.mkdir()
        made = World(
            filesystem=self.filesystem,
            plan=self.plan,
            committer=self.committer,
            source="web",
            labels={},
            framing=self.framing,
            host=HOST,
            spool=spool,
            shares=Shares.of(64 << 20),
            clock=self.clock,
            metrics=Metrics(),
            patience=Patience(self.clock, self.wait, self.said.append),
            stopping=lambda: self.stop,
        )
        return replace(made, **changes)

    def wait(self, seconds):
        self.clock.sleep(seconds)
        return self.stop

    def at_parse(self, number, action):
        """Do something when lines are parsed for the `number`-th time from now, once."""
        left = number

        def count():
            nonlocal left
            left -= 1
            if left == 0:
                action()

        self.parsing = count

    def end(self):
        """Ask the run to end."""
        self.stop = True

    def take(self, *paths, again=False, watcher=None, **changes):
        """Run, and return what became of the files."""
        run = Run(self.world(**changes), watcher or Quiet(), again=again)
        return run.take(listed(paths))

    def take_one(self, path, **changes):
        (outcome,) = self.take(path, **changes)
        return outcome

    # ── what is in the warehouse ──

    def table(self, kind=TOPIC):
        """Every row of the visible files, as dicts."""
        rows = []
        for path, content in self.filesystem.files.items():
            if path.startswith(f"{kind}/"):
                rows += pq.read_table(io.BytesIO(content)).to_pylist()
        return rows

    def rows(self):
        """generation → its lines' bytes in the order of their positions."""
        found = {}
        for row in sorted(self.table(), key=lambda row: row["source_position"]):
            value = row["value"].encode() if row["value_bytes"] is None else row["value_bytes"]
            found.setdefault(row["source_generation"], []).append(value)
        return found

    def lines(self):
        """The lines of all generations."""
        return sorted(line for lines in self.rows().values() for line in lines)

    def verify(self):
        report = verify(self.filesystem, deep=True)
        assert report.ok, report.as_dict()
        return report
