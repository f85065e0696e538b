"""What a run would do, found out without writing anything anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ingest.backfill.chains import Chains
from ingest.backfill.content import Content, look_at
from ingest.backfill.decision import Kind, Known, Place
from ingest.backfill.feed import NEWLINE
from ingest.backfill.files import File
from ingest.backfill.outcome import Ending, Outcome
from ingest.backfill.run import named, unclear
from ingest.backfill.survey import Survey, survey
from ingest.errors import IngestError

CHEAP: Final = 64 << 20
"""Bytes of a plain file whose lines are counted."""


class Pretended:
    """The chains as they would be after the files before: what would be written counts as written."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains
        self._taken: dict[int, tuple[Place, str, int]] = {}
        self._known: dict[int, Known] = {}

    def take(self, here: Place, path: str, found: Survey) -> None:
        """Pretend that a file was taken as its survey says."""
        generation = found.decision.generation
        if found.decision.kind in (Kind.NEW, Kind.RESUME) and generation is not None:
            self._taken[generation] = (here, path, found.length)
            self._known.pop(generation, None)

    def find(self, generation: int) -> Known | None:
        """See `Chains.find`. A file is digested only when another one has its head."""
        if generation not in self._taken:
            return self._chains.find(generation)
        if generation not in self._known:
            here, path, length = self._taken[generation]
            with Content(path) as content:
                content.end_at(length)
                look = look_at(content, {length})
            self._known[generation] = Known(generation, length, look.digests.get(length, ""), here)
        return self._known[generation]

    def marks(self, generation: int) -> Mapping[int, str]:
        """See `Chains.marks`."""
        if generation not in self._taken:
            return self._chains.marks(generation)
        known = self._known[generation]
        return {known.length: known.digest or ""}


def plan(host: str, files: Sequence[File], chains: Chains, *, again: bool) -> list[Outcome]:
    """Return what would become of each file, in the same order.

    Args:
        host: this machine's name.
        files: in the order in which they would be taken.
        chains: what the warehouse holds.
        again: see `decision.decide`.
    """
    pretended = Pretended(chains)
    return [_planned(Place(host, file.shown), file, pretended, again=again) for file in files]


def _planned(here: Place, file: File, pretended: Pretended, *, again: bool) -> Outcome:
    outcome = Outcome(file)
    try:
        found = survey(here, file.path, pretended, Content, again=again)
        outcome.decision = found.decision
        if found.decision.kind is Kind.UNCLEAR:
            outcome.ending, outcome.problem = Ending.FAILED, f"{file.path}: {unclear(found)}"
        else:
            pretended.take(here, file.path, found)
            outcome.lines = lines_of(file.path, found)
    except IngestError as error:
        outcome.ending, outcome.problem = Ending.FAILED, named(file, error)
    return outcome


def lines_of(path: str, found: Survey) -> int | None:
    """Return how many lines would be taken, None where counting them would cost much."""
    begin = found.decision.at
    if found.decision.kind not in (Kind.NEW, Kind.RESUME):
        return 0
    with Content(path) as content:
        if content.compressed or content.size > CHEAP:
            return None
        lines, last = 0, NEWLINE
        for piece in content.pieces():
            fresh = piece[max(0, begin) :]
            begin -= len(piece)
            lines, last = lines + fresh.count(NEWLINE), fresh[-1:] or last
        return lines + (last != NEWLINE)
