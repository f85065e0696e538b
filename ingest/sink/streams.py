"""Ledgers of streams ↔ their records in commits."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.commit.chain import StreamRecord, micros
from ingest.sink.dedup import StreamLedger


def to_records(streams: Mapping[int, StreamLedger]) -> dict[str, StreamRecord]:
    """Return what a commit says of these generations."""
    return {f"{generation:016x}": _to_record(stream) for generation, stream in streams.items()}


def from_records(records: Mapping[str, StreamRecord]) -> dict[int, StreamLedger]:
    """Return ledgers that go on where a commit ends."""
    return {int(generation, 16): from_record(record) for generation, record in records.items()}


def from_record(record: StreamRecord) -> StreamLedger:
    """Return the ledger of one generation."""
    return StreamLedger(
        record.host,
        record.path,
        record.source,
        record.seen / 1_000_000,
        [start for start, _ in record.intervals],
        [end for _, end in record.intervals],
        list(record.crc),
    )


def _to_record(stream: StreamLedger) -> StreamRecord:
    return StreamRecord(
        intervals=tuple(zip(stream.starts, stream.ends, strict=True)),
        crc=tuple(stream.crcs),
        host=stream.host,
        path=stream.path,
        source=stream.source,
        seen=micros(stream.seen),
    )
