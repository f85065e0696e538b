"""A run over files: decides on each, one after the other, and does it. What goes wrong with one concerns no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ingest.backfill.chains import AGAIN, FIRST, Chains, Warehouse, with_head
from ingest.backfill.content import Content, FileProblem, head_of
from ingest.backfill.decision import Kind, Place
from ingest.backfill.files import File
from ingest.backfill.intake import Intake, Outdated, World, ended
from ingest.backfill.outcome import Ending, Outcome
from ingest.backfill.patience import GivenUp, Stopped
from ingest.backfill.survey import Survey, survey
from ingest.errors import Fenced, IngestError, Unavailable

TRIES: Final = 3
"""Decisions on a file whose bytes or whose chain change under them."""


class Watcher(Protocol):
    """Is told how far the run is."""

    def begin(self, file: File) -> None:
        """A file's turn has come."""

    def moved(self, consumed: int) -> None:
        """So many bytes of the file itself were read; less than before when it is read again."""

    def end(self, outcome: Outcome) -> None:
        """The file is done with."""


class Run:
    """Takes files.

    Args:
        world: everything around.
        again: take contents that are in the warehouse once more.
        watcher: told.
    """

    def __init__(self, world: World, watcher: Watcher, *, again: bool) -> None:
        self._world = world
        self._watcher = watcher
        self._again = again
        self._chains: Chains = Warehouse(world.filesystem, world.plan.topic, world.committer)

    def take(self, files: Sequence[File]) -> list[Outcome]:
        """Take all files; return what became of each, in the same order.

        A destination that does not answer for long, or a signal, ends the run: what is left comes out STOPPED.
        """
        outcomes = [Outcome(file) for file in files]
        end: IngestError | None = None
        for outcome in outcomes:
            if end is None and self._world.stopping():
                end = Stopped("not begun")
            if end is not None:
                outcome.ending, outcome.problem = Ending.STOPPED, "not begun"
                continue
            self._watcher.begin(outcome.file)
            end = self._file(outcome)
            self._watcher.end(outcome)
        return outcomes

    def _file(self, outcome: Outcome) -> IngestError | None:
        """Take one file; return the error that ends the run."""
        try:
            self._decide_and_take(outcome)
        except (Stopped, GivenUp) as error:
            outcome.ending, outcome.problem = Ending.STOPPED, str(error)
            return error
        except IngestError as error:
            outcome.ending, outcome.problem = Ending.FAILED, named(outcome.file, error)
        return None

    def _decide_and_take(self, outcome: Outcome) -> None:
        problem: IngestError = Outdated("")
        for attempt in range(TRIES):
            again = self._again and not attempt
            found = self._survey(outcome.file, again=again)
            if not outcome.tally.bytes:
                outcome.decision = found.decision
            if isinstance(problem, Fenced) and found.decision.kind in (Kind.NEW, Kind.RESUME):
                break
            try:
                self._do(outcome, found, AGAIN if again else FIRST)
            except (Outdated, Fenced) as error:
                problem = error
            else:
                return
        raise ended(problem)

    def _survey(self, file: File, *, again: bool) -> Survey:
        here = Place(self._world.host, file.shown)

        def opened(path: str) -> Content:
            return Content(path, lambda consumed: self._looked(file, path, consumed))

        def look() -> Survey:
            try:
                return survey(here, file.path, self._chains, opened, again=again)
            except Fenced as error:
                raise Unavailable(str(error)) from error

        return self._world.patience(look)

    def _looked(self, file: File, path: str, consumed: int) -> None:
        if self._world.stopping():
            raise Stopped(f"{file.path}: stopped before a line was read")
        if path == file.path:
            self._watcher.moved(consumed)

    def _do(self, outcome: Outcome, found: Survey, why: str) -> None:
        decision, file = found.decision, outcome.file
        if decision.kind is Kind.UNCLEAR:
            raise FileProblem(unclear(found))
        for generation in found.matching:
            self._finish(generation)
        if decision.kind not in (Kind.NEW, Kind.RESUME):
            return
        assert decision.generation is not None
        intake = Intake(self._world, file, decision.generation, self._watcher.moved, outcome.tally, why)
        self._world.patience(lambda: intake.begin(decision.at))
        if decision.generation not in found.seen:
            self._yield_to_rivals(file, found, decision.generation)
        self._world.patience(intake.run)

    def _finish(self, generation: int) -> None:
        """Let the newest commit of a chain, whose run may have been killed, become visible."""
        self._world.patience(lambda: self._world.committer(generation).open())

    def _yield_to_rivals(self, file: File, found: Survey, own: int) -> None:
        """Look, after a chain was begun, whether another run has begun the same file under another rung meanwhile.

        It can only be there if the file is small and grows. Each of two such runs looks after it has begun, so at least
        one of them sees the other.

        Raises:
            FileProblem: so it is.
        """
        with Content(file.path) as content:
            head = head_of(content)
        now = self._world.patience(lambda: with_head(self._chains, head))
        for known in now.known:
            fresh = known.generation not in found.seen and known.generation != own
            if fresh and known.place.path == file.shown:
                raise ended(FileProblem("it was begun twice while it grew"))


def unclear(found: Survey) -> str:
    """Say why a person must decide."""
    place = found.decision.place
    whose = "" if place is None else f" from {place.path}"
    return (
        f"its {found.length} bytes of content begin like what was taken{whose}, of which {found.decision.at} bytes "
        "are in the warehouse: it may be a part of that, or another content. If its lines are not in the warehouse "
        "take it with --again"
    )


def named(file: File, error: IngestError) -> str:
    """Return an error's text, with the file's path in it."""
    text = str(error)
    return text if file.path in text else f"{file.path}: {text}"
