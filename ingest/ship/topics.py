"""Makes ready the topic of a source."""

from __future__ import annotations

from typing import Final

from ingest.api import SourceOptions
from ingest.ship.ports import Log, Producer

DEFAULT_MAX_LINE: Final = 1 << 20


def prepare(producer: Producer, options: SourceOptions, log: Log) -> int:
    """Make the topic if that is asked for; return the `max_line` for the source's context.

    That is what the options say, but never more than the topic takes: such a line could never be sent.

    Raises:
        Unavailable: no broker answers.
        IngestError: the topic is missing, or may not be used.
    """
    if options.create_topics:
        producer.ensure_topic(options.topic, options.partitions, options.replication)
    room = producer.max_record_bytes(options.topic)
    wanted = options.max_line or DEFAULT_MAX_LINE
    if options.max_line is not None and wanted > room:
        log.warning("max_line is more than the topic takes", source=options.name, topic=options.topic, max_line=room)
    return min(int(wanted), room)
