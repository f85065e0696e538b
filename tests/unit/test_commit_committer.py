import dataclasses
import json

import pytest

from ingest.commit import chain, names
from ingest.commit.committer import CommitDraft, StartDraft
from ingest.errors import Fenced, Refused, StateDamaged, Unavailable
from ingest.testing.memory import Fault, MemoryFilesystem
from tests.builders.chains import KEY, committer, draft, generation, staged, stream


@pytest.fixture
def filesystem():
    return MemoryFilesystem()


@pytest.fixture
def worker(filesystem):
    made = committer(filesystem, fold_every=3)
    made.open(StartDraft(0, "topic-id", "earliest"))
    return made


def visible(filesystem):
    return sorted(path for path in filesystem.files if not path.startswith("_ingest"))


def test_a_chain_begins_once_and_the_start_is_asked_for_only_then(filesystem):
    assert committer(filesystem).exists() is False
    assert committer(filesystem).open(lambda: StartDraft(7, "id", "latest")).next_offset == 7

    def never():
        pytest.fail("there is a chain")

    tail = committer(filesystem).open(never)
    assert (tail.next_offset, tail.topic_id, tail.start.why) == (7, "id", "latest")
    assert committer(filesystem).exists() is True


def test_a_chain_that_must_be_there_is_never_begun_anew(filesystem):
    with pytest.raises(StateDamaged, match="gone"):
        committer(filesystem).open()
    assert filesystem.files == {}


def test_nothing_is_committed_to_a_chain_that_was_not_read(filesystem):
    with pytest.raises(Fenced, match="must be read"):
        committer(filesystem).commit(draft(0, 1))


def test_a_commit_carries_all_that_the_next_owner_needs(filesystem, worker):
    streams = {generation(1): stream((0, 9))}
    worker.commit(draft(0, 5, streams=streams, leader_epoch=4, window=((5, 1),), duplicates=2, reason="age"))
    tail = committer(filesystem, "other").open()
    assert (tail.next_offset, tail.leader_epoch, tail.window, tail.topic_id) == (5, 4, ((5, 1),), "topic-id")
    assert tail.streams == streams
    assert (tail.newest.reason, tail.newest.worker, tail.newest.duplicates, tail.newest.rows) == ("age", "w", 2, 5)
    assert tail == worker.tail


def test_data_and_rejects_of_a_commit_land_in_their_trees(filesystem, worker):
    files = [staged([0, 2]), staged([1], kind="quarantine"), staged([3], partition_path="dt=2/hour=3")]
    record = worker.commit(CommitDraft(4, files)).newest
    assert (record.rows, record.quarantined) == (3, 1)
    assert visible(filesystem) == [
        "_quarantine/t/dt=1/t+0+00000000000000000001+00000000000000000001.parquet",
        "t/dt=1/t+0+00000000000000000000+00000000000000000002.parquet",
        "t/dt=2/hour=3/t+0+00000000000000000003+00000000000000000003.parquet",
    ]
    assert not [path for path in filesystem.files if "/stage/" in path]


def test_a_commit_without_files_moves_the_chain_on(filesystem, worker):
    worker.commit(CommitDraft(3, reason="age"))
    assert committer(filesystem).open().next_offset == 3
    assert visible(filesystem) == []


@pytest.mark.parametrize(
    "impossible",
    [
        CommitDraft(0),
        CommitDraft(2, [staged([0, 2])]),
        CommitDraft(2, [staged([0]), staged([0])]),
        CommitDraft(2, [staged([0], partition_path="../x")]),
    ],
)
def test_impossible_drafts_are_refused_before_anything_is_written(filesystem, worker, impossible):
    before = dict(filesystem.files)
    with pytest.raises(ValueError, match=r"offset|path"):
        worker.commit(impossible)
    assert filesystem.files == before


def test_a_local_file_that_is_not_what_its_writer_closed_is_refused(worker, tmp_path):
    good = staged([0])
    local = tmp_path / "f"
    local.write_bytes(good.local[:-1])
    with pytest.raises(StateDamaged, match="its writer closed it"):
        worker.commit(CommitDraft(1, [dataclasses.replace(good, local=local)]))


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE, Fault.LATE])
def test_a_commit_is_asked_for_again_until_it_is_done_though_uploads_consume_the_local_files(fault, tmp_path):
    for k in range(1, 30):
        filesystem = MemoryFilesystem(consume=True)
        worker = committer(filesystem)
        worker.open(StartDraft(0))
        files = []
        for number in (0, 1):
            local = tmp_path / f"{fault.value}-{k}-{number}"
            local.write_bytes(staged([number]).local)
            files.append(dataclasses.replace(staged([number]), local=local))
        work = CommitDraft(2, files)
        filesystem.fail_at(k, fault)
        tries = 0
        while worker.tail.next_offset < 2 and tries < 3:
            tries += 1
            try:
                worker.commit(work)
            except Unavailable:
                continue
        assert worker.tail.next_offset == 2, f"{fault} at call {k}"
        assert len(visible(filesystem)) == 2
        filesystem.calm()


def test_a_draft_that_is_done_may_be_asked_for_again(worker):
    work = draft(0, 5)
    assert worker.commit(work) is worker.commit(work)


def test_of_two_workers_one_wins_and_the_other_goes_on_behind_it(filesystem, worker):
    zombie = committer(filesystem, "zombie")
    zombie.open()
    worker.commit(draft(0, 5))
    with pytest.raises(Fenced):
        zombie.commit(draft(0, 3))
    with pytest.raises(Fenced, match="must be read"):
        zombie.commit(draft(0, 3))
    assert zombie.open().next_offset == 5
    zombie.commit(draft(5, 6))
    with pytest.raises(Fenced):
        worker.commit(draft(5, 7))
    assert len(visible(filesystem)) == 2


def test_a_worker_notices_that_the_chain_moved_on(filesystem, worker):
    other = committer(filesystem, "other")
    other.open()
    assert worker.moved_on() is False
    other.commit(draft(0, 5))
    assert worker.moved_on() is True


def test_a_look_from_outside_changes_nothing(filesystem, worker):
    assert committer(MemoryFilesystem()).peek() is None
    worker.commit(draft(0, 5))
    before = dict(filesystem.files)
    assert committer(filesystem).peek() == worker.tail
    assert filesystem.files == before


def test_an_upgraded_record_is_refused_and_left_alone(filesystem, worker):
    worker.commit(draft(0, 5))
    path = names.commit_path(KEY, 0, 0)
    filesystem.files[path] = json.dumps(json.loads(filesystem.files[path]) | {"format": 2}).encode()
    with pytest.raises(StateDamaged, match="newer version"):
        committer(filesystem).open()


# ── accepting ──────────────────────────────────────────────────────────────────


def test_accepting_a_loss_is_a_commit_of_exactly_what_was_shown(filesystem, worker):
    streams = {generation(1): stream((0, 9))}
    worker.commit(draft(0, 5, streams=streams))
    operator = committer(filesystem, "cli")
    operator.open()
    tail = operator.accept_loss((5, 90), who="ann", why="retention")
    assert (tail.next_offset, tail.newest.kind, tail.streams) == (90, "loss", streams)
    taken = tail.newest.accepted
    assert (taken.first, taken.next, taken.who, taken.why) == (5, 90, "ann", "retention")
    with pytest.raises(Fenced):
        worker.commit(draft(5, 6))


def test_what_is_not_true_any_more_can_not_be_accepted(filesystem, worker):
    operator = committer(filesystem, "cli")
    operator.open()
    worker.commit(draft(0, 5))
    with pytest.raises(Fenced):
        operator.accept_loss((0, 90), who="ann", why="retention")
    operator.open()
    with pytest.raises(Fenced, match="at offset 5 now, not at 0"):
        operator.accept_loss((0, 90), who="ann", why="retention")


def test_accepting_a_budget_empties_the_window_and_skips_no_offset(filesystem, worker):
    worker.commit(draft(0, 5, window=((10, 10),), leader_epoch=3, streams={generation(1): stream((0, 9))}))
    operator = committer(filesystem, "cli")
    operator.open()
    operator.accept_budget(who="ann", why="known bad host")
    with pytest.raises(Fenced):
        worker.commit(draft(5, 6))
    tail = worker.open()
    assert (tail.era, tail.next_offset, tail.window, tail.leader_epoch) == (1, 5, (), 3)
    assert list(tail.streams) == [generation(1)]
    closed = chain.decode(filesystem.files[names.commit_path(KEY, 0, 5)], chain.Commit, "p")
    assert (closed.kind, closed.accepted.who, closed.files) == ("budget", "ann", ())
    worker.commit(draft(5, 6))
    assert visible(filesystem)[-1].endswith("t+0+e1+00000000000000000005+00000000000000000005.parquet")


def test_a_log_that_went_back_gets_a_new_era_with_the_streams_of_the_old_one(filesystem, worker):
    worker.commit(draft(0, 5, streams={generation(1): stream((0, 9))}))
    worker.open_era(StartDraft(0, "new-id", "recreated"), "loss", 5, (3, 5), who="ann", why="topic made again")
    tail = committer(filesystem).open()
    assert (tail.era, tail.next_offset, tail.topic_id, list(tail.streams)) == (1, 0, "new-id", [generation(1)])
    committer_again = committer(filesystem)
    committer_again.open()
    committer_again.commit(draft(0, 5))
    assert len(visible(filesystem)) == 2


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE, Fault.LATE])
def test_an_acceptance_may_be_interrupted_at_any_step(fault):
    for k in range(1, 12):
        filesystem = MemoryFilesystem()
        operator = committer(filesystem)
        operator.open(StartDraft(4))
        filesystem.fail_at(k, fault)
        try:
            operator.accept_budget(who="ann", why="x")
        except Unavailable:
            operator.accept_budget(who="ann", why="x")
        filesystem.calm()
        while filesystem.late:
            filesystem.land()
        tail = committer(filesystem).open()
        assert (tail.era, tail.next_offset) == (1, 4), f"{fault} at call {k}"


# ── folding, and what is remembered ──────────────────────────────────────────────────────────────────


def test_commits_are_folded_when_too_many_lie_about(filesystem, worker):
    folded = []
    for first in range(8):
        worker.commit(draft(first, first + 1))
        folded.append(worker.fold_if_due())
    assert folded == [False, False, False, True, False, False, True, False]
    assert committer(filesystem).open().archive_end == 6
    assert len([path for path in filesystem.files if "/commits/" in path]) == 2


def test_streams_that_commits_no_longer_hold_are_found_again(filesystem, worker):
    for first in range(8):
        worker.commit(draft(first, first + 1, streams={generation(first): stream((0, first + 1))}))
        worker.fold_if_due()
    assert [worker.find_stream(number).intervals for number in range(8)] == [((0, n + 1),) for n in range(8)]
    assert worker.find_stream(99) is None
    worker.commit(draft(8, 9, streams={generation(3): stream((0, 50))}))
    assert worker.find_stream(3).intervals == ((0, 50),)
    worker.accept_budget(who="ann", why="x")
    worker.commit(draft(9, 10))
    assert worker.find_stream(0).intervals == ((0, 1),)
    assert worker.find_stream(3).intervals == ((0, 50),)


def test_streams_are_found_though_somebody_else_folded(filesystem, worker):
    for first in range(3):
        worker.commit(draft(first, first + 1, streams={generation(first): stream((0, first + 1))}))
    assert worker.find_stream(99) is None
    other = committer(filesystem, "other")
    other.open()
    assert other.fold()
    assert worker.find_stream(1).intervals == ((0, 2),)


def test_a_backfill_has_a_chain_of_its_own(filesystem):
    key = names.ChainKey.backfill("t", 0xAB)
    worker = committer(filesystem, key=key)
    content = chain.Content(digest="d0", path="/old/a.log", size=10)
    worker.open(StartDraft(0, content=content))
    worker.commit(draft(0, 10, content=content))
    assert committer(filesystem, key=key).open().newest.content == content
    assert visible(filesystem) == [
        "t/dt=1/t+backfill-00000000000000ab+00000000000000000000+00000000000000000009.parquet"
    ]


def test_a_refusal_is_passed_on(filesystem, worker):
    filesystem.fail_at(2, Fault.REFUSE)
    with pytest.raises(Refused):
        worker.commit(draft(0, 1))
