"""`ingest check`: is the configuration right, and what would run with it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ingest.api import FilesystemOptions, SourceOptions
from ingest.cli import console
from ingest.cli.arguments import ConfigFile, Listen, StateDir
from ingest.config.keys import toml_value
from ingest.config.load import Config, load
from ingest.config.model import RotateOptions, SinkOptions
from ingest.errors import ConfigError
from ingest.options import Options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    config: ConfigFile,
    online: Annotated[
        bool, typer.Option("--online", help="Try Kafka and the warehouse too; changes nothing there.")
    ] = False,
    state: StateDir = None,
    listen: Listen = None,
) -> None:
    """Validate a configuration and print what would run with it; without --online no server is needed."""
    loaded = load(config, state=state, listen=listen)
    require_work(loaded)
    console.print_line(f"{config} is valid.")
    for title, headers, rows in plan(loaded):
        console.print_line()
        console.print_line(title)
        console.print_table(headers, rows)
    if online and (code := _try(loaded)):
        raise typer.Exit(code)


def _try(config: Config) -> int:
    """Try the servers and print what came of each; return the exit code: wrong usage comes before failures."""
    # Imported here, so that the check alone starts quickly.
    from ingest.wiring.online import try_all

    console.print_line()
    console.print_line("tried")
    codes = set()
    for tried in try_all(config):
        mark = "ok  " if tried.exit_code == 0 else "FAIL"
        console.print_line(f"  {mark}  {tried.what}: {tried.found}")
        codes.add(tried.exit_code)
    return max(codes, default=0)


def require_work(config: Config) -> None:
    """Make sure that the file is good for something.

    Raises:
        ConfigError: nothing would run, or something has not all that it needs.
    """
    if not config.source and config.sink is None:
        raise ConfigError("", f"{config.path}: nothing would run: there is neither a [[source]] nor a [sink]")
    if config.source:
        config.require("ship")
    if config.sink is not None and config.kafka.bootstrap:
        config.require("sink")


def plan(config: Config) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield title, headers and rows of each table that says what would run; no secret in it."""
    if config.source:
        yield "ship reads", ["source", "type", "topic", "options"], [_source(source) for source in config.source]
    if config.sink is not None:
        destination = config.sink.destination
        own = _own(destination, FilesystemOptions)
        title = f"sink writes to {destination.type} {destination.root}"
        yield f"{title} ({own})" if own else title, *_topics(config, config.sink)
    yield "with", ["what", "where"], _surroundings(config)


def _source(source: SourceOptions) -> list[str]:
    return [source.name, source.type, source.topic, _own(source, SourceOptions)]


def _own(options: Options, parent: type[Options]) -> str:
    """Return the connector's own options that differ from their defaults, as TOML."""
    shared = set(parent.__struct_fields__)
    texts = []
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        plain = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field.name not in shared and value is not None and (field.required or value != plain):
            texts.append(f"{field.encode_name} = {toml_value(_builtin(value))}")
    return ", ".join(texts)


def _builtin(value: object) -> object:
    """Return a nested options table as a mapping; `toml_value` hides the secrets in it."""
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


def _topics(config: Config, sink: SinkOptions) -> tuple[list[str], list[list[str]]]:
    rows = []
    for topic in dict.fromkeys([*sink.topics, *sink.topic]):
        found = config.for_topic(topic)
        rotate = _rotation(found.options.rotate)
        rows.append([topic, found.parser_name, f"{found.options.partition_by} ({found.options.timezone})", rotate])
    rows += [[pattern, "by topic", "by topic", "by topic"] for pattern in sink.patterns]
    return ["topic", "parser", "partition by", "rotate"], rows


def _rotation(rotate: RotateOptions) -> str:
    cron = f", cron {rotate.cron} ({rotate.timezone})" if rotate.cron else ""
    return f"{rotate.rows:_} rows, {rotate.bytes}, age {rotate.age}, idle {rotate.idle}{cron}"


def _surroundings(config: Config) -> list[list[str]]:
    kafka = config.kafka
    servers = f"{', '.join(kafka.bootstrap)} ({kafka.security.protocol})"
    rows = [["kafka", servers if kafka.bootstrap else "none: only backfill and verify can use this file"]]
    if config.sink is not None:
        rows.append(["group", config.sink.group])
    rows.append(["state", str(Path(config.state.dir))])
    rows.append(["web", config.web.listen if config.web is not None else "nothing listens"])
    return rows
