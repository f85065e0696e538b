"""Makes the open range that follows a tail."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ingest.clock import Clock
from ingest.commit.committer import Committer, Tail
from ingest.service.metrics import Metrics
from ingest.sink.background import BackgroundFile, Encoder
from ingest.sink.dedup import Ledger, StreamLedger
from ingest.sink.encode import ParquetFile
from ingest.sink.open_files import Kind, OpenFiles, Writer
from ingest.sink.open_range import OpenRange
from ingest.sink.plan import TopicPlan
from ingest.sink.spill import Spill
from ingest.sink.streams import from_record, from_records

BACKFILL = -1
"""The partition that `ingest-src` names where lines never were in Kafka."""


def open_range(
    plan: TopicPlan,
    tail: Tail,
    finder: Committer,
    *,
    spool: Path,
    row_group: int,
    may_write: Callable[[], bool],
    clock: Clock,
    metrics: Metrics,
    encoder: Encoder | None = None,
    topic_id: str | None = None,
) -> OpenRange:
    """Return an empty range that begins at `tail`.

    Args:
        plan: what is done with the topic.
        tail: the newest commit.
        finder: looks generations up in the archives. Not the committer that commits, which another thread uses, and
            made for this range: what it has looked up once, it does not look up again.
        spool: local directory for what is not committed; emptied at every start.
        row_group: bytes of columns that are worth a row group.
        may_write: see `OpenFiles`.
        clock: time.
        metrics: counts.
        encoder: encodes row groups on other threads; None = they are encoded where rows are added.
        topic_id: of the topic that is read, where the chain does not know it.
    """
    key = tail.key
    expected = "kafka_offset" if plan.kafka else "source_position"
    column: str = getattr(plan.columns, expected)

    def start(kind: Kind, schema: pa.Schema) -> Writer:
        file = ParquetFile(
            spool / f"{uuid.uuid4().hex}.parquet",
            schema,
            plan.encodings,
            topic=key.topic,
            partition=key.partition,
            offset_column=column if kind == "data" and column != expected else None,
        )
        return file if encoder is None else BackgroundFile(file, encoder)

    def find(generation: int) -> StreamLedger | None:
        record = finder.find_stream(generation)
        return None if record is None else from_record(record)

    ledger = Ledger(
        key.topic, BACKFILL if key.is_backfill else int(key.partition), from_records(tail.streams), find, clock.now
    )

    def files() -> OpenFiles:
        return OpenFiles(start, Spill(spool / f"{uuid.uuid4().hex}.spill"), row_group, may_write)

    return OpenRange(plan, tail, topic_id, ledger, files, clock, metrics)
