"""From a TOML file to a `Config`: read, expand references, decode, check. Every problem is reported, with its line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ingest.api import FilesystemOptions, SourceOptions
from ingest.config.checks import check_tables
from ingest.config.decode import WRONG, Choose, Decoder
from ingest.config.keys import KeyPath
from ingest.config.lines import Lines
from ingest.config.model import KafkaOptions, LogOptions, SinkOptions, StateOptions, Tables, WebOptions
from ingest.config.problems import Problems
from ingest.config.registry import Registry
from ingest.config.secrets import expand
from ingest.config.topics import TopicConfig, Topics
from ingest.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that holds no contradiction.

    Attributes:
        path: the file.
        kafka: the cluster; `bootstrap` may be empty where no job needs it.
        state: where state is kept, `--state` applied.
        web: None = nothing listens; `--listen` applied.
        log: what is said.
        source: each an instance of its connector's own options.
        sink: None = there is none. Its `destination` is an instance of the filesystem's own options.
        registry: the catalogue by which the connectors' tables were read.
    """

    path: Path
    kafka: KafkaOptions
    state: StateOptions
    web: WebOptions | None
    log: LogOptions
    source: tuple[SourceOptions, ...]
    sink: SinkOptions | None
    registry: Registry

    def for_topic(self, topic: str) -> TopicConfig:
        """Return what the sink does with a topic, also with one that only a pattern found.

        Raises:
            ConfigError: nothing says what parser it needs, or there is no sink at all.
        """
        sink = self.require_sink()
        return Topics(sink.defaults, sink.topic, self.registry).of(topic)

    def require_sink(self) -> SinkOptions:
        """Return the sink's table; ConfigError when the file has none."""
        if self.sink is None:
            raise ConfigError("sink", f"missing; this needs a [sink] table in {self.path}")
        return self.sink

    def require(self, job: Literal["ship", "sink", "run"]) -> None:
        """Make sure that the tables are there which a job uses.

        Raises:
            ConfigError: one is missing.
        """
        if job in ("ship", "run") and not self.source:
            raise ConfigError("source", f"missing; ingest {job} needs at least one [[source]] in {self.path}")
        if job in ("sink", "run"):
            self.require_sink()
        if not self.kafka.bootstrap:
            raise ConfigError("kafka.bootstrap", f'missing; ingest {job} needs it, for example ["localhost:9092"]')


def load(
    path: str | Path,
    *,
    state: str | Path | None = None,
    listen: str | None = None,
    registry: Registry | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check a configuration file.

    Args:
        path: the file.
        state: takes the place of `state.dir`; made absolute, since a person typed it.
        listen: takes the place of `web.listen`.
        registry: the catalogue of connectors; None = everything installed.
        environment: for ${env:…} and ${cred:…}; None = this process's.

    Raises:
        ConfigError: (ConfigErrors) the file can't be read, is no TOML, or something in it is wrong.
    """
    path = Path(path)
    registry = registry or Registry()
    text = _text(path)
    data = _toml(text, path)
    if state is not None and isinstance(data.setdefault("state", {}), dict):
        data["state"]["dir"] = os.path.abspath(state)
    if listen is not None and isinstance(data.setdefault("web", {}), dict):
        data["web"]["listen"] = listen
    problems = Problems()
    data = expand(data, os.environ if environment is None else environment, problems)
    tables = _tables(data, registry, problems)
    if len(problems):
        problems.raise_if_any(str(path), Lines(text).of)
    return Config(
        path=path,
        kafka=tables.kafka,
        state=tables.state,
        web=tables.web,
        log=tables.log,
        source=tuple(tables.source),
        sink=tables.sink,
        registry=registry,
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode().replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError("", f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError("", f"{path}:{line}: not UTF-8 text") from None


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("", f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError("", f"{path}: not TOML: nested too deeply") from None


def _tables(data: Mapping[str, Any], registry: Registry, problems: Problems) -> Any:
    """Return the decoded file, or WRONG; what is wrong is noted either way."""
    tables = Decoder(problems, _chooser(registry)).table(Tables, data, ())
    if tables is not WRONG:
        check_tables(tables, problems)
    # The tables of topics are judged even if others are wrong, so that a person sees everything at once.
    sink = data.get("sink")
    if isinstance(sink, Mapping):
        _check_topics(sink, registry, problems)
    return tables


def _check_topics(sink: Mapping[str, Any], registry: Registry, problems: Problems) -> None:
    """Note what is wrong with the tables of topics; `sink` as TOML gave it, perhaps with mistakes noted elsewhere."""
    defaults, overrides, named = sink.get("defaults", {}), sink.get("topic", {}), sink.get("topics", [])
    if not (isinstance(defaults, Mapping) and isinstance(overrides, Mapping) and isinstance(named, list)):
        return
    tables = {topic: table for topic, table in overrides.items() if isinstance(table, Mapping)}
    topics = Topics(defaults, tables, registry)
    topics.check_defaults(problems)
    if sink.get("patterns"):
        topics.check_any(problems)
    for topic in dict.fromkeys([*named, *tables]):
        if isinstance(topic, str):
            topics.read(topic, problems)


def _chooser(registry: Registry) -> Choose:
    """Return the function by which the decoder finds a connector's own options."""
    kinds: dict[type[msgspec.Struct], tuple[str, Callable[[str], type[msgspec.Struct]]]] = {
        SourceOptions: ("source", lambda name: registry.source(name).Options),
        FilesystemOptions: ("filesystem", lambda name: registry.filesystem(name).Options),
    }

    def choose(
        declared: type[msgspec.Struct], data: Mapping[str, Any], path: KeyPath, problems: Problems
    ) -> type[msgspec.Struct] | None:
        if declared not in kinds:
            return declared
        kind, options_of = kinds[declared]
        name = data.get("type")
        if not isinstance(name, str):
            what = "missing" if name is None else "expected a string"
            problems.add((*path, "type"), f"{what}; one of {', '.join(registry.names(kind))}")
            return None
        try:
            return options_of(name)
        except UsageError as error:
            problems.add((*path, "type"), str(error))
            return None

    return choose
