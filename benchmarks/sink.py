"""Kafka to typed Parquet: `ingest sink --once` beside librdkafka with pyarrow, and beside readers of the bare file.

Stages `sink` (local directory) and `hdfs` (a real NameNode and DataNode). Everybody writes zstd 1.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import check, product, report
from benchmarks.data import Lines
from benchmarks.processes import run
from benchmarks.rounds import OURS, Contender, Outcome, Table, measure
from benchmarks.shapes import schema
from benchmarks.world import World, alone

ONE, TWO = "librdkafka+pyarrow", "librdkafka+pyarrow ×2"


def stage(world: World) -> list[Table]:
    """Measure JSON of two sizes against everybody, raw values, and what real applications do to JSON."""
    tables = []
    for kind in ("j360", "j230"):
        lines = world.lines(kind)
        contenders = [
            Contender(OURS, partial(ours, world), lines),
            Contender(ONE, partial(_librdkafka, world, processes=1), lines),
            Contender(TWO, partial(_librdkafka, world, processes=2), lines),
            Contender("duckdb, bare file", partial(_bare, world, "duckdb"), lines),
            Contender("polars, bare file", partial(_bare, world, "polars"), lines),
        ]
        tables.append(measure(world, f"sink {kind}", f"sink, {kind} → typed columns, local", contenders))
    lines = world.lines("j230")
    contenders = [
        Contender(OURS, partial(ours, world, parser="raw"), lines),
        Contender(ONE, partial(_librdkafka, world, processes=1, raw=True), lines),
    ]
    tables.append(measure(world, "sink raw", "sink, raw values, local", contenders))
    contenders = [
        Contender(OURS, partial(ours, world), lines),
        Contender("ingest, 4 shapes, 1 % odd", partial(ours, world), world.lines("j230-mixed")),
    ]
    tables.append(measure(world, "sink mixed", "sink, tidy and untidy JSON, local", contenders))
    return report.show(world, tables)


def hdfs(world: World) -> list[Table]:
    """Measure with an HDFS as destination."""
    lines = world.lines("j230")
    world.hdfs.call("PUT", "/bench", op="MKDIRS")
    world.hdfs.call("PUT", "/bench", op="SETOWNER", owner="ingest")
    contenders = [
        Contender(OURS, partial(ours, world, remote=True), lines),
        Contender(ONE, partial(_librdkafka, world, processes=1, remote=True), lines),
    ]
    return report.show(world, [measure(world, "sink hdfs", "sink, j230 → HDFS", contenders)])


def spark(world: World) -> list[Table]:
    """Measure against Spark reading the bare file."""
    lines = world.lines("j230")
    contenders = [Contender(OURS, partial(ours, world), lines)]
    skipped = {}
    if find_spec("pyspark"):
        contenders.append(Contender("spark, bare file", partial(_bare, world, "spark"), lines))
    else:
        skipped["spark"] = "pyspark is not installed"
    return report.show(world, [measure(world, "sink spark", "sink, j230, beside Spark", contenders, skipped)])


# ── ours ─────────────────────────────────────────────────────────────────────


def ours(world: World, lines: Lines, *, parser: str = "json", topics: int = 1, remote: bool = False) -> Outcome:
    """Run `ingest sink --once` on what the lines' topics hold."""
    names = world.filled(lines, topics)
    directory = world.directory()
    root = f"/bench/{directory.name}" if remote else str(directory / "warehouse")
    columns = {} if parser == "raw" else schema(lines.spec.kind)
    sink = product.Sink(names, destination(world, root, remote), directory.name, parser, columns)
    config = product.configuration(directory, world.broker.bootstrap, sink=sink)
    usage = run([product.INGEST, "sink", "-c", config, "--once"])
    if remote:
        download(world, root, directory / "warehouse")
    usage = usage.working(*flow(directory / "warehouse", remote))
    written = check_warehouse(world, lines, directory / "warehouse", names, columns)
    shutil.rmtree(directory)
    return Outcome(usage, written.files, written.bytes)


def destination(world: World, root: str, remote: bool) -> dict[str, Any]:
    """Return the table [sink.destination]."""
    if remote:
        return {"type": "webhdfs", "urls": [world.hdfs.url], "root": root, "user": "ingest"}
    Path(root).mkdir()
    return {"type": "local", "root": root}


def check_warehouse(
    world: World, lines: Lines, root: Path, topics: list[str], columns: Mapping[str, str]
) -> check.Written:
    """Return what was written; raises WrongResult unless it is what the topics hold."""
    written = check.parquet(root, columns)
    bad = lines.bad if columns else 0
    parts = lines.spec.parts // len(topics)
    ends = [end for topic in topics for end in world.broker.ends(topic, parts)]
    expected = check.expected(lines) if columns else lines.crc
    check.same("rows", written.rows, lines.lines - bad)
    check.same("rows in quarantine", check.rejected(root), bad)
    check.same("checksum", written.checksum, expected)
    if not bad:
        check.same("sum of offsets", written.offsets, check.offsets_of(ends))
    return written


def flow(root: Path, remote: bool) -> tuple[float, float]:
    """Return when the first partition's chain was begun and when the last commit was done, unix times.

    That is when the last file got its final name; of HDFS, which does not tell, when the last commit was published.
    """
    chains = root / "_ingest"
    begin = min(file.stat().st_mtime for file in chains.rglob("start.json"))
    end = max(file.stat().st_mtime for file in chains.rglob("commits/*.json"))
    return begin, end if remote else max(end, *(file.stat().st_ctime for file in check.visible(root)))


def download(world: World, root: str, target: Path) -> None:
    """Copy a warehouse from HDFS, with the times of its files."""
    from hdfs import InsecureClient

    client = InsecureClient(world.hdfs.url, user="ingest")
    for directory, _, names in client.walk(root):
        for name in names:
            path = f"{directory}/{name}"
            local = target / Path(path).relative_to(root)
            local.parent.mkdir(parents=True, exist_ok=True)
            client.download(path, str(local))
            seconds = client.status(path)["modificationTime"] / 1000
            os.utime(local, (seconds, seconds))


# ── peers ────────────────────────────────────────────────────────────────────


def _librdkafka(world: World, lines: Lines, *, processes: int, raw: bool = False, remote: bool = False) -> Outcome:
    topic = world.filled(lines)[0]
    directory = world.directory()
    columns = {} if raw else schema(lines.spec.kind)
    commands = []
    for number in range(processes):
        partitions = range(number, lines.spec.parts, processes)
        target = directory / str(number)
        command = [sys.executable, "-m", "benchmarks.peers.sink_librdkafka", world.broker.bootstrap, topic, target]
        command += ["--group", directory.name, "--partitions", ",".join(map(str, partitions))]
        command += ["--columns", json.dumps(columns), *(["--raw"] if raw else [])]
        commands.append(
            command + (["--webhdfs", world.hdfs.url, "--remote", f"/bench/{directory.name}"] if remote else [])
        )
    usage = run(*commands).as_it_says()
    written = check.parquet(directory, columns)
    check.same("rows", written.rows, lines.lines)
    check.same("checksum", written.checksum, lines.crc if raw else check.expected(lines))
    check.same("sum of offsets", written.offsets, check.offsets_of(world.broker.ends(topic, lines.spec.parts)))
    shutil.rmtree(directory)
    return Outcome(usage, written.files, written.bytes)


def _bare(world: World, how: str, lines: Lines) -> Outcome:
    directory = world.directory()
    columns = schema(lines.spec.kind)
    command = [sys.executable, "-m", "benchmarks.peers.bare", how, json.dumps(columns), directory, *lines.files]
    usage = run(command).as_it_says()
    written = check.parquet(directory, columns)
    check.same("rows", written.rows, lines.lines)
    check.same("checksum", written.checksum, check.expected(lines))
    shutil.rmtree(directory)
    return Outcome(usage, written.files, written.bytes)


if __name__ == "__main__":
    alone(stage, __doc__)
