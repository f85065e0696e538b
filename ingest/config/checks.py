"""Contradictions between options: what no single table can see. Every check notes problems and changes nothing."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ingest.api import SourceOptions
from ingest.config.addresses import parse_address
from ingest.config.keys import KeyPath, hint
from ingest.config.model import KafkaOptions, SinkOptions, StateOptions, Tables, WebOptions
from ingest.config.problems import Problems

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_tables(tables: Tables, problems: Problems) -> None:
    """Note every contradiction in the file, but for the topics' tables."""
    _check_kafka(tables.kafka, problems)
    if tables.web is not None:
        check_web(tables.web, problems)
    _check_sources(tables.source, problems)
    if tables.sink is not None:
        _check_sink(tables.sink, problems)
        _check_destination(tables.sink, tables.state, problems)


def check_web(web: WebOptions, problems: Problems) -> None:
    """Note an address that is none."""
    try:
        parse_address(web.listen)
    except ValueError as error:
        problems.add(("web", "listen"), str(error))


def _check_kafka(kafka: KafkaOptions, problems: Problems) -> None:
    for number, address in enumerate(kafka.bootstrap):
        try:
            parse_address(address)
        except ValueError:
            path: KeyPath = ("kafka", "bootstrap", number)
            problems.add(path, f'expected host:port such as "localhost:9092", got "{address}"')


def _check_sources(sources: list[SourceOptions], problems: Problems) -> None:
    names: dict[str, int] = {}
    made: dict[str, tuple[int, int | None, int]] = {}
    for number, source in enumerate(sources):
        path: KeyPath = ("source", number)
        if not _NAME.fullmatch(source.name):
            problems.add((*path, "name"), "must be letters, digits, '.', '_' and '-', at most 100 of them")
        if source.name in names:
            problems.add((*path, "name"), f'"{source.name}" is the name of source[{names[source.name]}] already')
        names.setdefault(source.name, number)
        _check_topic((*path, "topic"), source.topic, problems)
        if source.create_topics and source.partitions is None:
            problems.add((*path, "partitions"), "missing; create_topics = true needs it")
        if not source.create_topics and source.partitions is not None:
            problems.add((*path, "partitions"), "is of no use without create_topics = true")
        if source.replication == 0:
            problems.add((*path, "replication"), "must be at least 1, or -1 for what the broker says")
        if source.create_topics:
            first = made.setdefault(source.topic, (number, source.partitions, source.replication))
            if first[1:] != (source.partitions, source.replication):
                problems.add(path, f'wants topic "{source.topic}" made otherwise than source[{first[0]}] does')


def _check_sink(sink: SinkOptions, problems: Problems) -> None:
    if not sink.topics and not sink.patterns:
        problems.add(("sink", "topics"), "missing; name topics, or give patterns")
    for number, topic in enumerate(sink.topics):
        _check_topic(("sink", "topics", number), topic, problems)
        if topic in sink.topics[:number]:
            problems.add(("sink", "topics", number), f'"{topic}" is there twice')
    patterns = _patterns(sink, problems)
    for topic in sink.topic:
        if topic not in sink.topics and not any(pattern.search(topic) for pattern in patterns):
            problems.add(("sink", "topic", topic), f"the sink does not read this topic{hint(topic, sink.topics)}")
    if not sink.group:
        problems.add(("sink", "group"), "must not be empty")
    if sink.session_timeout > sink.max_poll_interval:
        problems.add(
            ("sink", "session_timeout"), f"must not be longer than max_poll_interval, which is {sink.max_poll_interval}"
        )


def _patterns(sink: SinkOptions, problems: Problems) -> list[re.Pattern[str]]:
    patterns = []
    for number, text in enumerate(sink.patterns):
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            problems.add(("sink", "patterns", number), f"not a regular expression: {error}")
    return patterns


def _check_topic(path: KeyPath, topic: str, problems: Problems) -> None:
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        problems.add(path, f'Kafka has no topic "{topic}": letters, digits, ".", "_" and "-", at most 249 of them')


def _check_destination(sink: SinkOptions, state: StateOptions, problems: Problems) -> None:
    path = ("sink", "destination", "root")
    root = sink.destination.root
    if not root.startswith("/") and "://" not in root:
        problems.add(path, f'must be an absolute path, one that begins with /, got "{root}"')
    if sink.destination.type == "local":
        ours, theirs = PurePosixPath(root), PurePosixPath(state.dir)
        if ours == theirs or ours in theirs.parents or theirs in ours.parents:
            problems.add(path, f"must lie apart from state.dir, which is {state.dir}: neither may hold the other")
