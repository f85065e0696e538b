"""One connector of each kind, as small as the contract allows. Nothing but `ingest.api` is imported of the house."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from threading import Lock
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import (
    Entry,
    FileExists,
    FileMissing,
    Filesystem,
    FilesystemOptions,
    LineBlock,
    Options,
    Parsed,
    Parser,
    Source,
    SourceOptions,
    Stream,
    StreamState,
    StreamStatus,
    option,
)


class LinesOptions(SourceOptions):
    """Lines that stand in the configuration itself."""

    lines: Annotated[list[str], option("What to send, once.", example=["hello", "world"])]


class LinesSource(Source[LinesOptions]):
    """Sends the lines of its configuration, once in the life of its checkpoint. They are there again after a crash."""

    Options = LinesOptions

    def resume(self, states: Sequence[StreamState]) -> None:
        """Go on behind what was acknowledged."""
        generation, sent = (states[0].generation, states[0].sent) if states else (self.context.new_generation(), 0)
        self._stream = Stream(generation, self.context.host, "example", self.options.name, self.options.labels)
        self._values = [line.encode() for line in self.options.lines]
        ends = [0, *accumulate(len(value) + 1 for value in self._values)]
        self._left = [(position, end) for position, end in pairwise(ends) if position >= sent]
        self._data = b"".join(value + b"\n" for value in self._values)

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """Hand out all that is left."""
        if not self._left:
            return []
        positions = np.array([self._left[0][0], *(end for _, end in self._left)])
        self._left = []
        block = LineBlock(self._stream, self._data, positions[:-1], positions[1:] - 1, positions, int(positions[-1]))
        return [block]

    def next_poll(self) -> float:
        """Say when to come again: there never is more."""
        return 0.0 if self._left else 60.0

    def acknowledged(self, generation: int, position: int) -> None:
        """Keep nothing: the configuration does."""

    def finished(self) -> bool:
        """Say whether all was handed out."""
        return self.context.once and not self._left

    def forgettable(self) -> Iterable[int]:
        """Never forget: the lines would be sent anew."""
        return ()

    def status(self) -> list[StreamStatus]:
        """Say where the one stream is."""
        size = len(self._data)
        position = self._left[0][0] if self._left else size
        return [StreamStatus(self._stream.generation, self._stream.path, position, size, "configured")]

    def close(self) -> None:
        """Hold nothing open."""


class UpperOptions(Options):
    """How the column is called."""

    column: Annotated[str, option("The one column.")] = "shouted"


class UpperParser(Parser[UpperOptions]):
    """A value becomes text in capitals; one that is no ASCII is a reject."""

    Options = UpperOptions

    def schema(self) -> pa.Schema:
        """Return the one column."""
        return pa.schema([(self.options.column, pa.string())])

    def parse(self, values: pa.BinaryArray, schema: pa.Schema) -> Parsed:
        """Parse all values at once."""
        good = pc.fill_null(pc.string_is_ascii(values.cast(pa.string(), safe=False)), True)
        rows, rejects = (np.flatnonzero(mask) for mask in (good.to_numpy(False), ~good.to_numpy(False)))
        column = pc.ascii_upper(values.filter(good).cast(pa.string()))
        return Parsed(pa.RecordBatch.from_arrays([column], schema=schema), rows, rejects, ["not ASCII"] * len(rejects))


class MemoryOptions(FilesystemOptions):
    """A warehouse that is gone with the process: for trying things out."""


class MemoryFilesystem(Filesystem[MemoryOptions]):
    """Keeps files in memory. Promises nothing beyond the life of the process."""

    Options = MemoryOptions

    def __init__(self, options: MemoryOptions) -> None:
        super().__init__(options)
        self._files: dict[str, bytes] = {}
        self._lock = Lock()

    def create(self, path: str, source: bytes | Path) -> None:
        """Make a whole file, without overwriting."""
        content = source if isinstance(source, bytes) else source.read_bytes()
        with self._lock:
            if path in self._files:
                raise FileExists(f"{path} is there")
            self._files[path] = content

    def mkdir(self, path: str) -> None:
        """Do nothing: a directory is there when a file in it is."""

    def move(self, source: str, target: str) -> None:
        """Rename a file."""
        with self._lock:
            if source not in self._files:
                raise FileMissing(f"{source} is not there")
            if target in self._files:
                raise FileExists(f"{target} is there")
            self._files[target] = self._files.pop(source)

    def list(self, path: str) -> list[Entry]:
        """Return the entries of a directory, or the one of a file."""
        with self._lock:
            if path in self._files:
                return [Entry(path.rpartition("/")[2], len(self._files[path]), False, 0.0)]
            found: dict[str, Entry] = {}
            for name, content in self._files.items():
                if name.startswith(f"{path}/"):
                    head, slash, _ = name[len(path) + 1 :].partition("/")
                    found[head] = Entry(head, 0 if slash else len(content), bool(slash), 0.0)
            return list(found.values())

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Return a part of a file."""
        with self._lock:
            if path not in self._files:
                raise FileMissing(f"{path} is not there")
            return self._files[path][start:][:length]

    def delete(self, path: str) -> bool:
        """Delete a file."""
        with self._lock:
            return self._files.pop(path, None) is not None


def quarter(batch: pa.RecordBatch, times: pa.TimestampArray) -> pa.StringArray:
    """Return a directory for each quarter of a year: `year=2026/quarter=4`."""
    year, number = pc.year(times).cast(pa.string()), pc.quarter(times).cast(pa.string())
    return pc.binary_join_element_wise("year=", year, "/quarter=", number, "")
