"""The job "ship": sessions, one after the other, until it is told to stop or there is nothing left to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from ingest.errors import IngestError, Retriable, StateDamaged, Unavailable, UsageError
from ingest.ship.ledger import Ledger
from ingest.ship.ports import Connections
from ingest.ship.session import Session, Surroundings
from ingest.ship.status import ShippedStream

_LONGEST_PAUSE: Final = 30.0  # seconds between sessions
_TRIES: Final = 5  # sessions in a row without progress after which a run with an end gives up
_CLOSE: Final = 5.0  # seconds for the producer to let go


class Shipper:
    """Runs sessions; a session that fails is torn down whole, and the next begins at the durable checkpoint.

    Args:
        connect: makes sources and producer, for each session anew.
        around: what sessions work with.
        once: the sources have an end: give up after a few failures in a row instead of trying for ever.
        adopt: take over the checkpoint of another machine.
        drain_timeout: seconds to wait at the end for what is on its way.
        pause: seconds before the second session; doubled while none makes progress.
    """

    def __init__(
        self,
        connect: Callable[[], Connections],
        around: Surroundings,
        *,
        once: bool = False,
        adopt: bool = False,
        drain_timeout: float = 20.0,
        pause: float = 1.0,
    ) -> None:
        self._connect = connect
        self._around = around
        self._once = once
        self._adopt = adopt
        self._drain_timeout = drain_timeout
        self._pause = pause
        self._session: Session | None = None

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set (then drain), or until every source is finished and everything is durable.

        Raises:
            UsageError: the checkpoint is another machine's, or a source is configured wrongly.
            StateDamaged: the checkpoint can't be trusted.
            Fatal: Kafka says no at the start of a session.
            IngestError: with `once`, several sessions in a row failed without progress.
        """
        failures = 0
        while not stop.is_set():
            self._session = None
            try:
                self._live(stop)
                return
            except (UsageError, StateDamaged):
                raise
            except IngestError as error:
                failures = 0 if self._progressed else failures + 1
                if (self._session is None and not isinstance(error, Retriable)) or (self._once and failures >= _TRIES):
                    raise
                self._around.metrics.ship_restarts.inc()
                self._around.health.report("ship", False, str(error))
                self._around.log.error("shipping failed, beginning again from the checkpoint", why=str(error))
            stop.wait(min(_LONGEST_PAUSE, self._pause * 2**failures))

    def status(self) -> list[ShippedStream]:
        """Return where each stream was a few seconds ago; from any thread."""
        session = self._session
        return [] if session is None else session.streams

    @property
    def _progressed(self) -> bool:
        return self._session is not None and self._session.progress

    def _live(self, stop: threading.Event) -> None:
        """Run one session from opening to closing."""
        with ExitStack() as stack:
            connections = self._connect()
            stack.callback(connections.producer.close, _CLOSE)
            for source in connections.sources:
                stack.callback(source.close)
            adopt = self._around.new_generation if self._adopt else None
            ledger = Ledger(self._around.checkpoint.load(adopt))
            self._session = Session(connections, ledger, self._around)
            self._session.run(stop)
            durable = self._session.drain(self._drain_timeout)
            if not durable and not stop.is_set():
                raise Unavailable(f"the checkpoint in {self._around.checkpoint.directory} could not be saved")
            if not durable:
                self._around.log.warning("stopped with lines that are not acknowledged: they will be sent again")
