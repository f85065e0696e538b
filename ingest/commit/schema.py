"""The columns of a topic whose schema is inferred: agreed by all workers, only ever added to.

Each version holds all columns, in order. Publishing without overwrite decides who adds first; the others take over
what won and add what is still missing. A column's type never changes: whose type came second uses the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from ingest.api import Filesystem
from ingest.columns import arrow_type, type_name
from ingest.commit import chain, names, protocol
from ingest.commit.perform import run
from ingest.errors import StateDamaged, Unavailable

TRIES = 100
"""Versions that rivals may publish while one worker tries to add its columns."""


class Column(chain.Record, frozen=True, kw_only=True):
    """One column; `type` as in a configuration."""

    name: str
    type: str


class SchemaRecord(chain.Record, frozen=True, kw_only=True):
    """One version of a topic's columns."""

    topic: str
    columns: tuple[Column, ...]
    worker: str
    format: int = msgspec.field(default_factory=lambda: chain.FORMAT)


def missing_columns(agreed: pa.Schema, wanted: Iterable[pa.Field]) -> list[pa.Field]:
    """Return the fields whose names are not agreed yet, each name once, in the order in which they first appear."""
    fresh: dict[str, pa.Field] = {}
    for column in wanted:
        if column.name not in agreed.names:
            fresh.setdefault(column.name, column)
    return list(fresh.values())


class SchemaBook:
    """A topic's agreed columns, as one worker sees and extends them. Keeps nothing: every call looks."""

    def __init__(self, filesystem: Filesystem[Any], topic: str, worker: str) -> None:
        """Touch nothing yet."""
        self._filesystem = filesystem
        self._topic = topic
        self._worker = worker

    def current(self) -> pa.Schema:
        """Return the columns agreed so far, none at first.

        Raises:
            StateDamaged: the newest version can't be read, or a newer program wrote it.
            Unavailable: try again.
        """
        return self._newest()[1]

    def agree(self, new_columns: Iterable[pa.Field]) -> pa.Schema:
        """Add columns, and return what all workers use from now on: at least the names asked for.

        The types may be others than asked for, where somebody else was first.

        Raises:
            StateDamaged, Unavailable: as of `current`; safe to call again.
            ValueError: a type has no name.
        """
        wanted = list(new_columns)
        for _ in range(TRIES):
            number, agreed = self._newest()
            fresh = missing_columns(agreed, wanted)
            if not fresh:
                return agreed
            schema = pa.schema([*agreed, *(pa.field(column.name, column.type) for column in fresh)])
            self._publish(number + 1, schema)
        raise Unavailable(f"{self._topic}: other workers publish columns all the time")

    def _newest(self) -> tuple[int, pa.Schema]:
        listed = self._filesystem.list(names.schema_dir(self._topic))
        numbers = [names.parse_number(entry.name.removesuffix(".json")) for entry in listed]
        newest = max((number for number in numbers if number is not None), default=0)
        if not newest:
            return 0, pa.schema([])
        path = names.schema_path(self._topic, newest)
        record = chain.decode(self._filesystem.read(path), SchemaRecord, path)
        try:
            return newest, pa.schema([pa.field(column.name, arrow_type(column.type)) for column in record.columns])
        except ValueError as error:
            raise StateDamaged(f"{path}: {error}") from error

    def _publish(self, number: int, schema: pa.Schema) -> None:
        columns = tuple(Column(name=column.name, type=type_name(column.type)) for column in schema)
        record = SchemaRecord(topic=self._topic, columns=columns, worker=self._worker)
        path = names.schema_path(self._topic, number)
        run(self._filesystem, protocol.publish_or_obey(path, chain.encode(record)))
