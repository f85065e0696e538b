"""What is open for one topic partition: the range from its newest commit to what was read last.

    RecordBlock ─ judge (repeats) ─ parse ─ rows ─ event times ─ partition paths ─ open files
                        └ overlaps ──────┴ rejects ─ quarantine ──────────────────────┘

Sealing gives the range away, to be committed, and begins the one after it. Abandoning forgets it:
everything will be read again.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.blocks import Int64s, Parsed, RecordBlock
from ingest.clock import Clock
from ingest.commit.committer import CommitDraft, Tail
from ingest.errors import QuarantineBudget, Unavailable
from ingest.service.metrics import Metrics
from ingest.sink import rows
from ingest.sink.dedup import Ledger
from ingest.sink.open_files import OpenFiles
from ingest.sink.plan import TopicPlan
from ingest.sink.quarantine import OVERLAP, PARSE, Window, quarantined
from ingest.sink.rotation import Open, Reason
from ingest.sink.sealed import SealedRange
from ingest.sink.streams import to_records


class OpenRange:
    """Rows of one topic partition on their way into files. One thread.

    Args:
        plan: what is done with the topic.
        tail: the newest commit.
        topic_id: of the topic that is read; None or "" = unknown.
        ledger: begun from the tail's streams.
        open_files: makes what the rows of one range go to.
        clock: ages are monotonic; absurd event times are told from the wall clock.
        metrics: counts what happens to records.
    """

    def __init__(
        self,
        plan: TopicPlan,
        tail: Tail,
        topic_id: str | None,
        ledger: Ledger,
        open_files: Callable[[], OpenFiles],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.files = open_files()
        self.topic_id = tail.topic_id or topic_id or None
        self.first_offset = self.next_offset = tail.next_offset
        self._where = f"{tail.key}"
        self._plan = plan
        self._ledger = ledger
        self._open_files = open_files
        self._clock = clock
        self._metrics = metrics
        self._leader_epoch = tail.leader_epoch
        self._window = Window(*tail.window[0]) if tail.window else Window()
        self._excess = self._window.rejects > plan.budget.allowed
        self._schema = plan.parser.schema()
        if self._schema is None:
            self._schema = plan.book.current()
        self._shape = rows.shape(self._schema, plan.columns, plan.layout.keys)
        self._begin()

    def _begin(self) -> None:
        self.first_offset = self.next_offset
        self._rows = self._quarantined = self._duplicates = 0
        self._since = self._latest = self._clock.monotonic()

    @property
    def empty(self) -> bool:
        """Return whether nothing was read since the newest commit, not even a record to skip."""
        return self.next_offset == self.first_offset

    def figures(self) -> Open:
        """Return what decides about rotation."""
        if self.empty:
            now = self._clock.monotonic()
            return Open(0, 0, now, now)
        return Open(self._rows + self._quarantined, self.files.encoded, self._since, self._latest)

    # ── in ──────────────────────────────────────────────────────────────────

    def add(self, block: RecordBlock) -> None:
        """Take a block in. After any error part of it may be in: only `abandon` may be called then.

        Raises:
            Unavailable: columns could not be agreed on, an archive not read, the local disk is full, or the block
                does not begin at the end of what was taken in.
            StreamConflict: a repeat has other bytes.
        """
        if block.rows and int(block.offsets[0]) < self.next_offset:
            raise Unavailable(
                f"{self._where}: a block begins at offset {int(block.offsets[0])}, and everything below "
                f"{self.next_offset} was taken in already: reading anew from the newest commit"
            )
        if block.begin > self.next_offset:
            raise Unavailable(
                f"{self._where}: a block begins at offset {block.begin}, and only what is below {self.next_offset} was "
                "taken in: reading anew from the newest commit"
            )
        self._latest = self._clock.monotonic()
        if self.empty:
            self._since = self._latest
        if block.rows:
            self._take(block)
        self.next_offset = max(self.next_offset, block.next_offset)
        if block.leader_epoch >= 0:
            self._leader_epoch = block.leader_epoch

    def over_budget(self) -> QuarantineBudget | None:
        """Return the error that more records were refused than may be, until a person accepts it."""
        if not self._excess:
            return None
        budget = self._plan.budget
        return QuarantineBudget(
            f"{self._where}: more than {budget.allowed} of {budget.window} records could not be parsed. They are in "
            f"_quarantine/{self._plan.topic} with their reasons. If that is as it should be, go on with "
            "`ingest accept-loss --quarantine`"
        )

    def _take(self, block: RecordBlock) -> None:
        topic = self._plan.topic
        self._metrics.sink_records.labels(topic).inc(block.rows)
        verdict = self._ledger.judge(block)
        if len(verdict.repeated):
            self._duplicates += len(verdict.repeated)
            self._metrics.sink_duplicates.labels(topic).inc(len(verdict.repeated))
        if len(verdict.overlapping):
            reasons = ["overlap"] * len(verdict.overlapping)
            self._refuse(block, verdict.overlapping, reasons, OVERLAP, verdict.streams)
        kept = block if len(verdict.keep) == block.rows else block.take(verdict.keep)
        if not kept.rows:
            return
        parsed = self._parse(kept)
        if len(parsed.rejects):
            self._refuse(kept, parsed.rejects, parsed.reasons, PARSE, verdict.streams)
        if len(parsed.rows):
            self._write(kept, parsed, verdict.streams)
        self._spend(kept.rows, parsed.rejects)
        self._count(parsed.counted)

    def _parse(self, block: RecordBlock) -> Parsed:
        parsed = self._plan.parser.parse_dated(block.values, self._schema, block.timestamps)
        while parsed.new_columns:
            self._schema = self._plan.book.agree(parsed.new_columns)
            self._shape = rows.shape(self._schema, self._plan.columns, self._plan.layout.keys)
            parsed = self._plan.parser.parse_dated(block.values, self._schema, block.timestamps)
        return parsed

    def _write(self, block: RecordBlock, parsed: Parsed, streams: Mapping[int, str]) -> None:
        plan = self._plan
        table = rows.build(self._shape, block, parsed, streams, kafka=plan.kafka)
        times = plan.event_time.of(parsed.table, block.timestamps[parsed.rows], self._clock.now())
        self._count(times.counted)
        if plan.kafka:
            self._count({"kafka timestamp out of range": rows.lost_timestamps(block.timestamps)})
        placement = plan.layout.place(table, times.us, self._shape.renamed, self.files.paths)
        self._count({"too many partition paths": placement.overflowed})
        offsets = block.offsets[parsed.rows]
        for path, chosen in _by_path(placement.paths, placement.codes):
            if chosen is None:
                self.files.add("data", path, table, offsets, times.us)
            else:
                self.files.add("data", path, table.take(pa.array(chosen)), offsets[chosen], times.us[chosen])
        self._rows += table.num_rows

    def _refuse(
        self, block: RecordBlock, refused: Int64s, reasons: Sequence[str], stage: str, streams: Mapping[int, str]
    ) -> None:
        """Put rows into quarantine, below the day in which they are refused."""
        table = quarantined(block, refused, reasons, stage, streams, kafka=self._plan.kafka)
        day = datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC)
        self.files.add("quarantine", f"dt={day:%Y-%m-%d}", table, block.offsets[refused], None)
        self._quarantined += len(refused)
        for reason in set(reasons):
            self._metrics.sink_quarantined.labels(self._plan.topic, reason).inc(reasons.count(reason))

    def _spend(self, records: int, rejects: Int64s) -> None:
        """Count against the budget; once it is exceeded the window stays as it is, so that a restart sees it too."""
        if self._excess:
            return
        budget = self._plan.budget
        self._window, past = budget.spend(self._window, records, rejects)
        if past is not None:
            self._excess = True
            self._window = Window(budget.window, budget.allowed + 1)

    def _count(self, counted: Mapping[str, int]) -> None:
        for reason, records in counted.items():
            if records:
                self._metrics.sink_counted.labels(self._plan.topic, reason).inc(records)

    # ── out ──────────────────────────────────────────────────────────────────

    def seal(self, reason: Reason) -> SealedRange:
        """Give the range away; the next one is open, and nothing is in it yet."""
        draft = CommitDraft(
            next_offset=self.next_offset,
            duplicates=self._duplicates,
            streams=to_records(self._ledger.recent(self._plan.dedup_days)),
            leader_epoch=self._leader_epoch,
            reason=str(reason),
            window=((self._window.records, self._window.rejects),),
            topic_id=self.topic_id,
        )
        sealed = SealedRange(self.files, draft)
        self.files = self._open_files()
        self._begin()
        return sealed

    def abandon(self) -> None:
        """Forget what is open.

        Raises:
            SpoolFailed: a local file could not be deleted; nothing else is left.
        """
        self.files.abandon()


def _by_path(paths: Sequence[str], codes: npt.NDArray[np.int32]) -> list[tuple[str, Int64s | None]]:
    """Return each path with its rows, ascending; None = all rows."""
    if len(paths) == 1:
        return [(paths[0], None)]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(paths) + 1))
    return [(path, order[bounds[code] : bounds[code + 1]]) for code, path in enumerate(paths)]
