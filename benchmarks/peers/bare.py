"""Upper bounds: bare files to Parquet, without Kafka, offsets or promises: `bare.py duckdb|polars|spark …`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

DUCKDB = {"timestamp": "BIGINT", "string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "double": "DOUBLE"}
SPARK = {"timestamp": "BIGINT", "int32": "INT", "int64": "BIGINT", "bool": "BOOLEAN"}


def duckdb(files: list[str], columns: dict[str, str], target: Path) -> None:
    import duckdb

    _say("begin")
    kinds = {name: DUCKDB.get(kind, kind.upper()) for name, kind in columns.items()}
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {os.cpu_count()}")
        connection.execute(
            f"copy (select * from read_json({files}, columns = {kinds}, format = 'newline_delimited')) "
            f"to '{target / 'all.parquet'}' (format parquet, compression zstd, compression_level 1)"
        )
        _say("end")


def polars(files: list[str], columns: dict[str, str], target: Path) -> None:
    import polars

    _say("begin")
    kinds = {
        "timestamp": polars.Int64,
        "int32": polars.Int32,
        "int64": polars.Int64,
        "double": polars.Float64,
        "bool": polars.Boolean,
    }
    schema = {name: kinds.get(kind, polars.String) for name, kind in columns.items()}
    frame = polars.scan_ndjson(files, schema=schema)
    frame.sink_parquet(target / "all.parquet", compression="zstd", compression_level=1)
    _say("end")


def spark(files: list[str], columns: dict[str, str], target: Path) -> None:
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "4g")
        .getOrCreate()
    )
    _say("begin")
    schema = ", ".join(f"`{name}` {SPARK.get(kind, kind).upper()}" for name, kind in columns.items())
    frame = session.read.schema(schema).json(files)
    frame.write.option("compression", "zstd").parquet(str(target / "spark"))
    _say("end")
    session.stop()


def _say(what: str) -> None:
    print(what, time.time(), flush=True)


def main() -> None:
    how, columns, target, *files = sys.argv[1:]
    Path(target).mkdir(parents=True, exist_ok=True)
    {"duckdb": duckdb, "polars": polars, "spark": spark}[how](files, json.loads(columns), Path(target))


if __name__ == "__main__":
    main()
