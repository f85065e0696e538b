"""Builds and runs `backfill files`."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from ingest import __version__
from ingest.api import Filesystem, SourceOptions
from ingest.backfill.chains import Chains, MakeCommitter, NoChains, Warehouse
from ingest.backfill.claims import claimed
from ingest.backfill.dry_run import plan
from ingest.backfill.files import File, facts_of, listed
from ingest.backfill.intake import World
from ingest.backfill.outcome import Outcome
from ingest.backfill.patience import Patience
from ingest.backfill.run import Run, Watcher
from ingest.backfill.spool import own_spool
from ingest.commit.committer import ChainKey, Committer
from ingest.commit.names import META
from ingest.commit.root import read_root
from ingest.config.keys import hint
from ingest.config.load import Config
from ingest.errors import Fatal, Unavailable, UsageError
from ingest.sink.memory import Shares
from ingest.sink.plan import TopicPlan
from ingest.sink.quarantine import Budget
from ingest.wiring.plan import topic_plan
from ingest.wiring.surroundings import Surroundings, filesystem, host

MAX_LINE: Final = 1 << 20
"""Bytes after which a line is cut where the source does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for.

    Attributes:
        source: the name of the source as which the files are read.
        names: of the files.
        again: take contents that are in the warehouse once more.
        accept_quarantine: any number of lines may be unparsable.
    """

    source: str
    names: Sequence[str]
    again: bool = False
    accept_quarantine: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The files of a request, and why some of them are refused: path → why."""

    files: list[File]
    refused: dict[str, str]


def look(around: Surroundings, request: Request) -> Surveyed:
    """Return what the request is about; nothing is written.

    Raises:
        UsageError: no such source, or a name leads to no file.
        ConfigError: the topic has no parser, or there is no sink.
    """
    config = around.config
    options = source_named(config, request.source)
    config.for_topic(options.topic)
    files = listed(request.names)
    return Surveyed(files, claimed(config, options, facts_of(files), around.state))


def source_named(config: Config, name: str) -> SourceOptions:
    """Return a source of the configuration; UsageError where it has none of that name."""
    for options in config.source:
        if options.name == name:
            return options
    names = [options.name for options in config.source]
    known = f"it has {', '.join(names)}" if names else "it has none"
    raise UsageError(f'no source is called "{name}" in {config.path}{hint(name, names)}; {known}')


def dry_run(around: Surroundings, request: Request, files: Sequence[File], say: Callable[[str], None]) -> list[Outcome]:
    """Return what would become of the files; nothing is written anywhere.

    A warehouse that can't be read is taken for an empty one, as its root may not have been made yet; `say` is told.
    """
    topic = source_named(around.config, request.source).topic
    with ExitStack() as stack:
        warehouse = _warehouse(around, stack)
        chains: Chains = Warehouse(warehouse, topic, _committers(around, warehouse, topic))
        try:
            warehouse.list(META)
        except Unavailable as error:
            say(f"The plan is for an empty warehouse: {error}")
            chains = NoChains()
        else:
            require_root(around, warehouse)
        return plan(host(), files, chains, again=request.again)


def take(
    around: Surroundings,
    request: Request,
    files: Sequence[File],
    patience: Patience,
    watcher: Watcher,
    stopping: Callable[[], bool],
) -> list[Outcome]:
    """Take the files, none of which is refused; return what became of each, in the same order.

    Raises:
        IngestError: the warehouse or the state directory can't be used; nothing was taken.
    """
    sink = around.config.require_sink()
    options = source_named(around.config, request.source)
    with ExitStack() as stack:
        warehouse = _warehouse(around, stack)
        patience(lambda: require_root(around, warehouse))
        patience(warehouse.check)
        spool = stack.enter_context(own_spool(around.state))
        world = World(
            filesystem=warehouse,
            plan=_plan(around, request, options.topic, warehouse),
            committer=_committers(around, warehouse, options.topic),
            source=options.name,
            labels=options.labels,
            framing=options.framing(int(options.max_line or MAX_LINE)),
            host=host(),
            spool=spool,
            shares=Shares.of(sink.memory),
            clock=around.clock,
            metrics=around.metrics,
            patience=patience,
            stopping=stopping,
        )
        return Run(world, watcher, again=request.again).take(files)


def require_root(around: Surroundings, warehouse: Filesystem[Any]) -> None:
    """Make sure that a warehouse to which a sink of this state directory wrote is still there.

    Raises:
        Fatal: it is gone: a disk that is not mounted. A new one would take everything in once more.
    """
    known = around.state / "sink" / "root.json"
    destination = around.config.require_sink().destination
    try:
        here = json.loads(known.read_text()) == {"root": destination.root, "type": destination.type}
    except (OSError, ValueError):
        return  # no sink was here, or it will say itself what is wrong
    if here and read_root(warehouse) is None:
        raise Fatal(
            f"_ingest/root.json is gone from {destination.root}, though the sink of this state directory wrote there "
            "before: is the disk mounted? Nothing is written until it is back"
        )


def _warehouse(around: Surroundings, stack: ExitStack) -> Filesystem[Any]:
    warehouse = filesystem(around.config, around.config.require_sink())
    stack.callback(warehouse.close)
    return warehouse


def _plan(around: Surroundings, request: Request, topic: str, warehouse: Filesystem[Any]) -> TopicPlan:
    made = topic_plan(around.config, topic, warehouse, _worker(), kafka=False)
    return replace(made, budget=Budget(1.0, made.budget.window)) if request.accept_quarantine else made


def _committers(around: Surroundings, warehouse: Filesystem[Any], topic: str) -> MakeCommitter:
    def committer(generation: int) -> Committer:
        return Committer(
            warehouse,
            ChainKey.backfill(topic, generation),
            worker=_worker(),
            version=__version__,
            now=around.clock.now,
            new_id=lambda: uuid.uuid4().hex,
        )

    return committer


def _worker() -> str:
    return f"{host()}-backfill-{os.getpid()}"
