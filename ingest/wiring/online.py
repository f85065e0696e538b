"""Tries what a configuration names, and changes nothing: the cluster, its topics, the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingest.broker.admin import Topic
from ingest.broker.look import ClusterLook
from ingest.commit.root import read_root
from ingest.config.load import Config
from ingest.errors import IngestError, UsageError
from ingest.wiring.look import stranger, warehouse_of
from ingest.wiring.surroundings import connection


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one thing. `exit_code` is 0 where it is as it should be."""

    what: str
    found: str
    exit_code: int = 0


def try_all(config: Config) -> Iterator[Tried]:
    """Yield what came of everything that can be tried, one after the other; what fails does not hold up the rest."""
    cluster_id: str | None = None
    if config.kafka.bootstrap:
        look = ClusterLook(connection(config))
        try:
            cluster_id = look.cluster_id()
            yield Tried("kafka", f"cluster {cluster_id} at {', '.join(config.kafka.bootstrap)}")
            yield from _topics(config, look)
        except IngestError as error:
            yield Tried("kafka", str(error), error.exit_code)
    if config.sink is not None:
        yield _destination(config, cluster_id)


def _topics(config: Config, look: ClusterLook) -> Iterator[Tried]:
    sink = config.sink
    names = list(dict.fromkeys([*(source.topic for source in config.source), *(sink.topics if sink else [])]))
    topics = look.topics(names, sink.patterns if sink is not None else [])
    for name in dict.fromkeys([*names, *sorted(topics)]):
        yield _attempt(f"topic {name}", partial(_topic, config, name, topics.get(name)))


def _topic(config: Config, name: str, topic: Topic | None) -> Tried:
    """Raises ConfigError where nothing says what the sink should do with it."""
    what = f"topic {name}"
    if config.sink is not None and name not in {source.topic for source in config.source}:
        config.for_topic(name)  # one that only a pattern found may have no parser
    if topic is not None:
        return Tried(what, f"{topic.partitions} partitions")
    sources = [source for source in config.source if source.topic == name]
    maker = next((source for source in sources if source.create_topics), None)
    if maker is not None:
        return Tried(what, f"missing; ship would make it with {maker.partitions} partitions")
    if sources:
        text = f"missing; make it, or set create_topics = true and partitions = N in [[source]] {sources[0].name}"
        return Tried(what, text, UsageError.exit_code)
    return Tried(what, "missing; the sink waits until it is made")


def _destination(config: Config, cluster_id: str | None) -> Tried:
    sink = config.require_sink()
    what = f"destination {sink.destination.root}"
    root = Path(sink.destination.root)
    if sink.destination.type == "local" and root.parent.is_dir() and not root.exists():
        return Tried(what, "not there yet; the first sink makes it")

    def look() -> Tried:
        with warehouse_of(config) as warehouse:
            warehouse.list("")
            owner = read_root(warehouse)
        if owner is None:
            return Tried(what, "answers; no sink has written there yet")
        whose = f"answers; belongs to the cluster {owner.cluster_id} and the group {owner.group}"
        if cluster_id is None:
            return Tried(what, whose)
        problem = stranger(owner, cluster_id, sink.group)
        return Tried(what, whose) if problem is None else Tried(what, problem, UsageError.exit_code)

    return _attempt(what, look)


def _attempt(what: str, look: Callable[[], Tried]) -> Tried:
    """Return what `look` found, or why it could not."""
    try:
        return look()
    except IngestError as error:
        return Tried(what, str(error), error.exit_code)
