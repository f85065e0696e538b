r"""The records on disk: where a chain begins, and what each commit did.

Records are canonical JSON (sorted keys, no spaces, UTF-8; text that has no UTF-8 form is written with \u escapes
throughout), so that "is this my own record?" is a comparison of bytes. Readers ignore members they don't know; a newer
`format` is refused. Records are compared, digested and archived as the bytes they were read as, so nothing gets lost.

Times: `created_at` and `when` are for people, ISO 8601 UTC with microseconds ("2026-11-23T03:48:00.000000Z").
`min_time`, `max_time` and `seen` are computed with: integers, microseconds since 1970 UTC.
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import crc32c as _crc32c
import msgspec

from ingest.commit import names
from ingest.errors import StateDamaged

FORMAT = 1
"""The format of all records that this version writes, and the newest that it reads."""

Kind = Literal["data", "loss", "budget"]
Window = tuple[tuple[int, int], ...]
"""The quarantine window: (records, of them quarantined) per block, oldest first; the sink cuts it to its length."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all records share: immutable; members that keep their default are left out."""


class StreamRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What was written of one generation.

    Attributes:
        intervals: [start, end) in ascending order, apart from each other: neighbours that touch are one.
        crc: crc32c of each interval's last row's value, parallel to `intervals`.
        host: where the stream was read.
        path: its name for people.
        source: the source that read it.
        seen: when a record of it was last committed, microseconds since 1970 UTC.
    """

    intervals: tuple[tuple[int, int], ...]
    crc: tuple[int, ...]
    host: str
    path: str
    source: str
    seen: int

    def __post_init__(self) -> None:
        if len(self.crc) != len(self.intervals):
            raise ValueError("a stream needs one crc for each interval")


Streams = Mapping[str, StreamRecord]
"""Generation as 16 hex digits → its record."""


class CommitFile(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a commit. Paths are relative to the root; both ends of offsets and times are inclusive."""

    kind: Literal["data", "quarantine"]
    path: str
    stage: str
    rows: int
    bytes: int
    crc32c: int
    first_offset: int
    last_offset: int
    min_time: int | None
    max_time: int | None


class Previous(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The record before: its file name and the crc32c of its bytes."""

    name: str
    crc32c: int


class Accepted(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a person accepted: the offsets [first, next) that were shown as lost, by whom, when and why."""

    first: int
    next: int
    who: str
    when: str
    why: str


class Content(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How far a backfill is: digest of all bytes below the record's next_offset, the file's path and size when read."""

    digest: str
    path: str
    size: int


class Start(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Where an era begins.

    `next_offset` is the first offset to read. Era 0 is published by the first worker that finds no chain; a later era
    by what closed the one before, with its streams. `leader_epoch` -1 = unknown. `topic_id` None = unknown, or
    a backfill.
    """

    topic: str
    topic_id: str | None
    partition: int | str
    era: int
    next_offset: int
    streams: dict[str, StreamRecord]
    why: str
    worker: str
    created_at: str
    version: str
    leader_epoch: int = -1
    window: Window = ()
    content: Content | None = None
    format: int = msgspec.field(default_factory=lambda: FORMAT)

    def __post_init__(self) -> None:
        if self.next_offset < 0 or self.era < 0:
            raise ValueError("a chain begins at an offset and an era of at least 0")


class Commit(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What makes the offsets [first_offset, next_offset) done.

    `rows` counts the rows of data files, `quarantined` those of quarantine files, `duplicates` the records dropped as
    repeats. `streams` is the total as of this commit. A record with `opens` closes its era: it stands where the next
    commit would, so that no zombie can go on there; its range means nothing, reading goes on at `opens.next_offset`.
    """

    kind: Kind
    topic: str
    topic_id: str | None
    partition: int | str
    era: int
    first_offset: int
    next_offset: int
    files: tuple[CommitFile, ...]
    rows: int
    quarantined: int
    duplicates: int
    streams: dict[str, StreamRecord]
    leader_epoch: int
    window: Window
    reason: str
    worker: str
    created_at: str
    version: str
    previous: Previous
    accepted: Accepted | None = None
    opens: Start | None = None
    content: Content | None = None
    format: int = msgspec.field(default_factory=lambda: FORMAT)

    def __post_init__(self) -> None:
        if not 0 <= self.first_offset < self.next_offset:
            raise ValueError(f"a commit covers at least one offset, not [{self.first_offset}, {self.next_offset})")
        if len({file.path for file in self.files} | {file.stage for file in self.files}) != 2 * len(self.files):
            raise ValueError(f"two files of the commit at {self.first_offset} have the same path")
        for file in self.files:
            if not self.first_offset <= file.first_offset <= file.last_offset < self.next_offset:
                raise ValueError(f"the offsets of {file.path} are not inside the commit at {self.first_offset}")

    @property
    def key(self) -> names.ChainKey:
        """Return the chain that the record says it belongs to."""
        return names.ChainKey(self.topic, self.partition)


class _Head(msgspec.Struct):
    format: int


R = TypeVar("R", bound=Record)
S = TypeVar("S")


def encode(record: msgspec.Struct) -> bytes:
    """Return the record's canonical bytes: equal records have equal bytes."""
    plain = msgspec.to_builtins(record)
    try:
        return canonical(plain, ascii_only=False)
    except UnicodeEncodeError:
        return canonical(plain, ascii_only=True)


def canonical(plain: Any, *, ascii_only: bool) -> bytes:
    """Return sorted, compact JSON; raises ValueError for NaN and UnicodeEncodeError for text without a UTF-8 form."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False)
    return text.encode("utf-8")


def decode(content: bytes, kind: type[R], path: str) -> R:
    """Read a record.

    Raises:
        StateDamaged: a newer version wrote it, or it is no such record; the text names `path`.
    """
    try:
        # Not msgspec's own decoder: it refuses the \u escapes that stand for text without a UTF-8 form.
        plain = json.loads(content)
        head = _converted(plain, _Head)
        if head.format > FORMAT:
            raise StateDamaged(
                f"{path} has format {head.format}, this version reads up to {FORMAT}: "
                "a newer version of ingest wrote it, use that one"
            )
        return _converted(plain, kind)
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise StateDamaged(f"{path} is not a {kind.__name__.lower()} record: {error}. Run `ingest verify`") from error


_learned: set[type] = set()
_learning = threading.Lock()


def _converted(plain: Any, kind: type[S]) -> S:
    """Convert; one thread at a time while msgspec does not know the type yet.

    It learns a type at its first use, with code of Python's in between: of two threads that begin at once one was seen
    to use what the other had half made, which ends the process.
    """
    if kind in _learned:
        return msgspec.convert(plain, kind)
    with _learning:
        record = msgspec.convert(plain, kind)
        _learned.add(kind)
        return record


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of `content`."""
    return int(_crc32c.crc32c(content))


def crc32c_more(content: bytes, before: int) -> int:
    """Return the CRC-32C of what gave `before`, followed by `content`."""
    return int(_crc32c.crc32c(content, before))


def micros(seconds: float) -> int:
    """Return wall-clock seconds since 1970 as whole microseconds."""
    return round(seconds * 1_000_000)


def iso(seconds: float) -> str:
    """Return wall-clock seconds since 1970 as people read them: ISO 8601 UTC with microseconds."""
    moment = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=micros(seconds))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
