"""The jobs as the demo runs them: in its own process, ended by it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from ingest.broker.admin import ClusterAdmin
from ingest.broker.extent import last_offsets
from ingest.service.ownership import StateLock
from ingest.wiring.ship import shipper
from ingest.wiring.sink import SinkJob
from ingest.wiring.surroundings import Surroundings, connection


def ship_while(around: Surroundings, write: Callable[[], None]) -> None:
    """Ship while `write` runs, and then what is left."""
    stop = threading.Event()
    with StateLock(around.state, "ship"):
        live = shipper(around, once=False)
        failure: list[BaseException] = []

        def run() -> None:
            try:
                live.run(stop)
            except BaseException as error:
                failure.append(error)
                raise

        thread = threading.Thread(target=run, name="ship")
        thread.start()
        try:
            write()
        finally:
            stop.set()
            thread.join()
        if failure:
            raise failure[0]
        shipper(around, once=True).run(threading.Event())


def sink_once(around: Surroundings) -> None:
    """Commit everything that is in the topics."""
    with StateLock(around.state, "sink"):
        SinkJob(around, once=True).run(threading.Event())


def records_in_kafka(around: Surroundings) -> dict[str, int]:
    """Return how many records each of the sink's topics took since it was made."""
    where = connection(around.config)
    admin = ClusterAdmin(where)
    found: Counter[str] = Counter()
    for topic in around.config.require_sink().topics:
        pairs = [(topic, partition) for partition in range(admin.topic(topic).partitions)]
        found[topic] = sum(last + 1 for last in last_offsets(where, pairs).values())
    return dict(found)
