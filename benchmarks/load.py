"""How busy the machine was with other people's work: a figure taken beside a compiler is worth less."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds since boot: of everybody, and of this process with all that it started."""

    at: float
    everybody: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        """Take a reading."""
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = fields
        return cls(time.perf_counter(), (user + nice + system + irq + softirq + steal) / _TICK, _family() / _TICK)

    def foreign_since(self, earlier: Moment) -> float:
        """Return the part of all cores, 0 to 1, that others had since `earlier`."""
        others = (self.everybody - earlier.everybody) - (self.ours - earlier.ours)
        return max(0.0, others / ((self.at - earlier.at) * (os.cpu_count() or 1)))


def _family() -> int:
    """Return the CPU ticks of this process and all living descendants, with the dead ones they waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.parent.name)] = int(fields[1])
            ticks[int(entry.parent.name)] = sum(int(field) for field in fields[11:15])
    return sum(ticks[pid] for pid in ticks if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid and pid != os.getpid():
        pid = parents.get(pid, 0)
    return pid == os.getpid()
