"""The product as its users run it: a configuration file and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INGEST = Path(sys.executable).with_name("ingest")
MEMORY = "128MiB"


@dataclass(frozen=True, slots=True)
class Sink:
    """What differs between one sink and another."""

    topics: list[str]
    destination: Mapping[str, object]
    group: str
    parser: str = "json"
    schema: Mapping[str, str] = field(default_factory=dict)
    rotate: Mapping[str, object] = field(default_factory=dict)
    memory: str = MEMORY


def configuration(
    directory: Path,
    bootstrap: str,
    sources: Mapping[str, str] | None = None,
    sink: Sink | None = None,
    *,
    level: str = "warning",
    more: Mapping[str, object] | None = None,
    listen: str | None = None,
) -> Path:
    """Write `directory`/ingest.toml and return its path; the state goes to `directory`/state.

    Args:
        directory: exists.
        bootstrap: the broker.
        sources: topic → glob of its files.
        sink: what `ingest sink` does.
        level: of the log.
        more: further options of each source.
        listen: where /metrics is served; None = as by default.
    """
    lines = ["[kafka]", f"bootstrap = {json.dumps([bootstrap])}"]
    lines += ["[state]", f"dir = {json.dumps(str(directory / 'state'))}"]
    lines += ["[log]", f"level = {json.dumps(level)}", 'format = "json"']
    if listen is not None:
        lines += ["[web]", f"listen = {json.dumps(listen)}"]
    for topic, glob in (sources or {}).items():
        lines += ["[[source]]", f"name = {json.dumps(topic)}", 'type = "file"']
        lines += [f"paths = {json.dumps([glob])}", f"topic = {json.dumps(topic)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in (more or {}).items()]
    if sink is not None:
        lines += _sink(sink)
    path = directory / "ingest.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _sink(sink: Sink) -> list[str]:
    lines = ["[sink]", f"group = {json.dumps(sink.group)}", f"topics = {json.dumps(sink.topics)}"]
    lines += [f"memory = {json.dumps(sink.memory)}", "[sink.destination]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in sink.destination.items()]
    lines += ["[sink.defaults]", f"parser = {json.dumps(sink.parser)}"]
    if sink.schema:
        lines += [f"schema = {_inline(sink.schema)}", 'event_time = { field = "ts" }']
    if sink.rotate:
        lines += [f"rotate = {_inline(sink.rotate)}"]
    return lines


def _inline(table: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + " }"
