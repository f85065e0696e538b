"""Contenders take turns on the same lines: A B C A B C …; what counts is the median of the ratios within a round.

A contender is a process, and a service starts once: so its rate is taken while lines flow, as something outside of the
process tells (from the first append to the last, from the first record of a commit chain to the last), and of its CPU
that of a run on a few lines is subtracted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.data import Lines
from benchmarks.load import Moment
from benchmarks.processes import Usage
from benchmarks.world import World, say

LEAST = 0.02
"""Seconds that a run takes at least, so that a rate on too few lines is not absurd."""

OURS = "ingest"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run took and left behind; its result was found right."""

    usage: Usage
    files: int | None = None
    bytes_out: int | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who does the job.

    Attributes:
        name: as printed.
        run: does the job on the given lines and raises unless the result is right.
        lines: what it works on; fewer where it is slow.
        whole: its CPU is that of a whole process, so that starting is subtracted; False = it took its own time.
    """

    name: str
    run: Callable[[Lines], Outcome]
    lines: Lines
    whole: bool = True


@dataclass(slots=True)
class Series:
    """The runs of a contender, one for each round. `fixed` is the CPU of a run on a few lines."""

    name: str
    lines: Lines
    fixed: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    foreign: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Return records a second, for each round."""
        return [self.lines.lines / seconds for seconds in self.seconds]

    @property
    def seconds(self) -> list[float]:
        """Return how long lines flowed, for each round."""
        return [max(LEAST, each.usage.seconds) for each in self.outcomes]

    @property
    def idle(self) -> float:
        """Return the seconds before and after that."""
        pairs = zip(self.outcomes, self.seconds, strict=True)
        return statistics.median(each.usage.wall - seconds for each, seconds in pairs)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def megabytes(self) -> float:
        """Return 10^6 bytes of values a second."""
        return self.rate * self.lines.bytes / self.lines.lines / 1e6

    @property
    def costs(self) -> list[float]:
        """Return microseconds of CPU a record, for each round."""
        work = [max(0.0, each.usage.cpu - self.fixed) for each in self.outcomes]
        return [1e6 * seconds / self.lines.lines for seconds in work]

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)

    @property
    def rss(self) -> int:
        return max(each.usage.rss for each in self.outcomes)


@dataclass(frozen=True, slots=True)
class Table:
    """What one measurement found. `skipped`: who could not take part, and why."""

    key: str
    title: str
    lines: Lines
    series: dict[str, Series]
    skipped: dict[str, str]

    def faster(self, ours: str, theirs: str) -> float:
        """Return how many times as many records a second `ours` does."""
        pairs = zip(self.series[ours].rates, self.series[theirs].rates, strict=True)
        return statistics.median(a / b for a, b in pairs)

    def cheaper(self, ours: str, theirs: str) -> float:
        """Return how many times as much CPU a record `theirs` takes."""
        pairs = zip(self.series[ours].costs, self.series[theirs].costs, strict=True)
        return statistics.median(b / max(a, 1e-3) for a, b in pairs)

    @property
    def foreign(self) -> float:
        """Return the part of the cores that other people's work had, at the median."""
        return statistics.median(part for series in self.series.values() for part in series.foreign)


def measure(
    world: World, key: str, title: str, contenders: Sequence[Contender], skipped: dict[str, str] | None = None
) -> Table:
    """Let everybody have a turn in each round.

    Raises:
        ContenderFailed: a process failed.
        WrongResult: a result is wrong.
    """
    series = {each.name: Series(each.name, each.lines) for each in contenders}
    for each in contenders:
        if each.whole:
            series[each.name].fixed = _fixed(world, key, each)
    for number in range(world.choices.pairs):
        for each in contenders:
            outcome, foreign = _run(f"{key} {number + 1}/{world.choices.pairs}", each, each.lines)
            series[each.name].outcomes.append(outcome)
            series[each.name].foreign.append(foreign)
    return Table(key, title, contenders[0].lines, series, skipped or {})


def _fixed(world: World, key: str, contender: Contender) -> float:
    """Return the CPU seconds of a run on a few lines: what these hold does not matter, but how many parts they have."""
    remembered = key.partition(" ")[0], contender.name, contender.lines.spec.parts
    if remembered not in world.fixed:
        few = world.tiny(contender.lines)
        world.fixed[remembered] = min(_run(key, contender, few)[0].usage.cpu for _ in range(world.choices.fixed_runs))
    return world.fixed[remembered]


def _run(where: str, contender: Contender, lines: Lines) -> tuple[Outcome, float]:
    before = Moment.now()
    outcome = contender.run(lines)
    foreign = Moment.now().foreign_since(before)
    usage = outcome.usage
    say(
        f"  {where}: {contender.name}, {lines.lines:,} lines: {usage.wall:.2f} s"
        f"{'' if usage.work is None else f' ({usage.work:.2f} s work)'}, {usage.cpu:.2f} s CPU, "
        f"{usage.rss / 1e6:.0f} MB; others {foreign:.0%}"
    )
    return outcome, foreign
