"""All that a connector author needs: Source, Parser, Filesystem, and what a partition-path function is.

A connector is a class registered under an entry point group of its distribution:

    [options.entry_points]
    ingest.sources =         NAME = package.module:Class      a Source
    ingest.parsers =         NAME = package.module:Class      a Parser
    ingest.filesystems =     NAME = package.module:Class      a Filesystem
    ingest.partition_paths = NAME = package.module:function   a PartitionPath

and is used by writing NAME in the configuration (`type = "NAME"`, `parser = "NAME"`, `partition_by = "NAME"`).
Its class attribute `Options` declares its own configuration keys. `ingest.testing` holds the contract suites; a
connector is finished when it passes its suite.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar

import pyarrow as pa

from ingest.blocks import Bools, Flag, Int64s, LineBlock, Parsed, Stream
from ingest.clock import Clock
from ingest.columns import arrow_type, type_name
from ingest.errors import (
    ConfigError,
    Fatal,
    FileExists,
    FileMissing,
    IngestError,
    OutcomeUnknown,
    Refused,
    Retriable,
    StateDamaged,
    Unavailable,
)
from ingest.instants import (
    Instant,
    Instants,
    check_calendar,
    instant_of_number,
    instant_of_text,
    instants_of_numbers,
    instants_of_texts,
)
from ingest.lines import Assembler, Framing, Lines, cut, long_line, split_lines, wanted_lines
from ingest.options import Duration, Options, Secret, Size, option
from ingest.source_options import MultilineOptions, SourceOptions

__all__ = [
    "Annotated",
    "Assembler",
    "Bools",
    "Clock",
    "ConfigError",
    "Duration",
    "Entry",
    "Fatal",
    "FileExists",
    "FileFacts",
    "FileMissing",
    "Filesystem",
    "FilesystemOptions",
    "Flag",
    "Framing",
    "IngestError",
    "Instant",
    "Instants",
    "Int64s",
    "LineBlock",
    "Lines",
    "MultilineOptions",
    "Options",
    "OutcomeUnknown",
    "Parsed",
    "Parser",
    "PartitionPath",
    "Refused",
    "Retriable",
    "Secret",
    "Size",
    "Source",
    "SourceContext",
    "SourceOptions",
    "StateDamaged",
    "Stream",
    "StreamState",
    "StreamStatus",
    "Unavailable",
    "arrow_type",
    "check_calendar",
    "cut",
    "instant_of_number",
    "instant_of_text",
    "instants_of_numbers",
    "instants_of_texts",
    "long_line",
    "option",
    "split_lines",
    "type_name",
    "wanted_lines",
]

O = TypeVar("O", bound=Options)

# ── sources ──────────────────────────────────────────────────────────────────

S = TypeVar("S", bound=SourceOptions)


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the house gives a source.

    Attributes:
        clock: the only clock it may look at.
        host: this machine's name, for `Stream.host`.
        max_line: bytes after which a line is cut, resolved.
        once: True = read up to the ends that are there at the first poll, then say `finished()`.
        new_generation: returns a fresh random 64-bit id.
        spool: a directory of the source's own for what it must keep on disk; made on first use by the source.
        event: call with (text, fields) to log what a person should see; never the bytes of a line.
    """

    clock: Clock
    host: str
    max_line: int
    once: bool
    new_generation: Callable[[], int]
    spool: Path
    event: Callable[..., None]


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the checkpoint remembers of one generation: the argument of `Source.resume`.

    Attributes:
        generation: its id.
        path: `Stream.path` as of the last block.
        position: first byte not yet acknowledged: read on from here.
        sent: end of the last record acknowledged, <= position: `positions[0]` of the next block.
        boundaries: positions > `position`, ascending, at each of which a record must end again (`LineBlock.boundary`).
        state: `LineBlock.state` of the last acknowledged block; `{}` where nothing was acknowledged yet.
        birth: `LineBlock.state` of the generation's first block, from before anything was acknowledged.
    """

    generation: int
    path: str
    position: int
    sent: int
    boundaries: tuple[int, ...]
    state: Mapping[str, Any]
    birth: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream for `ingest status`: where it is, how far behind, and why; as generation 0: why it is not read.

    `deleted`: bytes of disk that a deleted file holds until it is read to its end.
    """

    generation: int
    path: str
    position: int
    size: int | None
    decision: str
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file to be read without a source: absolute path without links, first bytes decompressed (all, or 64 KiB)."""

    path: str
    device: int
    inode: int
    head: bytes


class Source(abc.ABC, Generic[S]):
    """Reads streams of bytes and hands them out as blocks of lines.

    Called from one thread. No method blocks for longer than one read of a local file; nothing sleeps: `next_poll` says
    when to come again. No state outside `resume`'s argument and `LineBlock.state` may be needed to go on after kill -9.

    Delivery: blocks of one generation reach Kafka in the order in which they were handed out, and after a crash the
    source is given what was acknowledged, so that it hands out the rest again with *the same positions*: same bytes,
    same line ends.
    """

    Options: ClassVar[type[SourceOptions]]
    rereadable: ClassVar[bool] = True
    """False: bytes once read are gone (stdin): what was not acknowledged at a crash is lost, and docs say so."""

    def __init__(self, options: S, context: SourceContext) -> None:
        self.options = options
        self.context = context

    @abc.abstractmethod
    def resume(self, states: Sequence[StreamState]) -> None:
        """Take up what the checkpoint remembers; called once, before the first poll, perhaps with nothing.

        Raises:
            StateDamaged: a state that can't be understood; never start from zero or from the end instead.
        """

    @abc.abstractmethod
    def poll(self, max_bytes: int) -> list[LineBlock]:
        """Hand out what is there now, at most about `max_bytes`, at least one block if there is anything.

        Every stream makes progress over repeated calls: no stream may starve the others.
        """

    def absorb(self) -> None:
        """Keep what would else be lost, hand out nothing: called instead of `poll` while too much is on its way."""

    @abc.abstractmethod
    def next_poll(self) -> float:
        """Return in how many seconds `poll` may have something; 0 = at once."""

    @abc.abstractmethod
    def acknowledged(self, generation: int, position: int) -> None:
        """Everything of the generation below `position` is in Kafka: what was kept for it may be let go."""

    @abc.abstractmethod
    def finished(self) -> bool:
        """Return True when with `context.once` everything seen at the start was handed out."""

    @abc.abstractmethod
    def forgettable(self) -> Iterable[int]:
        """Return generations whose stream has been gone for long enough; the house forgets those fully acknowledged."""

    @abc.abstractmethod
    def status(self) -> list[StreamStatus]:
        """Return where each live stream is."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of files and sockets. Not guaranteed to be called."""

    @classmethod
    def claimed(cls, options: S, states: Sequence[StreamState], files: Sequence[FileFacts]) -> Mapping[str, str]:
        """Return path → why, for the files that a source with these options and this checkpoint reads or has read.

        Asked without an instance, while the source may be at work elsewhere: a backfill refuses these files, as their
        lines would be in the warehouse twice. States that can't be understood claim nothing. `why` goes on a sentence
        that begins with the path: "is matched by its paths".
        """
        return {}


# ── parsers ──────────────────────────────────────────────────────────────────


class Parser(abc.ABC, Generic[O]):
    """Turns values into typed columns, many at a time. Pure: no state, no I/O; called from several threads at once."""

    Options: ClassVar[type[Options]]

    def __init__(self, options: O) -> None:
        self.options = options

    @abc.abstractmethod
    def schema(self) -> pa.Schema | None:
        """Return the columns, or None where they are inferred from the data and agreed between the workers."""

    @abc.abstractmethod
    def parse(self, values: pa.BinaryArray, schema: pa.Schema) -> Parsed:
        """Parse all values into `schema` (what `schema()` said, or the agreed columns; empty at first).

        Never raises for what a value holds: a value that can't be parsed is a reject with a reason, and never takes its
        neighbours with it. A null value is a row of nulls.
        """

    def parse_dated(self, values: pa.BinaryArray, schema: pa.Schema, timestamps: Int64s) -> Parsed:
        """Parse all values; `timestamps` are those of their records: int64[n], milliseconds since 1970 UTC, -1 = none.

        The sink calls this. It is for times that do not say their year: the latest that is not after the record.
        """
        return self.parse(values, schema)


# ── filesystems ──────────────────────────────────────────────────────────────────


class FilesystemOptions(Options):
    """What every [sink.destination] has; a filesystem's own `Options` extends it."""

    type: Annotated[str, option("Which filesystem connector.", example="local")]
    root: Annotated[str, option("The warehouse's root directory.", example="/srv/warehouse")]


F = TypeVar("F", bound=FilesystemOptions)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory, without the path: `size` in bytes (0 = directory), `modified` in seconds since 1970."""

    name: str
    size: int
    directory: bool
    modified: float


class Filesystem(abc.ABC, Generic[F]):
    """Six verbs on which the commit chain stands. Paths are relative to the root, parts joined by "/", no ".." in them.

    Every verb may be called from several threads. A verb either has happened when it returns, or has not happened when
    it raises anything but OutcomeUnknown. Errors of all verbs:

        Unavailable      not now; nothing was changed (no answer to connect, standby, safe mode, no space)
        OutcomeUnknown   the answer was lost after the request was sent (create, move, mkdir and delete only)
        Refused          no, and not later either (permission, a directory where a file should be)

    What a return promises of power cuts is in each connector's docs; none promises less than "survives kill -9".
    """

    Options: ClassVar[type[FilesystemOptions]]

    def __init__(self, options: F) -> None:
        self.options = options

    @abc.abstractmethod
    def create(self, path: str, source: bytes | Path) -> None:
        """Make a whole file, without overwriting: at no moment does `path` show a part of it.

        Of two that create the same path at once exactly one wins. Missing parents are made. `source` is the content, or
        a local file that holds it and that may be consumed (linked or renamed away) where that is cheaper.

        Raises:
            FileExists: `path` is there, whatever its content; nothing was changed.
        """

    @abc.abstractmethod
    def mkdir(self, path: str) -> None:
        """Make a directory and its parents; fine if it is there."""

    @abc.abstractmethod
    def move(self, source: str, target: str) -> None:
        """Rename a file atomically: at each moment exactly one of the two names exists. Never overwrites.

        The target's directory must exist.

        Raises:
            FileMissing: there is no `source`; nothing was changed.
            FileExists: there is a `target`; nothing was changed.
        """

    @abc.abstractmethod
    def list(self, path: str) -> list[Entry]:
        """Return a directory's entries, in no order; of a file itself alone; of a missing path none."""

    @abc.abstractmethod
    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the file's bytes from `start`, at most `length`; raises FileMissing where there is no such file."""

    @abc.abstractmethod
    def delete(self, path: str) -> bool:
        """Delete a file, or a directory that is empty; return whether there was one."""

    def check(self) -> None:
        """Prove at start that the root is reachable and that `create` refuses to overwrite there.

        Raises:
            Refused: the destination can't keep the promises above.
        """

    def close(self) -> None:
        """Let go of connections."""


# ── partition paths ──────────────────────────────────────────────────────────────────

PartitionPath: TypeAlias = Callable[[pa.RecordBatch, pa.TimestampArray], pa.StringArray]
"""A partition-path function: columns of n rows, their event times as timestamp[us] UTC without nulls → n paths.
Paths are relative. It must be deterministic and pure, and name directories in Hive's form (`dt=2026-11-23/hour=01`);
the house escapes and checks each part and keeps it under the root. Few distinct paths per block: each becomes a file.
"""
