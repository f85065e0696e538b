"""What the CPU time of ship and sink goes to, by thread, by function and by line: stage `profile`.

The time of a library's function is counted for the line of ours that called it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import product
from benchmarks.processes import run
from benchmarks.rounds import Table
from benchmarks.shapes import schema
from benchmarks.sink import destination
from benchmarks.world import World, alone

MOST = 40
LEAST = 0.004
OURS = ("ingest.", "connectors.")
LOADING = "<frozen importlib"


def stage(world: World) -> list[Table]:
    """Print a profile of ship on Apache lines, and of the sink with each parser and kind of lines."""
    lines = world.lines("clf")
    topic = world.broker.new_topic(lines.spec.parts)
    directory = world.directory()
    config = product.configuration(directory, world.broker.bootstrap, {topic: lines.glob})
    _profile("ship, clf", directory, ["ship", "-c", str(config), "--once"], lines.lines)
    for kind, parser in (("j360", "json"), ("j230", "json"), ("j230-mixed", "json"), ("j230", "raw")):
        lines = world.lines(kind)
        topics = world.filled(lines)
        directory = world.directory()
        root = directory / "warehouse"
        columns = {} if parser == "raw" else schema(kind)
        sink = product.Sink(topics, destination(world, str(root), False), directory.name, parser, columns)
        config = product.configuration(directory, world.broker.bootstrap, sink=sink)
        _profile(f"sink, {kind}, {parser}", directory, ["sink", "-c", str(config), "--once"], lines.lines)
        shutil.rmtree(directory)
    return []


def _profile(title: str, directory: Path, arguments: list[str], records: int) -> None:
    report = directory / "profile.json"
    run([sys.executable, "-m", "benchmarks.peers.sampled", report, *arguments])
    found = json.loads(report.read_text())
    stacks = [(stack, seconds) for stack, seconds in found["stacks"] if not _loads(stack)]
    loading = sum(seconds for stack, seconds in found["stacks"] if _loads(stack))
    seen = sum(seconds for _, seconds in stacks)
    others = found["cpu"] - seen - loading - found["sampler"]
    print(
        f"\n{title}: {records:,} records, {found['cpu'] - found['sampler']:.2f} s CPU: {loading:.2f} s loading, "
        f"{others:.2f} s in threads that are not Python's, {seen:.2f} s ({1e6 * seen / records:.2f} µs/record) in:"
    )
    _print("threads", _by(stacks, lambda stack: {stack[0]}), records, seen)
    _print("functions, with what they call", _by(stacks, _functions), records, seen)
    _print("lines", _by(stacks, _line), records, seen)


def _loads(stack: list[str]) -> bool:
    return any(frame.startswith(LOADING) or ".importlib" in frame for frame in stack[1:])


def _by(stacks: list[tuple[list[str], float]], keys: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for stack, seconds in stacks:
        for key in keys(stack):
            found[key] += seconds
    return found


def _functions(stack: list[str]) -> Iterable[str]:
    return {frame.rpartition(":")[0] for frame in stack[1:] if frame.startswith(OURS)}


def _line(stack: list[str]) -> Iterable[str]:
    """Return the innermost line of ours, or the innermost frame where none is."""
    own = [frame for frame in stack[1:] if frame.startswith(OURS)]
    return {f"{stack[0]:12} {own[-1] if own else stack[-1]}"}


def _print(title: str, found: Counter[str], records: int, total: float) -> None:
    print(f"  {title}:")
    for name, seconds in found.most_common(MOST):
        if seconds > LEAST * total:
            print(f"    {1e6 * seconds / records:6.3f} µs {seconds / total:5.1%}  {name}")


if __name__ == "__main__":
    alone(stage, __doc__)
