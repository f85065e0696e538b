"""How the columns of Parquet files are written: every choice about encodings stands here."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest.config.model import ParquetOptions

_SAMPLE = 10_000
_REPEATED = 0.2
"""A column gets a dictionary if at most this part of its values are distinct: otherwise it only costs time."""
_TRUSTED = 100
"""So many files are written by what the rows of one of them showed."""


class Encodings:
    """Judges the columns of one topic's files by their rows. Any number of threads.

    Looking takes milliseconds, which tells where many small files are written at once. So what many rows of one file
    showed is taken to be true of the next ones with the same columns.

    Args:
        options: what the configuration says; None = nothing.
    """

    def __init__(self, options: ParquetOptions | None = None) -> None:
        self._options = options or ParquetOptions()
        self._judged: dict[pa.Schema, tuple[int, list[str]]] = {}

    @property
    def row_group(self) -> int:
        """Return how many rows a row group may have."""
        return self._options.row_group

    def of(self, rows: pa.Table) -> dict[str, Any]:
        """Return the arguments of `pq.ParquetWriter` for a file that begins with these rows."""
        return {
            "compression": self._options.compression,
            "compression_level": self._options.level,
            "use_dictionary": self._repeated(rows) or False,
            "write_statistics": True,
            "data_page_size": 1 << 20,
            "version": "2.6",
        }

    def _repeated(self, rows: pa.Table) -> list[str]:
        files, judged = self._judged.get(rows.schema, (0, []))
        if not files:
            judged = repeated(rows.slice(0, _SAMPLE))
            files = _TRUSTED if rows.num_rows >= _SAMPLE else 1
        self._judged[rows.schema] = files - 1, judged
        return judged


def repeated(sample: pa.Table) -> list[str]:
    """Return the columns for which a dictionary pays."""
    return [
        column.name
        for column in sample.schema
        if not pa.types.is_nested(column.type)
        and not pa.types.is_boolean(column.type)
        and pc.count_distinct(sample[column.name], mode="all").as_py() <= max(1, sample.num_rows * _REPEATED)
    ]
