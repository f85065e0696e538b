"""What to do with a file, decided from what the warehouse's chains say and what is seen of the file. Pure.

Two contents are the same when all their bytes are. What begins like a content that is in the warehouse may be that
content grown, or another file that happens to begin alike; the difference shows in where the known one came from:

    same path, or nothing intact is left at its path          → it has grown
    another file that is still there, unchanged               → two files; unless they share at least 64 KiB, which only
                                                                copies of one log do: then it has grown
    on another host, so that it can't be looked at            → the same

A file that is shorter than what is known of a content that begins alike could be a part of it, and nothing proves what
rows its bytes are in: it is taken only when it is certainly another one, else a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.backfill.content import Look
from ingest.backfill.generations import HEAD


@dataclass(frozen=True, slots=True)
class Place:
    """Where a content was read."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Known:
    """A chain that holds a content with the same head.

    Attributes:
        generation: the chain's.
        length: bytes of content that are in the warehouse; 0 = it has begun, and nothing is.
        digest: of those bytes; None with length 0.
        place: where they were read.
        finished: the run that wrote the newest commit came to the content's end.
        again: it was begun although the content was known.
        longest_rung: it has the longest rung that the file reaches, so a new content would be begun beside it.
        marks: position → digest of the content below it, as of earlier commits; only where they were needed.
    """

    generation: int
    length: int
    digest: str | None
    place: Place
    finished: bool = True
    again: bool = False
    longest_rung: bool = True
    marks: Mapping[int, str] = field(default_factory=dict)


class Origin(StrEnum):
    """What is at the place where a known content was read."""

    HERE = "here"
    """It is the very place of the file that is looked at."""
    GONE = "gone"
    """Nothing, or another content, or the same one grown."""
    INTACT = "intact"
    """Another file, with exactly the known content."""
    INTACT_LONGER = "intact, and begins with all of the file"
    """The same, and the file that is looked at is the beginning of it."""
    FOREIGN = "foreign"
    """Another host, or it can't be looked at."""


class Relation(StrEnum):
    """How a content relates to what a chain holds, by their bytes alone."""

    BEGUN = "begun"
    """The chain holds nothing yet."""
    SAME = "same"
    """All of it is in the chain, and nothing else is."""
    LONGER = "longer"
    """It begins with all that the chain holds."""
    WITHIN = "within"
    """All of it is in the chain, which holds more: its length is that of an earlier commit."""
    SHORTER = "shorter"
    """The chain holds more; it may be the beginning of that, or not."""
    OTHER = "other"
    """It has other bytes."""


_PARTS = frozenset((Relation.WITHIN, Relation.SHORTER))


def relation(known: Known, look: Look) -> Relation:
    """Compare a content with what a chain holds; `look` has the digests at all positions in question."""
    if known.length == 0:
        return Relation.BEGUN
    if known.length <= look.length:
        if look.digests[known.length] != known.digest:
            return Relation.OTHER
        return Relation.SAME if known.length == look.length else Relation.LONGER
    if any(look.digests[at] != digest for at, digest in known.marks.items() if 0 < at <= look.length):
        return Relation.OTHER
    return Relation.WITHIN if look.length in known.marks else Relation.SHORTER


def needs_origin(known: Known, related: Relation) -> bool:
    """Return whether the bytes alone do not decide."""
    return related in _PARTS or (related is Relation.LONGER and known.finished)


class Kind(StrEnum):
    """What is done with a file; the words that people read."""

    NEW = "new"
    RESUME = "resume"
    THERE = "already there"
    SAME_AS = "same as"
    EMPTY = "empty"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Decision:
    """See `decide`.

    Attributes:
        kind: what is done.
        generation: of the chain to write to, or of the one that holds the content; None where there is none.
        at: first byte of content that is not in the warehouse.
        place: where the known content was read, where that is another place or a person must decide.
    """

    kind: Kind
    generation: int | None = None
    at: int = 0
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A known chain, how the file's content relates to it, and what is at its place (HERE where nobody looked)."""

    known: Known
    relation: Relation
    origin: Origin


def decide(here: Place, look: Look, judged: Sequence[Judged], free: int, *, again: bool = False) -> Decision:
    """Say what to do with a file.

    Args:
        here: the file.
        look: what was seen of it.
        judged: every chain whose head it has, those with the longest rung and the lowest salt first.
        free: the first generation under the longest rung that no chain has.
        again: take it as if nothing were known.
    """
    if look.length == 0:
        return Decision(Kind.EMPTY)
    if again:
        return Decision(Kind.NEW, free)
    for rule in (_unfinished_again, _same, _goes_on_here, _goes_on_elsewhere, _held, _unclear):
        decision = rule(here, look, judged)
        if decision is not None:
            return decision
    return _begin(here, judged, free)


def _unfinished_again(here: Place, _look: Look, judged: Sequence[Judged]) -> Decision | None:
    """A run with --again that was killed is completed, although the content is there."""
    begun = [one for one in judged if one.known.again and not one.known.finished and one.known.place == here]
    return _resume(here, [one.known for one in begun if _goes_on(one)])


def _same(here: Place, _look: Look, judged: Sequence[Judged]) -> Decision | None:
    return _there(here, [one.known for one in judged if one.relation is Relation.SAME])


def _goes_on_here(here: Place, _look: Look, judged: Sequence[Judged]) -> Decision | None:
    """A file has grown, or its run was killed. Its own chain first: others may hold the same beginning."""
    return _resume(here, [one.known for one in judged if _goes_on(one) and one.known.place == here])


def _goes_on_elsewhere(here: Place, _look: Look, judged: Sequence[Judged]) -> Decision | None:
    """The same for what was called otherwise then.

    A chain whose run was killed may be completed by any content that goes on like it: if it was another file's, that
    one finds other bytes there, and begins a chain of its own.
    """
    return _resume(here, [one.known for one in judged if _goes_on(one)])


def _held(here: Place, look: Look, judged: Sequence[Judged]) -> Decision | None:
    """All of the file is proven to be in a chain that holds more, and it is too much to be so by chance."""
    if look.length < HEAD:
        return None
    proven = [one for one in judged if one.relation is Relation.WITHIN or one.origin is Origin.INTACT_LONGER]
    return _there(here, [one.known for one in proven if one.relation in _PARTS])


def _unclear(_here: Place, _look: Look, judged: Sequence[Judged]) -> Decision | None:
    for one in judged:
        if one.relation in _PARTS and one.origin not in (Origin.INTACT, Origin.INTACT_LONGER):
            return Decision(Kind.UNCLEAR, one.known.generation, one.known.length, one.known.place)
    return None


def _goes_on(one: Judged) -> bool:
    """Return whether the file is what the chain holds, and more of it."""
    if one.relation is not Relation.LONGER:
        return False
    certain = not one.known.finished or one.known.length >= HEAD
    return certain or one.origin in (Origin.HERE, Origin.GONE)


def _resume(here: Place, knowns: Sequence[Known]) -> Decision | None:
    if not knowns:
        return None
    known = max(knowns, key=lambda known: known.length)  # of equals the first
    return Decision(Kind.RESUME, known.generation, known.length, _elsewhere(here, known))


def _there(here: Place, knowns: Sequence[Known]) -> Decision | None:
    for known in knowns:
        place = _elsewhere(here, known)
        return Decision(Kind.THERE if place is None else Kind.SAME_AS, known.generation, known.length, place)
    return None


def _begin(here: Place, judged: Sequence[Judged], free: int) -> Decision:
    """Begin a content; if possible in a chain that has begun without one: who else is about to write is met there."""
    begun = [one.known for one in judged if one.relation is Relation.BEGUN]
    own = [known for known in begun if known.place.path == here.path]
    beside = [known for known in begun if known.longest_rung]
    return Decision(Kind.NEW, next((known.generation for known in [*own, *beside]), free))


def _elsewhere(here: Place, known: Known) -> Place | None:
    """Return the place of a known content if it is another one than that of the file."""
    return None if known.place == here else known.place
