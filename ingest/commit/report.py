"""What a verification found."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: what kind, at which path below the root, and what exactly."""

    kind: str
    path: str
    detail: str


@dataclass(slots=True)
class Report:
    """The outcome of `verify`.

    Attributes:
        differences: what should not be; none = the warehouse holds what its chains say.
        notes: what a person may want to know: losses that were accepted, staged leftovers, commits in progress.
        counts: chains, eras, commits, files, rows, quarantined, duplicates, bytes, lost_offsets (accepted), streams,
            staged. Offsets and rows of void records are not counted.
    """

    differences: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Return whether there is no difference."""
        return not self.differences

    def differ(self, kind: str, path: str, detail: str) -> None:
        """Add a difference."""
        self.differences.append(Finding(kind, path, detail))

    def note(self, kind: str, path: str, detail: str) -> None:
        """Add what is no difference."""
        self.notes.append(Finding(kind, path, detail))

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "ok": self.ok,
            "counts": dict(sorted(self.counts.items())),
            "differences": [asdict(finding) for finding in self.differences],
            "notes": [asdict(finding) for finding in self.notes],
        }
