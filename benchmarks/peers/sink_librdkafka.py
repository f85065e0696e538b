"""Kafka to Parquet with librdkafka and pyarrow, as a careful person writes it: no loop over records but consume's.

Values of a partition are gathered to blocks of some MiB, parsed by pyarrow.json against an explicit schema, split by
event hour, and written with zstd 1 and a dictionary where it pays, on a second thread. At the end the offsets are
committed. It has no identity, no dedup, no quarantine and no answer to a crash.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition

from benchmarks.shapes import FEW_VALUES

BLOCK = 4 << 20
AHEAD = 4
GROUP = 64 << 20
HOUR = 3_600_000
TYPES = {"timestamp": pa.int64(), "int32": pa.int32(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
ORIGIN = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("kafka_timestamp", pa.timestamp("ms"))]


class Files:
    """The open Parquet files of one partition, one for each hour."""

    def __init__(self, directory: Path, partition: int, columns: dict[str, str], raw: bool) -> None:
        self._directory = directory
        self._partition = partition
        self._raw = raw
        self._fields = [("value", pa.string())] if raw else [(n, TYPES.get(t, pa.string())) for n, t in columns.items()]
        self._parse = pj.ParseOptions(explicit_schema=pa.schema(self._fields), unexpected_field_behavior="ignore")
        self._dictionary = [name for name in FEW_VALUES if name in columns]
        self._writers: dict[int, pq.ParquetWriter] = {}
        self._waiting: dict[int, list[pa.Table]] = {}

    def add(self, values: list[bytes], offsets: list[int], timestamps: list[int]) -> None:
        """Parse a block and write what has become worth a row group."""
        if self._raw:
            table = pa.table({"value": pa.array(values, pa.binary()).cast(pa.string())})
            hours = pc.divide(pa.array(timestamps), HOUR)
        else:
            text = b"\n".join(values)
            read = pj.ReadOptions(use_threads=False, block_size=len(text) + 1)
            table = pj.read_json(pa.BufferReader(text), read_options=read, parse_options=self._parse)
            hours = pc.divide(table["ts"], HOUR)
        if table.num_rows != len(values):
            raise ValueError("rows and records do not belong together")
        origin = [
            pa.repeat(pa.scalar(self._partition, pa.int32()), len(values)),
            pa.array(offsets, pa.int64()),
            pa.array(timestamps, pa.timestamp("ms")),
        ]
        for (name, _), column in zip(ORIGIN, origin, strict=True):
            table = table.append_column(name, column)
        for hour in pc.unique(hours).to_pylist():
            self._wait(hour, table.filter(pc.equal(hours, hour)))

    def _wait(self, hour: int, rows: pa.Table) -> None:
        waiting = self._waiting.setdefault(hour, [])
        waiting.append(rows)
        if sum(table.nbytes for table in waiting) > GROUP:
            self._write(hour)

    def _write(self, hour: int) -> None:
        table = pa.concat_tables(self._waiting.pop(hour))
        if hour not in self._writers:
            directory = self._directory / f"hour={hour}"
            directory.mkdir(parents=True, exist_ok=True)
            self._writers[hour] = pq.ParquetWriter(
                directory / f"{self._partition}.parquet",
                table.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=self._dictionary,
            )
        self._writers[hour].write_table(table, row_group_size=1 << 20)

    def close(self) -> None:
        """Write what waits."""
        for hour in list(self._waiting):
            self._write(hour)
        for writer in self._writers.values():
            writer.close()


def consumer_of(bootstrap: str, group: str) -> Consumer:
    """Return a consumer set up for speed: without these it waits a second at a time."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "check.crcs": True,
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 128 << 10,
            "fetch.queue.backoff.ms": 10,
            "fetch.message.max.bytes": 2 << 20,
            "fetch.wait.max.ms": 100,
        }
    )


def read(options: argparse.Namespace) -> None:
    consumer = consumer_of(options.bootstrap, options.group)
    print("begin", time.time(), flush=True)
    columns = json.loads(options.columns)
    ends = {p: consumer.get_watermark_offsets(TopicPartition(options.topic, p))[1] for p in options.partitions}
    files = {p: Files(options.directory, p, columns, options.raw) for p in options.partitions}
    consumer.assign([TopicPartition(options.topic, partition, 0) for partition in options.partitions])
    left = {partition for partition, end in ends.items() if end}
    blocks: dict[int, tuple[list[bytes], list[int], list[int]]] = {p: ([], [], []) for p in options.partitions}
    sizes = dict.fromkeys(options.partitions, 0)
    tasks: list[Future[Any]] = []
    with ThreadPoolExecutor(1) as pool:
        while left:
            for message in consumer.consume(2000, 0.05):
                if message.error():
                    raise RuntimeError(str(message.error()))
                partition, value = message.partition(), message.value()
                values, offsets, timestamps = blocks[partition]
                values.append(value)
                offsets.append(message.offset())
                timestamps.append(message.timestamp()[1])
                sizes[partition] += len(value)
                last = offsets[-1] + 1 >= ends[partition]
                if sizes[partition] >= BLOCK or last:
                    if len(tasks) >= AHEAD:
                        tasks.pop(0).result()
                    tasks.append(pool.submit(files[partition].add, *blocks[partition]))
                    blocks[partition], sizes[partition] = ([], [], []), 0
                    left -= {partition} if last else set()
        for task in tasks:
            task.result()
    for each in files.values():
        each.close()
    if options.webhdfs:
        upload(options)
    consumer.commit(offsets=[TopicPartition(options.topic, p, end) for p, end in ends.items()], asynchronous=False)
    print("end", time.time(), flush=True)
    consumer.close()


def upload(options: argparse.Namespace) -> None:
    from hdfs import InsecureClient

    client = InsecureClient(options.webhdfs, user="ingest")
    for file in sorted(options.directory.rglob("*.parquet")):
        client.upload(f"{options.remote}/{file.relative_to(options.directory)}", str(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--group", required=True)
    parser.add_argument("--columns", default="{}")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--partitions", type=lambda text: [int(part) for part in text.split(",")], required=True)
    parser.add_argument("--webhdfs", help="NameNode's address: the files are copied to --remote there")
    parser.add_argument("--remote")
    options = parser.parse_args()
    read(options)


if __name__ == "__main__":
    main()
