"""What is done with each topic: [sink.defaults], overridden by [sink.topic."name"], with the options of its parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.api import Parser
from ingest.config.decode import WRONG, Decoder
from ingest.config.keys import KeyPath, hint
from ingest.config.model import TopicOptions
from ingest.config.problems import Problems
from ingest.config.registry import Registry
from ingest.config.template import columns_of, is_template, parse_template
from ingest.errors import ConfigError, UsageError
from ingest.options import Options

Table = Mapping[str, Any]

DEFAULTS: KeyPath = ("sink", "defaults")
OWN = frozenset(field.encode_name for field in msgspec.structs.fields(TopicOptions))
"""Keys of a topic's table that are not its parser's."""


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """All that is known of one topic.

    Attributes:
        topic: its name.
        parser_name: as in the configuration.
        parser_options: instance of the parser's own `Options`.
        options: the rest, defaults filled in.
    """

    topic: str
    parser_name: str
    parser_options: Options
    options: TopicOptions


class Topics:
    """Merges and checks the tables of topics. They are kept as TOML gave them: a merge must know what was said."""

    def __init__(self, defaults: Table, overrides: Mapping[str, Table], registry: Registry) -> None:
        self._defaults = defaults
        self._overrides = overrides
        self._registry = registry

    def of(self, topic: str) -> TopicConfig:
        """Return what is done with a topic, one that [sink.topic] names or any other.

        Raises:
            ConfigErrors: with every problem; `parser` missing everywhere is one.
        """
        problems = Problems()
        found = self.read(topic, problems)
        problems.raise_if_any()
        if found is None:
            raise AssertionError("nothing to return and nothing wrong")
        return found

    def read(self, topic: str, problems: Problems) -> TopicConfig | None:
        """Return the same as `of`, or None after noting the problems."""
        return self._read(topic, self._overrides.get(topic, {}), ("sink", "topic", topic), problems)

    def check_any(self, problems: Problems) -> None:
        """Note what is wrong for a topic that no table names: one that a pattern finds."""
        if "parser" in self._defaults:
            self._read("", {}, DEFAULTS, problems)

    def _read(self, topic: str, override: Table, path: KeyPath, problems: Problems) -> TopicConfig | None:
        before = len(problems)
        at = _Origin(path, override, self._defaults)
        name = override.get("parser", self._defaults.get("parser"))
        if name is None:
            names = ", ".join(self._registry.names("parser"))
            problems.add(at.of("parser"), f"missing; there is no default; one of {names}")
            return None
        parser = self._parser(name, at.of("parser"), problems)
        if parser is None:
            return None
        known = frozenset(parser.Options.__struct_encode_fields__)
        merged = merge(self._defaults, override, known | OWN)
        found = Problems()
        for key in override:
            if key not in known | OWN:
                found.add((key,), f"unknown key{hint(key, known | OWN)}")
        options = Decoder(found).table(TopicOptions, {key: merged[key] for key in merged if key in OWN}, ())
        own = Decoder(found).table(parser.Options, {key: merged[key] for key in merged if key in known}, ())
        if options is not WRONG and own is not WRONG:
            self._check(str(name), parser, own, options, found)
        for problem in found:
            problems.add(at.of(*problem.path), problem.text)
        return TopicConfig(topic, str(name), own, options) if len(problems) == before else None

    def check_defaults(self, problems: Problems) -> None:
        """Note what is wrong with the defaults for every topic, also keys that no parser in use knows."""
        own = {key: value for key, value in self._defaults.items() if key in OWN}
        Decoder(problems).table(TopicOptions, own, DEFAULTS)
        tables = [self._defaults, *self._overrides.values()]
        used = {str(table["parser"]) for table in tables if "parser" in table}
        known: set[str] = set(OWN)
        for name in sorted(used):
            parser = self._parser(name, DEFAULTS, Problems())
            if parser is None:
                return  # that is said where the parser is named; without it its keys can't be told from mistakes
            known |= set(parser.Options.__struct_encode_fields__)
        for key in self._defaults:
            if key not in known:
                problems.add((*DEFAULTS, key), f"unknown key{hint(key, known)}")

    def _parser(self, name: object, path: KeyPath, problems: Problems) -> type[Parser[Any]] | None:
        if not isinstance(name, str):
            problems.add(path, "expected a string")
            return None
        try:
            parser = self._registry.parser(name)
        except UsageError as error:
            problems.add(path, str(error))
            return None
        taken = OWN & set(parser.Options.__struct_encode_fields__)
        if taken:
            problems.add(path, f'the parser "{name}" declares options that every topic has: {", ".join(sorted(taken))}')
            return None
        return parser

    def _check(
        self, name: str, parser: type[Parser[Any]], own: Options, options: TopicOptions, problems: Problems
    ) -> None:
        """Note what only shows when the parser's columns and the topic's options are looked at together."""
        try:
            schema = parser(own).schema()
        except ConfigError as error:
            problems.add_error((), error)
            return
        except ValueError as error:
            problems.add((), f'the parser "{name}" refuses its options: {error}')
            return
        columns = None if schema is None else schema.names
        field = options.event_time.field
        if columns is not None and field is not None and field not in columns:
            problems.add(
                ("event_time", "field"),
                f'parser "{name}" gives no column "{field}", only {", ".join(columns)}; '
                f'"" takes the Kafka timestamp{hint(field, columns)}',
            )
        if options.event_time.unit is not None and field is None:
            problems.add(("event_time", "unit"), "is of no use without event_time.field")
        self._check_partition_by(options, columns, problems)

    def _check_partition_by(self, options: TopicOptions, columns: list[str] | None, problems: Problems) -> None:
        text = options.partition_by
        try:
            if not is_template(text):
                self._registry.partition_path(text)
                return
            parts = parse_template(text)
        except (ValueError, UsageError) as error:
            problems.add(("partition_by",), str(error))
            return
        allowed = None if columns is None else [*columns, *_names(options).values()]
        for column in columns_of(parts):
            if allowed is not None and column not in allowed:
                problems.add(("partition_by",), f'no column "{column}" in the schema{hint(column, allowed)}')
        folded = {name.casefold(): key for key, name in _names(options).items()}
        for part in parts:
            if part.name.casefold() in folded:
                key = folded[part.name.casefold()]
                problems.add(("partition_by",), f'"{part.name}" is a column of every row; rename it or columns.{key}')


def merge(defaults: Table, override: Table, known: frozenset[str]) -> dict[str, Any]:
    """Return `defaults` overridden, table by table.

    A key of the defaults that the topic's parser does not know (`known`) is left out if the topic chose another parser,
    or if the defaults chose none: it belongs to some other topic's parser. A compression's level goes with its
    compression.
    """
    chosen = defaults.get("parser")
    foreign = chosen is None or override.get("parser", chosen) != chosen
    kept = {key: value for key, value in defaults.items() if key in known or not foreign}
    ours, theirs = override.get("parquet"), kept.get("parquet")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and "compression" in ours:
        kept["parquet"] = {key: value for key, value in theirs.items() if key != "level"}
    return _overlaid(kept, override)


def _overlaid(below: Table, above: Table) -> dict[str, Any]:
    """Merge two tables key by key, and so every table in them."""
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        result[key] = _overlaid(lower, value) if isinstance(lower, Mapping) and isinstance(value, Mapping) else value
    return result


@dataclass(frozen=True, slots=True)
class _Origin:
    """Tells in which of the two tables a key stands that is wrong in their merge."""

    path: KeyPath
    override: Table
    defaults: Table

    def of(self, *keys: str | int) -> KeyPath:
        """Return the full path: under the defaults if only they go that deep, else under the topic."""
        if _depth(self.defaults, keys) > _depth(self.override, keys):
            return (*DEFAULTS, *keys)
        return (*self.path, *keys)


def _depth(table: object, keys: tuple[str | int, ...]) -> int:
    """Return how many of the keys lead on, one into the other."""
    for depth, key in enumerate(keys):
        if not isinstance(table, Mapping) or key not in table:
            return depth
        table = table[key]
    return len(keys)


def _names(options: TopicOptions) -> dict[str, str]:
    """Return what the columns about a row's origin are called, by their keys."""
    names: dict[str, str] = msgspec.structs.asdict(options.columns)
    return names
