"""Looks at a file and at the warehouse until what to do with the file can be decided. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.backfill.chains import Chains, with_head
from ingest.backfill.content import Content, FileProblem, Look, head_of, look_at
from ingest.backfill.decision import (
    Decision,
    Judged,
    Known,
    Origin,
    Place,
    Relation,
    decide,
    needs_origin,
    relation,
)

Open = Callable[[str], Content]
"""Opens a file of this host; raises FileProblem."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out about a file: what to do with it, and which chains hold what it begins with."""

    decision: Decision
    length: int
    seen: frozenset[int]
    """Generations of all chains whose head the file has."""
    matching: tuple[int, ...]
    """Generations of chains that hold this content, or its beginning: their newest commit may be unfinished."""


def survey(here: Place, path: str, chains: Chains, open_file: Open, *, again: bool = False) -> Survey:
    """Find out what to do with a file.

    Args:
        here: where it is, as records say it.
        path: where it is, for the system.
        chains: what the warehouse holds.
        open_file: opens it, and others that known contents came from.
        again: see `decide`.

    Raises:
        FileProblem: it can't be read, or is damaged.
        Unavailable, StateDamaged: of the warehouse.
    """
    with open_file(path) as content:
        head = head_of(content)
    found = with_head(chains, head)
    knowns, look = _looked(path, found.known, chains, open_file)
    judged = [_judged(here, known, look, open_file) for known in knowns]
    decision = decide(here, look, judged, found.free, again=again)
    matching = [one.known.generation for one in judged if one.relation in (Relation.SAME, Relation.LONGER)]
    seen = frozenset(known.generation for known in knowns)
    return Survey(decision, look.length, seen, tuple(matching))


def _looked(path: str, knowns: list[Known], chains: Chains, open_file: Open) -> tuple[list[Known], Look]:
    """Return the chains, those that hold more than the file with their marks, and all digests needed to compare."""
    with open_file(path) as content:
        look = look_at(content, [known.length for known in knowns])
    if all(known.length <= look.length for known in knowns):
        return knowns, look
    marked = [
        replace(known, marks=chains.marks(known.generation)) if known.length > look.length else known
        for known in knowns
    ]
    positions = {look.length, *(known.length for known in marked), *(at for known in marked for at in known.marks)}
    with open_file(path) as content:
        content.end_at(look.length)
        return marked, look_at(content, positions)


def _judged(here: Place, known: Known, look: Look, open_file: Open) -> Judged:
    related = relation(known, look)
    if not needs_origin(known, related):
        return Judged(known, related, Origin.HERE)
    return Judged(known, related, origin(here, known, look, open_file))


def origin(here: Place, known: Known, look: Look, open_file: Open) -> Origin:
    """Say what is now at the place where a known content was read.

    Args:
        here: the file that is looked at.
        known: the content.
        look: of that file, with the digest at its length where it is shorter than the content.
        open_file: opens what is there.
    """
    if known.place == here:
        return Origin.HERE
    if known.place.host != here.host:
        return Origin.FOREIGN
    try:
        if not os.path.exists(known.place.path):
            return Origin.GONE
        with open_file(known.place.path) as content:
            if not content.compressed and content.size != known.length:
                return Origin.GONE
            other = look_at(content, {known.length, look.length})
    except FileProblem:
        return Origin.FOREIGN
    if other.length != known.length or other.digests[known.length] != known.digest:
        return Origin.GONE
    mine = look.digests.get(look.length)
    longer = look.length < known.length and mine is not None and other.digests[look.length] == mine
    return Origin.INTACT_LONGER if longer else Origin.INTACT
