"""Builds the job "ship"."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ingest.api import Source, SourceContext, SourceOptions
from ingest.broker.producer import KafkaLineProducer
from ingest.service.log import logger
from ingest.service.ownership import private_directory
from ingest.ship import session
from ingest.ship.checkpoint import Checkpoint, machine_id
from ingest.ship.ports import Connections
from ingest.ship.shipper import Shipper
from ingest.ship.topics import prepare
from ingest.wiring.surroundings import Surroundings, connection, host


def shipper(around: Surroundings, *, once: bool, adopt: bool = False) -> Shipper:
    """Return the shipper of a configuration; call while holding the state directory's part "ship"."""
    directory = around.state / "ship"
    private_directory(directory)
    log = logger(part="ship")
    world = session.Surroundings(
        checkpoint=Checkpoint(directory, machine_id(), log),
        clock=around.clock,
        metrics=around.metrics,
        health=around.health,
        log=log,
    )

    def connect() -> Connections:
        with ExitStack() as stack:
            producer = KafkaLineProducer(connection(around.config), compression=around.config.kafka.compression)
            stack.callback(producer.close, 0)
            sources = []
            for options in around.config.source:
                limit = prepare(producer, options, log)
                made = _source(around, options, limit, directory, once)
                stack.callback(made.close)
                sources.append(made)
            stack.pop_all()
        return Connections(sources, producer)

    return Shipper(connect, world, once=once, adopt=adopt)


def _source(around: Surroundings, options: SourceOptions, max_line: int, directory: Path, once: bool) -> Source[Any]:
    log = logger(part="ship", source=options.name)
    context = SourceContext(
        clock=around.clock,
        host=host(),
        max_line=max_line,
        once=once,
        new_generation=session.random_generation,
        spool=directory / "spool" / options.name,
        event=log.info,
    )
    made: Source[Any] = around.config.registry.source(options.type)(options, context)
    return made
