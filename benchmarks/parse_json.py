"""JSON in memory into typed columns: by templates beside the general way of the same parser, in turns in one process.

    python -m benchmarks.parse_json [--lines N] [--rounds N] [--threads N]

Prints MB/s and records/s for each second of CPU of one thread, the ratio of the two ways, and with --threads what so
many do together by the clock. Both must give the same before anything is measured.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import threading
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks import data, odd
from benchmarks.shapes import schema
from ingest.connectors.parsers.json import JsonParser
from ingest.connectors.parsers.json_template_match import Shapes
from ingest.service.tuning import tune

SEED = 7
NEVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Case:
    """Values, and how they are parsed."""

    name: str
    values: pa.BinaryArray
    options: JsonParser.Options

    def parsers(self) -> tuple[JsonParser, JsonParser]:
        """Return the parser as it is, and one that never uses templates."""
        fast, general = JsonParser(self.options), JsonParser(self.options)
        general.shapes = Shapes(least=NEVER)
        return fast, general

    @property
    def size(self) -> int:
        """Return the bytes of all values."""
        return sum(len(value) for value in self.values.to_pylist())


def cases(lines: int) -> list[Case]:
    """Return what is measured."""
    found = []
    for kind in ("j230", "j360"):
        tidy = made(kind, lines)
        typed = schema(kind)
        few = {name: typed[name] for name in ("ts", "status", "msg")}
        strange = [line.replace('"level"', '"Level"') if row % 100 == 50 else line for row, line in enumerate(tidy)]
        mixed, _ = odd.mixed(np.random.default_rng(SEED), tidy)
        found += [
            case(f"{kind}", tidy, schema=typed),
            case(f"{kind} agreed columns", tidy),
            case(f"{kind} unknown dropped", tidy, schema=few, unknown="drop"),
            case(f"{kind} unknown to rest", tidy, schema=few),
            case(f"{kind} 1 % another name", strange, schema=typed),
            case(f"{kind} four shapes, 1 % odd", mixed, schema=typed),
        ]
    return found


def made(kind: str, lines: int) -> list[str]:
    """Return lines of a kind, always the same."""
    random = np.random.default_rng(SEED)
    times = data.BEGIN + np.sort(random.integers(0, data.HOUR, lines))
    return data.MAKERS[kind](random, times)


def case(name: str, lines: list[str], **options: object) -> Case:
    """Return a case."""
    return Case(name, pa.array([line.encode() for line in lines], pa.binary()), JsonParser.Options(**options))


def agreed(parser: JsonParser, values: pa.BinaryArray) -> pa.Schema:
    """Return the columns, agreed on for these values where they are inferred."""
    found = parser.schema()
    if found is not None:
        return found
    found = pa.schema([])
    while new := parser.parse(values, found).new_columns:
        found = pa.schema([*found, *new])
    return found


def same(case: Case, columns: pa.Schema) -> None:
    """Raise unless both ways give the same."""
    fast, general = (parser.parse(case.values, columns) for parser in case.parsers())
    if not (
        fast.table.equals(general.table)
        and np.array_equal(fast.rows, general.rows)
        and np.array_equal(fast.rejects, general.rejects)
        and (fast.reasons, fast.counted) == (general.reasons, general.counted)
    ):
        raise SystemExit(f"{case.name}: templates and the general way differ")


def one_thread(case: Case, columns: pa.Schema, rounds: int) -> tuple[list[float], list[float]]:
    """Return for each round the seconds of CPU of both ways, in turns; each has parsed the values once before."""
    took: tuple[list[float], list[float]] = ([], [])
    parsers = case.parsers()
    for parser in parsers:
        parser.parse(case.values, columns)
    for _ in range(rounds):
        for parser, seconds in zip(parsers, took, strict=True):
            gc.collect()
            began = time.thread_time()
            parser.parse(case.values, columns)
            seconds.append(time.thread_time() - began)
    return took


def together(parser: JsonParser, case: Case, columns: pa.Schema, threads: int, times: int) -> float:
    """Return the seconds by the clock that so many threads take, each parsing the values so many times."""

    def work() -> None:
        for _ in range(times):
            parser.parse(case.values, columns)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def show(case: Case, rounds: int, threads: int) -> None:
    """Measure a case and print a line."""
    columns = agreed(JsonParser(case.options), case.values)
    same(case, columns)
    fast, general = one_thread(case, columns, rounds)
    ratio = statistics.median(other / ours for ours, other in zip(fast, general, strict=True))
    parts = [f"{case.name:26}"]
    for seconds in (fast, general):
        took = statistics.median(seconds)
        parts.append(f"{case.size / took / 1e6:7.0f} MB/s {len(case.values) / took / 1e6:6.2f} M/s")
    parts.append(f"x{ratio:5.2f}")
    if threads:
        for parser in case.parsers():
            single, several = (
                statistics.median(together(parser, case, columns, number, 5) / number for _ in range(rounds))
                for number in (1, threads)
            )
            parts.append(f"x{single / several:5.2f}")
    print(" | ".join(parts), flush=True)


def main() -> None:
    """Measure all cases."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=0)
    chosen = arguments.parse_args()
    tune()
    more = f" | {chosen.threads} threads: templates | general" if chosen.threads else ""
    print(f"{chosen.lines} lines{'':14} | templates, per CPU-s   | general way, per CPU-s | ratio{more}")
    for each in cases(chosen.lines):
        show(each, chosen.rounds, chosen.threads)


if __name__ == "__main__":
    main()
