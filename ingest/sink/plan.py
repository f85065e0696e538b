"""What is done with one topic, in objects instead of options; shared by all its partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingest.api import Parser
from ingest.commit.schema import SchemaBook
from ingest.config.model import ColumnsOptions
from ingest.sink.encodings import Encodings
from ingest.sink.event_time import EventTime
from ingest.sink.layout import Layout
from ingest.sink.quarantine import Budget
from ingest.sink.rotation import Limits


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """See the module.

    Attributes:
        topic: Kafka's.
        parser: of the values.
        book: where inferred columns are agreed; used only when the parser has no schema of its own.
        event_time: when a row happened.
        layout: which partition path a row gets.
        columns: names of the columns that say where a row came from.
        encodings: how files are written.
        budget: how many records may be unparsable.
        limits: when a range is closed.
        cron: when it is closed besides; None = never.
        cron_timezone: of `cron`.
        dedup_days: streams seen in so many days are kept in every commit.
        kafka: False = the records never were in Kafka (a backfill): kafka_* are null.
    """

    topic: str
    parser: Parser[Any]
    book: SchemaBook
    event_time: EventTime
    layout: Layout
    columns: ColumnsOptions
    encodings: Encodings
    budget: Budget
    limits: Limits
    cron: str | None
    cron_timezone: str
    dedup_days: float
    kafka: bool = True
