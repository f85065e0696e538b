"""Whether the stream intervals of records make sense, from the records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ingest.commit.chain import StreamRecord


def stream_problems(before: Mapping[str, StreamRecord], after: Mapping[str, StreamRecord]) -> Iterator[str]:
    """Yield what is wrong with a record's streams, seen from the record before: overlaps, and bytes forgotten.

    A generation that is left out was not seen for long, which is fine.
    """
    for generation, record in after.items():
        if record == before.get(generation):
            continue
        end = -1
        for first, next_ in record.intervals:
            if first < end or next_ <= first:
                yield f"generation {generation}: [{first}, {next_}) overlaps what ends at {end}"
            end = max(end, next_)
        known = before.get(generation)
        if known is not None and covered(record) < covered(known):
            yield f"generation {generation}: {covered(record)} bytes written, the record before said {covered(known)}"


def covered(record: StreamRecord) -> int:
    """Return how many bytes of a generation were written."""
    return sum(end - start for start, end in record.intervals)


def holes(streams: Mapping[str, StreamRecord]) -> Iterator[tuple[str, str]]:
    """Yield (generation, text) for each gap between intervals: lines that never arrived."""
    for generation, record in streams.items():
        for (_, end), (start, _) in zip(record.intervals, record.intervals[1:], strict=False):
            if end < start:
                yield generation, f"positions [{end}, {start}) of {record.host}:{record.path} are missing"
