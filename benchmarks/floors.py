"""What must hold and what we aim at, as ratios within one run, with what this run found beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import chain, scaling, sink
from benchmarks.rounds import OURS, Table

Tables = Mapping[str, Table]

QUIET = 0.1
"""Part of the cores that other people's work may have, until figures deserve a word of caution."""


@dataclass(frozen=True, slots=True)
class Floor:
    """One line of the table. `found` raises KeyError when its stage, or a peer, did not run.

    `most`: the floor is a ceiling.
    """

    what: str
    floor: float
    aim: float
    unit: str
    found: Callable[[Tables], float]
    most: bool = False

    def verdict(self, value: float) -> str:
        """Return what is to be said of a value."""
        held, aimed = (
            (value <= self.floor, value <= self.aim) if self.most else (value >= self.floor, value >= self.aim)
        )
        return "aim reached" if aimed else "holds" if held else "MISSED"


def _faster(key: str, peer: str) -> Callable[[Tables], float]:
    return lambda tables: tables[key].faster(OURS, peer)


def _cheaper(key: str, peer: str) -> Callable[[Tables], float]:
    return lambda tables: tables[key].cheaper(OURS, peer)


def _beside_one(key: str, many: str) -> Callable[[Tables], float]:
    return lambda tables: tables[key].faster(many, scaling.ONE)


def _rss(*places: tuple[str, str]) -> Callable[[Tables], float]:
    """Return the most memory in MB of the contenders named; those that did not run are left out."""

    def most(tables: Tables) -> float:
        found = [tables[key].series[name].rss / 1e6 for key, name in places if key in tables]
        if not found:
            raise KeyError(places)
        return max(found)

    return most


FLOORS = [
    Floor("ship, Apache lines, vs rsyslog (Direct queue)", 5, 8, "×", _faster("ship clf", "rsyslog")),
    Floor("ship, Apache lines, vs librdkafka produce_batch + key", 2, 3, "×", _faster("ship clf", "librdkafka")),
    Floor("fetch + all columns vs librdkafka consume", 2, 3, "×", _faster("fetch j230", "librdkafka")),
    Floor("sink j360, CPU, vs librdkafka + pyarrow in 2 processes", 1.5, 3, "× less", _cheaper("sink j360", sink.TWO)),
    Floor("sink j360, wall, vs librdkafka + pyarrow in 1 process", 1.5, 2.5, "×", _faster("sink j360", sink.ONE)),
    Floor("sink j360 vs DuckDB on the bare file", 0.5, 0.8, "×", _faster("sink j360", "duckdb, bare file")),
    Floor("sink j230 vs DuckDB on the bare file", 0.5, 0.8, "×", _faster("sink j230", "duckdb, bare file")),
    Floor("raw parser sink, 211 B", 0.8, 1.2, "M/CPU s", lambda t: 1 / max(t["sink raw"].series[OURS].cost, 1e-3)),
    Floor("whole chain, 211 B", 0.4, 0.6, "M/s", lambda t: t["chain j230"].series[chain.APART].rate / 1e6),
    Floor(
        "RSS of ship",
        250,
        150,
        "MB",
        _rss(("ship clf", OURS), ("ship j230", OURS), ("scaling ship", scaling.PARTITIONS)),
        most=True,
    ),
    Floor(
        'RSS of sink, memory = "128MiB"',
        450,
        300,
        "MB",
        _rss(
            ("sink j360", OURS),
            ("sink j230", OURS),
            ("scaling sink", scaling.PARTITIONS),
            ("scaling sink", scaling.HOURS),
        ),
        most=True,
    ),
    Floor("sink, 64 partitions vs 1", 0.8, 0.95, "×", _beside_one("scaling sink", scaling.PARTITIONS)),
    Floor("sink, 24 event hours vs 1", 0.8, 0.95, "×", _beside_one("scaling sink", scaling.HOURS)),
    Floor("sink, 8 topics vs 1", 0.8, 0.95, "×", _beside_one("scaling sink", scaling.TOPICS)),
    Floor("ship, 64 partitions vs 1", 0.8, 0.95, "×", _beside_one("scaling ship", scaling.PARTITIONS)),
    Floor("ship, 8 topics vs 1", 0.8, 0.95, "×", _beside_one("scaling ship", scaling.TOPICS)),
]


def text(tables: Tables) -> str:
    """Return the table of floors; what was not measured is left out."""
    rows = [("", "floor", "aim", "found", "")]
    for each in FLOORS:
        try:
            value = each.found(tables)
        except KeyError:
            continue
        bound = "≤ " if each.most else ""
        rows.append(
            (
                each.what,
                f"{bound}{each.floor:g}",
                f"{bound}{each.aim:g}",
                _figure(value, each.unit),
                each.verdict(value),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4]]).rstrip()
        for row in rows
    )
    busiest = max((table.foreign for table in tables.values()), default=0.0)
    if busiest > QUIET:
        text += (
            f"\nOthers had up to {busiest:.0%} of the cores: times (not CPU) compare badly, run again when it is quiet"
        )
    return text


def _figure(value: float, unit: str) -> str:
    digits = 0 if unit == "MB" else 2
    return f"{value:.{digits}f}{'' if unit.startswith('×') else ' '}{unit}"
