"""What all jobs of one process share: clock, log, metrics, health, the way to Kafka and to the warehouse."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.api import Filesystem
from ingest.broker.security import Connection
from ingest.clock import Clock, SystemClock
from ingest.config.load import Config
from ingest.config.model import SinkOptions
from ingest.service.health import Health
from ingest.service.log import configure
from ingest.service.metrics import Metrics
from ingest.service.ownership import private_directory


@dataclass(slots=True)
class Surroundings:
    """One process's share of everything."""

    config: Config
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)

    @property
    def state(self) -> Path:
        """Return the state directory."""
        return Path(self.config.state.dir)

    def begin_log(self) -> None:
        """Send the log where the configuration says."""
        stderr = configure(self.config.log.level, self.config.log.format)
        self.metrics.log_dropped.set_function(lambda: stderr.dropped)


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def connection(config: Config) -> Connection:
    """Return the way to Kafka."""
    kafka = config.kafka
    return Connection(tuple(kafka.bootstrap), kafka.security, kafka.client_id)


def filesystem(config: Config, sink: SinkOptions) -> Filesystem[Any]:
    """Return the warehouse; nothing is touched yet but what its connector's constructor looks at."""
    options = sink.destination
    made: Filesystem[Any] = config.registry.filesystem(options.type)(options)
    return made


def worker_name(directory: Path) -> tuple[str, bool]:
    """Return the name of the worker whose state is in `directory`, and whether it had one before.

    The name is random, made once, the same after every restart.

    It is this worker's identity in the consumer group, so that a restarted worker takes its partitions back at once.
    """
    path = directory / "worker"
    try:
        return path.read_text().strip(), True
    except FileNotFoundError:
        private_directory(directory)
        name = f"{host()}-{uuid.uuid4().hex[:12]}"
        scratch = path.with_suffix(".tmp")
        with scratch.open("w") as file:
            file.write(f"{name}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        return name, False
