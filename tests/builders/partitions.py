"""Stand-ins for a partition's range and chain, which do what a test tells them to."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest.blocks import RecordBlock
from ingest.commit.committer import CommitDraft, StagedFile
from ingest.sink.ports import Committed, Opening
from ingest.sink.rotation import Open
from ingest.sink.spool import SpoolFailed, local_files, remove
from ingest.testing.clock import ManualClock
from tests.builders.sink import tail_at


@dataclass
class FakeRange:
    """Stands for an open range: counts, and fails where it is told to."""

    first_offset: int
    clock: ManualClock
    spool: Path
    next_offset: int = 0
    blocks: list[RecordBlock] = field(default_factory=list)
    abandoned: bool = False
    excess: Exception | None = None
    fail_add: Exception | None = None
    fail_seal: Exception | None = None
    since: float = 0.0
    held: int = 0

    def __post_init__(self):
        self.next_offset = self.first_offset
        self.files = self

    def __iter__(self):
        """As open files: one."""
        return iter([self])

    @property
    def waiting(self):
        return self.held

    @property
    def empty(self):
        return self.next_offset == self.first_offset

    def figures(self):
        now = self.clock.monotonic()
        return Open(0, 0, now, now) if self.empty else Open(sum(each.rows for each in self.blocks), 0, self.since, now)

    def add(self, one):
        if self.fail_add:
            raise self.fail_add
        if self.empty:
            self.since = self.clock.monotonic()
        self.blocks.append(one)
        self.next_offset = one.next_offset

    def over_budget(self):
        return self.excess

    def set_aside(self, file):
        raise SpoolFailed("full")

    def seal(self, reason):
        if self.fail_seal:
            return FakeSealed(None, self.fail_seal)
        local = self.spool / f"{self.first_offset}-{self.next_offset}"
        local.write_text("rows")
        staged = StagedFile(local, "data", "dt=1", 1, 4, 0, self.first_offset, self.next_offset - 1)
        draft = CommitDraft(self.next_offset, [staged], reason=str(reason))
        self.first_offset = self.next_offset
        self.blocks = []
        return FakeSealed(draft)

    def abandon(self):
        self.abandoned = True


@dataclass
class FakeSealed:
    """A range that is closed; it can't be finished where there is a failure."""

    draft: CommitDraft | None
    failure: Exception | None = None
    files: None = None

    def finish(self):
        if self.failure:
            raise self.failure
        return self.draft

    def discard(self):
        if self.draft:
            remove(local_files(self.draft))


class FakeChain:
    """Answers as scripted; else every opening and commit succeeds. Refuses to be used by two at once."""

    def __init__(self, clock, spool, at=5, end=100):
        self.clock = clock
        self.spool = spool
        self.at = at
        self.end = end
        self.openings = []
        self.commits = []
        self.looks = []
        self.done = []
        self.ranges = []

    def _answer(self, script, usual):
        answer = script.pop(0) if script else None
        if isinstance(answer, Exception):
            raise answer
        return usual() if answer is None else answer

    def open(self):
        def usual():
            self.ranges.append(FakeRange(self.at, self.clock, self.spool))
            return Opening(replace(tail_at(self.at), leader_epoch=7), self.end, self.ranges[-1])

        return self._answer(self.openings, usual)

    def commit(self, draft, first_offset):
        def usual():
            assert first_offset == self.at
            assert draft.files[0].local.exists()
            self.at = draft.next_offset
            self.done.append((first_offset, draft.next_offset, draft.reason))
            return Committed(tail_at(self.at))

        return self._answer(self.commits, usual)

    def moved_on(self):
        return self._answer(self.looks, lambda: False)
