"""Lines in memory into typed columns on one thread: `parsing.py ingest:json|pyarrow|polars|duckdb KIND FILE…`.

Prints one JSON object: rows, rejects, checksum of the columns that all must agree on, seconds, CPU seconds. One block
is parsed before the clock starts, so that what is learned once is learned.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from benchmarks import check
from benchmarks.peers.bare import DUCKDB
from benchmarks.shapes import schema

BLOCK = 1 << 20
CLF = ["ip", "id", "user", "time", "zone", "request", "status", "size", "referer", "agent"]
REGEX = (
    r'^(?P<ip>\S+) (?P<id>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$'
)

Parsed = tuple[pa.Table, int]
"""Rows, and how many values were refused."""


def blocks_of(files: list[str]) -> list[bytes]:
    """Return whole lines of about BLOCK bytes, with their newlines."""
    blocks = []
    for name in files:
        content = Path(name).read_bytes()
        begin = 0
        while begin < len(content):
            end = content.find(b"\n", min(begin + BLOCK, len(content) - 1)) + 1
            blocks.append(content[begin:end])
            begin = end
    return blocks


def values_of(block: bytes) -> pa.BinaryArray:
    """Return the lines as the values that a sink gets: without newlines, one behind the other."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    lengths = np.diff(ends, prepend=-1) - 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    text = block.replace(b"\n", b"")
    return pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


# ── ways ─────────────────────────────────────────────────────────────────────


def ingest(kind: str, name: str) -> Callable[[pa.BinaryArray], Parsed]:
    """Return one of the product's parsers, with a schema for JSON and as it comes for the rest."""
    from ingest.config.registry import Registry
    from ingest.service.tuning import tune

    tune()
    parser = Registry().parser(name)
    options = parser.Options(**_options(kind, name))
    made = parser(options)
    agreed = made.schema() or pa.schema([])

    def parse(values: pa.BinaryArray) -> Parsed:
        nonlocal agreed
        found = made.parse(values, agreed)
        while found.new_columns:
            agreed = pa.schema([*agreed, *found.new_columns])
            found = made.parse(values, agreed)
        return pa.Table.from_batches([found.table]), len(found.rejects)

    return parse


def _options(kind: str, name: str) -> dict[str, Any]:
    if name == "json":
        return {"schema": schema(kind)}
    if name == "regex":
        return {"pattern": REGEX}
    return {"fields": list(schema("j230"))} if name == "csv" else {}


def arrow_json(kind: str) -> Callable[[bytes], Parsed]:
    types = {"timestamp": pa.int64(), "int32": pa.int32(), "int64": pa.int64(), "double": pa.float64()}
    types["bool"] = pa.bool_()
    wanted = pa.schema([(name, types.get(type_, pa.string())) for name, type_ in schema(kind).items()])
    options = pa.json.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="ignore")

    def parse(block: bytes) -> Parsed:
        read = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        return pa.json.read_json(pa.BufferReader(block), read_options=read, parse_options=options), 0

    return parse


def polars_json(kind: str) -> Callable[[bytes], Parsed]:
    import polars

    kinds = {"timestamp": polars.Int64, "int32": polars.Int32, "int64": polars.Int64, "double": polars.Float64}
    kinds["bool"] = polars.Boolean
    wanted = {name: kinds.get(type_, polars.String) for name, type_ in schema(kind).items()}
    return lambda block: (polars.read_ndjson(io.BytesIO(block), schema=wanted).to_arrow(), 0)


def duckdb_json(kind: str, files: list[str]) -> Callable[[bytes], Parsed]:
    """Return a reader of whole files: DuckDB has no other."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads = 1")
    kinds = {name: DUCKDB.get(type_, type_.upper()) for name, type_ in schema(kind).items()}
    query = f"select * from read_json({files}, columns = {kinds}, format = 'newline_delimited')"
    return lambda block: (connection.sql(query).to_arrow_table(), 0)


def arrow_csv(block: bytes) -> Parsed:
    """Read Apache lines as CSV with spaces, times left as text."""
    types: dict[str, pa.DataType] = dict.fromkeys(CLF, pa.string())
    table = pa.csv.read_csv(
        pa.BufferReader(block),
        read_options=pa.csv.ReadOptions(column_names=CLF, use_threads=False, block_size=len(block) + 1),
        parse_options=pa.csv.ParseOptions(delimiter=" ", quote_char='"', double_quote=False, escape_char="\\"),
        convert_options=pa.csv.ConvertOptions(
            column_types={**types, "status": pa.int32(), "size": pa.int64()},
            null_values=["-"],
            strings_can_be_null=True,
        ),
    )
    return table, 0


def arrow_regex(values: pa.BinaryArray) -> Parsed:
    found = pc.extract_regex(values.cast(pa.string()), REGEX)
    return pa.table(dict(zip(CLF, found.flatten(), strict=False))), found.null_count


def way_of(way: str, kind: str, files: list[str]) -> tuple[Callable[[Any], Parsed], list[Any]]:
    """Return what to call and with what, call by call."""
    blocks = blocks_of(files)
    name, _, parser = way.partition(":")
    if name == "ingest":
        return ingest(kind, parser), [values_of(block) for block in blocks]
    if way == "arrow regex":
        return arrow_regex, [values_of(block) for block in blocks]
    if way == "duckdb":
        return duckdb_json(kind, files), [b""]
    return {"pyarrow": lambda: arrow_json(kind), "polars": lambda: polars_json(kind), "arrow csv": lambda: arrow_csv}[
        way
    ](), blocks


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("way")
    options.add_argument("kind")
    options.add_argument("files", nargs="+")
    chosen = options.parse_args()
    pa.set_cpu_count(1)
    parse, inputs = way_of(chosen.way, chosen.kind, chosen.files)
    parse(inputs[0])
    began, cpu = time.perf_counter(), time.process_time()
    parsed = [parse(each) for each in inputs]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    rows, checksum = sum(table.num_rows for table, _ in parsed), 0
    if chosen.kind.startswith("j") and chosen.way != "ingest:raw":
        checksum = sum(check.table(table, schema(chosen.kind))[1] for table, _ in parsed)
    rejects = sum(refused for _, refused in parsed)
    found = {"rows": rows, "rejects": rejects, "checksum": checksum, "seconds": seconds, "cpu": cpu}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
