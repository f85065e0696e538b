"""Whether many cost more than one: partitions, event hours, topics. Ingest beside itself, on as many lines.

Here the memory of ship and sink is looked at too: it may not grow with any of them.
"""

from __future__ import annotations

from functools import partial

from benchmarks import report, ship, sink
from benchmarks.rounds import Contender, Table, measure
from benchmarks.world import World, alone

ONE, PARTITIONS, HOURS, TOPICS = "1 partition", "64 partitions", "24 hours", "8 topics"


def stage(world: World) -> list[Table]:
    """Measure the sink and ship."""
    one, many = world.lines("j230", parts=1), world.lines("j230", parts=64)
    hours, eight = world.lines("j230", parts=1, hours=24), world.lines("j230", parts=8)
    sinks = [
        Contender(ONE, partial(sink.ours, world), one),
        Contender(PARTITIONS, partial(sink.ours, world), many),
        Contender(HOURS, partial(sink.ours, world), hours),
        Contender(TOPICS, partial(sink.ours, world, topics=8), eight),
    ]
    ships = [
        Contender(ONE, ship.into_topic(world, lambda topic, lines: world.ship({topic: lines.glob})), one),
        Contender(PARTITIONS, ship.into_topic(world, lambda topic, lines: world.ship({topic: lines.glob})), many),
        Contender(TOPICS, partial(ship.into_topics, world), eight),
    ]
    tables = [measure(world, "scaling sink", "scaling, sink", sinks)]
    tables.append(measure(world, "scaling ship", "scaling, ship", ships))
    return report.show(world, tables)


if __name__ == "__main__":
    alone(stage, __doc__)
