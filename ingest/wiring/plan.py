"""Builds what is done with a topic."""

from __future__ import annotations

from typing import Any

from ingest.api import Filesystem
from ingest.commit.schema import SchemaBook
from ingest.config.load import Config
from ingest.config.template import is_template
from ingest.sink.encodings import Encodings
from ingest.sink.event_time import EventTime
from ingest.sink.layout import layout
from ingest.sink.plan import TopicPlan
from ingest.sink.quarantine import Budget
from ingest.sink.rotation import Limits


def topic_plan(config: Config, topic: str, warehouse: Filesystem[Any], worker: str, *, kafka: bool = True) -> TopicPlan:
    """Return what the configuration says of a topic.

    Raises:
        ConfigError: nothing says what parser it needs.
    """
    found = config.for_topic(topic)
    options, registry = found.options, config.registry
    rotate, event_time = options.rotate, options.event_time
    by = options.partition_by
    return TopicPlan(
        topic=topic,
        parser=registry.parser(found.parser_name)(found.parser_options),
        book=SchemaBook(warehouse, topic, worker),
        event_time=EventTime(event_time.field, event_time.unit, event_time.max_ahead, event_time.earliest),
        layout=layout(by, options.timezone, None if is_template(by) else registry.partition_path(by)),
        columns=options.columns,
        encodings=Encodings(options.parquet),
        budget=Budget(options.quarantine.max_ratio, options.quarantine.window),
        limits=Limits(rotate.rows, rotate.bytes, rotate.age, rotate.idle),
        cron=rotate.cron,
        cron_timezone=rotate.timezone,
        dedup_days=config.require_sink().dedup_days,
        kafka=kafka,
    )
