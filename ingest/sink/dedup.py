"""Which records were written before: the ledger of position intervals of one topic partition.

A line is identified by (generation, start, end). Per generation the ledger holds the set of positions whose rows are
written, as disjoint, non-touching intervals; nearly always there is one. Intervals and not a high-water mark, because
a batch that was refused and is sent again after its followers is no repeat.

The ledger moves with what is read, not with what is committed: whoever drops work begins again from the ledger of the
newest commit.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import crc32c
import numpy as np

from ingest.blocks import Bools, Int64s, RecordBlock
from ingest.errors import Fatal


class StreamConflict(Fatal):
    """Two different lines claim the same positions: a cloned machine, or a state directory that was restored."""


@dataclass(slots=True)
class StreamLedger:
    """What is written of one generation.

    Attributes:
        starts, ends: parallel and ascending; interval i is [starts[i], ends[i]).
        crcs: crc32c of the value of the row that ends at ends[i].
        host, path, source: from `ingest-src`.
        seen: seconds since 1970 UTC when a record of the generation was last met.
    """

    host: str
    path: str
    source: str
    seen: float
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    crcs: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return what the column `source_stream` shows."""
        return f"{self.host}:{self.path}"

    def add(self, start: int, end: int, crc: int) -> None:
        """Unite [start, end) with the set; `crc` belongs to the row that ends at `end`."""
        first = bisect_left(self.ends, start)
        last = bisect_right(self.starts, end)
        if first < last:
            start = min(start, self.starts[first])
            if self.ends[last - 1] > end:
                end, crc = self.ends[last - 1], self.crcs[last - 1]
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]
        self.crcs[first:last] = [crc]

    def compare(self, starts: Int64s, ends: Int64s) -> tuple[Bools, Bools]:
        """Return two bool[n]: rows wholly inside the set, and rows that touch it at all."""
        if not self.starts:
            nothing = np.zeros(len(starts), np.bool_)
            return nothing, nothing
        known_starts = np.array(self.starts, np.int64)
        known_ends = np.array(self.ends, np.int64)
        before = np.searchsorted(known_starts, starts, "right") - 1
        has_before = before >= 0
        reach = np.where(has_before, known_ends[np.maximum(before, 0)], -1)
        after = np.minimum(before + 1, len(known_starts) - 1)
        meets_next = (before + 1 < len(known_starts)) & (known_starts[after] < ends)
        return has_before & (reach >= ends), (reach > starts) | meets_next


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with the rows of a block; each row is in exactly one of the three.

    Attributes:
        keep: int64, ascending: rows to write.
        repeated: int64, ascending: rows written before; dropped and counted.
        overlapping: int64, ascending: rows that lie partly in what was written; they go to quarantine.
        streams: generation → name for `source_stream`, for every generation that is judged.
    """

    keep: Int64s
    repeated: Int64s
    overlapping: Int64s
    streams: Mapping[int, str]


_KEEP, _REPEATED, _OVERLAPPING = 0, 1, 2


class Ledger:
    """The streams of one topic partition.

    Only generations that `ingest-src` introduced with this very topic and partition are judged: headers that a stream
    processor copied elsewhere mean nothing there.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        streams: Mapping[int, StreamLedger],
        find: Callable[[int], StreamLedger | None],
        now: Callable[[], float],
    ) -> None:
        """Begin with the streams of the newest commit; `find` looks an older generation up in the archive."""
        self._topic = topic
        self._partition = partition
        self.streams = dict(streams)
        self._find = find
        self._now = now
        self._forgotten: dict[int, StreamLedger] = {}

    def judge(self, block: RecordBlock) -> Verdict:
        """Decide about each row and enter what is kept or quarantined.

        Raises:
            StreamConflict: a repeat has the end of a written row and other bytes.
        """
        self._introduce(block)
        verdict = np.full(block.rows, _KEEP, np.int8)
        names: dict[int, str] = {}
        identity = block.identity
        present = np.flatnonzero(identity.present)
        if len(present):
            generations = identity.generation[present]
            for generation in np.unique(generations):
                stream = self.streams.get(int(generation))
                if stream is None:
                    continue
                names[int(generation)] = stream.name
                stream.seen = self._now()
                self._judge_stream(stream, block, present[generations == generation], verdict)
        return Verdict(
            np.flatnonzero(verdict == _KEEP),
            np.flatnonzero(verdict == _REPEATED),
            np.flatnonzero(verdict == _OVERLAPPING),
            names,
        )

    def recent(self, days: float) -> dict[int, StreamLedger]:
        """Forget streams not seen for `days` (the archive remembers them) and return the others."""
        oldest = self._now() - days * 86400
        for key in [key for key, stream in self.streams.items() if stream.seen < oldest]:
            # Kept here too: `find` may look at an archive that was read before this stream's last commit.
            self._forgotten[key] = self.streams.pop(key)
        return self.streams

    def _introduce(self, block: RecordBlock) -> None:
        for header in block.sources.values():
            source = parse_source_header(header)
            if source is None or source.topic != self._topic or source.partition != self._partition:
                continue
            if source.generation not in self.streams:
                found = self._forgotten.pop(source.generation, None) or self._find(source.generation)
                self.streams[source.generation] = found or StreamLedger(
                    source.host, source.path, source.source, self._now()
                )
            stream = self.streams[source.generation]
            stream.host, stream.path, stream.source = source.host, source.path, source.source

    def _judge_stream(self, stream: StreamLedger, block: RecordBlock, rows: Int64s, verdict: Any) -> None:
        starts = block.identity.start[rows]
        ends = block.identity.end[rows]
        # Runs of touching rows are disjoint within themselves, so each run is judged as a whole.
        breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
        for lo, hi in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
            self._judge_run(stream, block, rows[lo:hi], starts[lo:hi], ends[lo:hi], verdict)

    def _judge_run(
        self, stream: StreamLedger, block: RecordBlock, rows: Int64s, starts: Int64s, ends: Int64s, verdict: Any
    ) -> None:
        inside, touching = stream.compare(starts, ends)
        if not touching.any():
            stream.add(int(starts[0]), int(ends[-1]), _crc(block, int(rows[-1])))
            return
        self._refuse_conflicts(stream, block, rows[inside], ends[inside])
        verdict[rows[inside]] = _REPEATED
        verdict[rows[touching & ~inside]] = _OVERLAPPING
        for row in np.flatnonzero(~inside):
            stream.add(int(starts[row]), int(ends[row]), _crc(block, int(rows[row])))

    def _refuse_conflicts(self, stream: StreamLedger, block: RecordBlock, rows: Int64s, ends: Int64s) -> None:
        for row in np.flatnonzero(np.isin(ends, np.array(stream.ends, np.int64))):
            known = stream.crcs[bisect_left(stream.ends, int(ends[row]))]
            if _crc(block, int(rows[row])) != known:
                raise StreamConflict(
                    f"{self._topic}/{self._partition} offset {int(block.offsets[rows[row]])}: the line of "
                    f"{stream.name} that ends at byte {int(ends[row])} was written before with other bytes. Two "
                    "shippers use one identity (a cloned machine or a restored state directory): stop one, remove its "
                    "state directory, and start it again"
                )


def _crc(block: RecordBlock, row: int) -> int:
    value = block.values[row]
    return int(crc32c.crc32c(value.as_buffer())) if value.is_valid else 0


@dataclass(frozen=True, slots=True)
class SourceHeader:
    """The header `ingest-src`, as far as the sink needs it."""

    generation: int
    host: str
    path: str
    source: str
    topic: str
    partition: int


def parse_source_header(header: bytes) -> SourceHeader | None:
    """Return what the header says, or None where it isn't one of ours."""
    try:
        found = json.loads(header)
        return SourceHeader(
            int(found["generation"], 16),
            str(found["host"]),
            str(found["path"]),
            str(found["source"]),
            str(found["topic"]),
            int(found["partition"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
