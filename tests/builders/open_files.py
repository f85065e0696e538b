"""Open files on a directory of a test's own."""

import numpy as np
import pyarrow as pa

from ingest.sink.encode import ParquetFile
from ingest.sink.encodings import Encodings
from ingest.sink.open_files import OpenFiles
from ingest.sink.spill import Spill

SCHEMA = pa.schema([("n", pa.int64()), ("s", pa.string())])
WIDER = pa.schema([*SCHEMA, ("more", pa.string())])


class Bench:
    """Open files on a directory, fed with ascending offsets."""

    def __init__(self, directory, row_group=10_000, may_write=lambda: True):
        self.directory = directory
        self.started = 0
        self.files = OpenFiles(self._start, Spill(directory / "spill"), row_group, may_write)
        self.next = 0

    def _start(self, kind, schema):
        self.started += 1
        return ParquetFile(self.directory / f"{self.started}.parquet", schema, Encodings(), topic="t", partition=0)

    def add(self, path, rows, *, kind="data", schema=SCHEMA, width=20):
        offsets = np.arange(self.next, self.next + rows, dtype=np.int64)
        self.next += rows
        columns = {"n": offsets, "s": [f"{offset:0{width}d}" for offset in offsets], "more": ["x"] * rows}
        batch = pa.RecordBatch.from_pydict({name: columns[name] for name in schema.names}, schema)
        self.files.add(kind, path, batch, offsets, None if kind == "quarantine" else offsets * 10)
        return offsets.tolist()

    def left(self):
        return sorted(path.name for path in self.directory.iterdir())
