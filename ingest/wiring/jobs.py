"""Runs ship, sink or both as one service: state locks, sockets, web, systemd, signals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal

from ingest.errors import UsageError
from ingest.service.control import ControlServer
from ingest.service.daemon import Part, Service
from ingest.service.ownership import StateLock
from ingest.service.web import WebServer
from ingest.ship.shipper import Shipper
from ingest.wiring.ship import shipper
from ingest.wiring.sink import SinkJob
from ingest.wiring.surroundings import Surroundings

FLUSH_WITHIN = 600.0
"""Seconds after which a flush that was asked for is no longer waited for."""

Job = Literal["ship", "sink"]


def run_jobs(around: Surroundings, jobs: Sequence[Job], *, once: bool, adopt: bool = False) -> int:
    """Run until told to stop, or with `once` until everything is done; return the exit code.

    Raises:
        UsageError: another process owns the state directory's part, the address to listen at is taken, or what only
            showed while running (another cluster's warehouse, a topic without a parser).
    """
    with ExitStack() as stack:
        for job in jobs:
            stack.enter_context(StateLock(around.state, job))
        parts: list[Part] = []
        views: dict[str, Callable[[], Any]] = {}
        for job in jobs:
            if job == "ship":
                part = _ship(stack, around, views, once=once, adopt=adopt)
            else:
                part = _sink(stack, around, views, once=once)
            parts.append(part)
        if around.config.web is not None:
            server = WebServer(around.config.web.listen, around.metrics, around.health, lambda: _status(views))
            stack.enter_context(server)
        code = Service(parts, around.health).run()
    for part in parts:
        if isinstance(part.failure, UsageError):
            raise part.failure  # said once more, where a person looks
    return code


def _ship(
    stack: ExitStack, around: Surroundings, views: dict[str, Callable[[], Any]], *, once: bool, adopt: bool
) -> Part:
    made: Shipper = shipper(around, once=once, adopt=adopt)

    def status() -> list[dict[str, Any]]:
        return [dataclasses.asdict(stream) for stream in made.status()]

    views["ship"] = status
    stack.enter_context(ControlServer(around.state, "ship", {"status": lambda _: status()}))
    return Part("ship", made.run)


def _sink(stack: ExitStack, around: Surroundings, views: dict[str, Callable[[], Any]], *, once: bool) -> Part:
    job = SinkJob(around, once=once)

    def flush(_arguments: dict[str, Any]) -> list[dict[str, Any]]:
        job.flush(FLUSH_WITHIN)
        return job.status()

    views["sink"] = job.status
    stack.enter_context(ControlServer(around.state, "sink", {"status": lambda _: job.status(), "flush": flush}))
    return Part("sink", job.run)


def _status(views: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    return {name: view() for name, view in views.items()}
