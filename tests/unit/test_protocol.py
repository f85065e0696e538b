"""The rules as tables, and the jobs step by step."""

import dataclasses
import io

import pytest

from ingest.commit import archive, chain, names, protocol, rules, tend
from ingest.commit.actions import Create, Delete, List, Mkdir, Move, Outcome, Read, Resolve, Upload
from ingest.commit.committer import CommitDraft, StartDraft
from ingest.commit.draft import record_of
from ingest.commit.perform import perform, run
from ingest.commit.rules import Staged, Verdict
from ingest.errors import Fenced, OutcomeUnknown, Refused, StateDamaged, Unavailable
from ingest.testing.memory import Fault, MemoryFilesystem
from tests.builders.chains import KEY, committer, draft, staged

DONE, EXISTS, MISSING, UNKNOWN = Outcome.DONE, Outcome.EXISTS, Outcome.MISSING, Outcome.UNKNOWN

# ── rules ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "found", "verdict"),
    [
        (DONE, None, Verdict.WON),
        (EXISTS, b"own", Verdict.WON),
        (EXISTS, b"other", Verdict.FENCED),
        (EXISTS, None, Verdict.AGAIN),
        (UNKNOWN, b"own", Verdict.WON),
        (UNKNOWN, b"other", Verdict.FENCED),
        (UNKNOWN, None, Verdict.AGAIN),
    ],
)
def test_only_bytes_tell_whether_a_record_was_published(outcome, found, verdict):
    assert rules.publish_verdict(outcome, found, b"own") is verdict


@pytest.mark.parametrize(
    ("outcome", "found", "verdict"),
    [
        (DONE, 10, Staged.THERE),
        (EXISTS, 10, Staged.THERE),
        (MISSING, 10, Staged.THERE),
        (UNKNOWN, 10, Staged.THERE),
        (DONE, 9, Staged.SHORT),
        (UNKNOWN, 0, Staged.SHORT),
        (UNKNOWN, None, Staged.AGAIN),
        (DONE, None, Staged.GONE),
        (EXISTS, None, Staged.GONE),
        (MISSING, None, Staged.GONE),
    ],
)
def test_an_upload_counts_once_a_listing_shows_its_length(outcome, found, verdict):
    assert rules.staged_verdict(outcome, found, 10) is verdict


@pytest.mark.parametrize(("first", "end", "void"), [(5, None, False), (5, 5, False), (5, 6, True), (6, 5, False)])
def test_a_record_below_the_archives_end_is_void(first, end, void):
    assert rules.is_void(first, end) is void
    assert rules.is_folded(first, end) is void


@pytest.mark.parametrize(
    ("firsts", "end", "at_least", "folded"),
    [
        ([0, 1, 2], None, 1, [0, 1]),
        ([2, 1, 0], None, 2, [0, 1]),
        ([0, 1, 2], None, 3, []),
        ([0, 1, 2, 3], 2, 1, [2]),
        ([0], None, 1, []),
        ([0], None, 0, []),
        ([], None, 0, []),
    ],
)
def test_the_newest_record_is_never_folded(firsts, end, at_least, folded):
    assert rules.foldable(firsts, end, at_least) == folded


@pytest.mark.parametrize(
    ("first", "named", "goes"), [(4, False, True), (5, False, True), (5, True, False), (6, False, False)]
)
def test_a_staged_file_goes_only_on_proof(first, named, goes):
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(5))
    newest = worker.commit(draft(5, 7)).newest
    path = newest.files[0].stage if named else "_ingest/t/0/0/stage/other"
    assert rules.sweepable(path, first, newest) is goes
    assert rules.sweepable(path, first, None) is False


# ── steps ──────────────────────────────────────────────────────────────────


def actions_of(filesystem, steps, resolve=None):
    """Run a job and return the actions it asked for, and its result."""
    asked = []
    try:
        action = next(steps)
        while True:
            asked.append(action)
            action = steps.send(perform(filesystem, action, resolve))
    except StopIteration as end:
        return asked, end.value


def resumed(filesystem, steps, action):
    """Run a job on from an action it has asked for already, and return its result."""
    try:
        while True:
            action = steps.send(perform(filesystem, action))
    except StopIteration as end:
        return end.value


def interrupted(filesystem, steps):
    """Run a job with the faults planned so far; return whether one ended it. The filesystem is calm afterwards."""
    try:
        run(filesystem, steps)
    except Unavailable:
        return True
    finally:
        filesystem.calm()
    return False


def prepared(filesystem, offsets=(range(5), range(5, 10))):
    worker = committer(filesystem)
    tail = worker.open(StartDraft(0))
    work = CommitDraft(10, [staged(list(own)) for own in offsets])
    record = worker._prepared(work).record
    uploads = [Upload(kept.stage, file.local) for kept, file in zip(record.files, work.files, strict=True)]
    return tail, record, uploads


def test_a_commit_takes_its_steps_in_the_order_that_makes_it_safe():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    asked, after = actions_of(filesystem, protocol.commit(tail, record, uploads))
    path = names.commit_path(KEY, 0, 0)
    first, second = record.files
    assert [step if not isinstance(step, Create) else (step.path) for step in asked] == [
        Read(path),
        *uploads,
        List(names.stage_dir(KEY, 0)),
        Mkdir("t/dt=1"),
        List(first.path),
        List(second.path),
        path,
        List(names.archive_dir(KEY, 0)),
        List(names.stage_dir(KEY, 0)),
        Mkdir("t/dt=1"),
        Move(first.stage, first.path),
        Move(second.stage, second.path),
    ]
    assert (after.next_offset, after.previous.name) == (10, names.base(path))


def test_recovery_reads_the_archives_last_and_never_lists_the_warehouse():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    run(filesystem, protocol.commit(tail, record, uploads))
    asked, after = actions_of(filesystem, protocol.recover(KEY))
    assert asked == [
        List(names.chain_dir(KEY)),
        Read(names.start_path(KEY, 0)),
        List(names.commits_dir(KEY, 0)),
        Read(names.commit_path(KEY, 0, 0)),
        List(names.archive_dir(KEY, 0)),
        List(names.stage_dir(KEY, 0)),
    ]
    assert after.next_offset == 10


def test_who_finds_no_chain_begins_it_and_obeys_whoever_was_first():
    filesystem = MemoryFilesystem()
    asked, tail = actions_of(filesystem, protocol.open_chain(KEY), lambda: committer(filesystem)._start(StartDraft(7)))
    assert [type(step) for step in asked[:3]] == [List, Resolve, Create]
    assert tail.next_offset == 7
    late = protocol.begin(KEY)
    assert next(late) == Resolve()
    create = late.send(committer(filesystem)._start(StartDraft(9)))
    start, _ = resumed(filesystem, late, create)
    assert start.next_offset == 7


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE, Fault.LATE])
@pytest.mark.parametrize("again", ["same job", "new owner", "late lands first"])
def test_whatever_goes_wrong_at_any_step_every_row_is_there_once(fault, again):
    for k in range(1, 40):
        filesystem = MemoryFilesystem()
        tail, record, uploads = prepared(filesystem)
        filesystem.fail_at(k, fault)
        stopped = interrupted(filesystem, protocol.commit(tail, record, uploads))
        if stopped:
            if again == "late lands first":
                while filesystem.late:
                    filesystem.land()
            if again == "new owner":
                other = committer(filesystem, "other")
                if other.open().next_offset == 0:
                    other.commit(draft(0, 10))
            else:
                run(filesystem, protocol.commit(tail, record, uploads))
        while filesystem.late:
            filesystem.land()
        run(filesystem, protocol.recover(KEY))
        visible = [name for name in map(names.parse_final, map(names.base, filesystem.files)) if name]
        rows = sorted(row for name in visible for row in range(name.first_offset, name.last_offset + 1))
        assert rows == list(range(10)), f"{fault} at call {k}"
        assert not [path for path in filesystem.files if path in {file.stage for file in record.files}] or (
            again == "new owner"
        )


def test_a_rival_with_the_same_range_is_fenced_before_it_uploads():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    zombie = committer(filesystem, "zombie")
    zombie.open()
    run(filesystem, protocol.commit(tail, record, uploads))
    filesystem.calls.clear()
    with pytest.raises(Fenced, match="offset 0"):
        zombie.commit(draft(0, 4))
    assert [call.verb for call in filesystem.calls] == ["read"]


def test_a_record_under_a_name_that_a_fold_made_free_is_void_and_removed():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    late = protocol.commit(tail, record, uploads)
    action = next(late)
    while not isinstance(action, Create):
        action = late.send(perform(filesystem, action))
    owner = committer(filesystem, "owner")
    owner.open()
    for first in range(0, 12, 3):
        owner.commit(draft(first, first + 3))
    assert owner.fold()
    with pytest.raises(Fenced, match="folded"):
        resumed(filesystem, late, action)
    assert names.commit_path(KEY, 0, 0) not in filesystem.files
    assert not [path for path in filesystem.files if path.endswith(names.base(record.files[0].path))]


def until(filesystem, steps, wanted):
    """Run a job up to the first action of a kind, and return that action before it happens."""
    action = next(steps)
    while not wanted(action):
        action = steps.send(perform(filesystem, action))
    return action


def void_record(filesystem):
    """What a zombie that still believes in offset 2 publishes, its file staged."""
    work = CommitDraft(5, [staged([2, 3])])
    at = dataclasses.replace(committer(filesystem).open(), next_offset=2)
    record = record_of(at, work, ["zombie"], "zombie", "", "")
    filesystem.create(record.files[0].stage, work.files[0].local)
    return record


def test_recovery_takes_no_void_record_for_the_one_that_it_listed():
    """Listed, then folded and deleted; then a zombie put its own under the name: only the archive tells."""
    filesystem, owner = chain_of(3)
    path = names.commit_path(KEY, 0, 2)
    slow = protocol.recover(KEY)
    reading = until(filesystem, slow, lambda action: action == Read(path))
    owner.commit(draft(3, 4))
    owner.fold()
    record = void_record(filesystem)
    filesystem.create(path, chain.encode(record))
    assert resumed(filesystem, slow, reading).next_offset == 4
    assert record.files[0].path not in filesystem.files


def test_a_fold_takes_no_void_record_into_an_archive():
    filesystem, owner = chain_of(4)
    path = names.commit_path(KEY, 0, 2)
    slow = tend.fold(owner.tail, 1)
    reading = until(filesystem, slow, lambda action: action == Read(path))
    other = committer(filesystem, "other")
    other.open()
    folding = tend.fold(other.tail, 1)
    deleting = until(filesystem, folding, lambda action: action == Delete(path))
    perform(filesystem, deleting)
    filesystem.create(path, chain.encode(void_record(filesystem)))
    resumed(filesystem, slow, reading)
    folding.close()
    assert committer(filesystem).open().next_offset == 4
    archived = [path for path in filesystem.files if "/archive/" in path]
    rows = archive.entries(io.BytesIO(filesystem.files[archived[0]]), "p")
    assert [row.next_offset for row in rows] == [1, 2, 3]
    assert len(archived) == 1


def test_a_swept_file_means_that_the_range_must_be_read_again():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    steps = protocol.commit(tail, record, uploads)
    action = next(steps)
    while not isinstance(action, List):
        action = steps.send(perform(filesystem, action))
    del filesystem.files[record.files[0].stage]
    with pytest.raises(Fenced, match=r"is gone.*read again"):
        steps.send(perform(filesystem, action))
    assert names.commit_path(KEY, 0, 0) not in filesystem.files


def test_a_short_upload_is_deleted_and_never_committed():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    steps = protocol.commit(tail, record, uploads)
    action = next(steps)
    while not isinstance(action, List):
        action = steps.send(perform(filesystem, action))
    filesystem.files[record.files[0].stage] = b"half"
    action = steps.send(perform(filesystem, action))
    assert action == Delete(record.files[0].stage)
    with pytest.raises(Unavailable, match="4 bytes instead of"):
        steps.send(perform(filesystem, action))


def test_a_foreign_file_under_a_final_name_stops_the_commit_before_its_record():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    filesystem.create(record.files[1].path, b"foreign")
    with pytest.raises(Refused, match="no commit lists it"):
        run(filesystem, protocol.commit(tail, record, uploads))
    assert names.commit_path(KEY, 0, 0) not in filesystem.files


def test_a_foreign_file_that_comes_after_the_record_is_damage_and_the_rows_stay_staged():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    steps = protocol.commit(tail, record, uploads)
    action = next(steps)
    while not isinstance(action, Move):
        action = steps.send(perform(filesystem, action))
    filesystem.create(record.files[0].path, b"foreign")
    with pytest.raises(StateDamaged, match="other content"):
        resumed(filesystem, steps, action)
    assert record.files[0].stage in filesystem.files


def test_a_directory_that_was_deleted_under_a_move_is_made_again():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    steps = protocol.commit(tail, record, uploads)
    action = next(steps)
    while not isinstance(action, Move):
        action = steps.send(perform(filesystem, action))
    filesystem.delete("t/dt=1")
    action = steps.send(Outcome.MISSING)  # what a filesystem answers that does not tell which of the two is missing
    resumed(filesystem, steps, action)
    assert all(file.path in filesystem.files for file in record.files)


def test_answers_that_never_come_end_the_job_as_unavailable():
    filesystem = MemoryFilesystem()
    filesystem.faults = lambda call: Fault.LATE if call.verb == "create" else None
    with pytest.raises(Unavailable, match="no answer"):
        run(filesystem, protocol.publish("p", b"x"))


def test_a_record_missing_behind_the_archive_is_damage_and_no_offset_is_guessed():
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    for first in range(4):
        worker.commit(draft(first, first + 1))
    worker.fold()
    filesystem.delete(names.commit_path(KEY, 0, 3))
    with pytest.raises(StateDamaged, match=r"offset 3.*missing.*verify"):
        committer(filesystem).open(StartDraft(0))


def test_a_record_that_was_copied_from_another_chain_is_refused():
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    worker.commit(draft(0, 1))
    content = filesystem.files[names.commit_path(KEY, 0, 0)]
    filesystem.files[names.commit_path(KEY, 0, 9)] = content
    with pytest.raises(StateDamaged, match="by hand"):
        committer(filesystem).open()


# ── fold and sweep ──────────────────────────────────────────────────────────────────


def chain_of(commits):
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    for first in range(commits):
        worker.commit(draft(first, first + 1))
    return filesystem, worker


def test_a_fold_may_stop_at_any_step_and_the_chain_stays_whole():
    for fault in (Fault.FAIL, Fault.LOSE, Fault.LATE):
        for k in range(1, 30):
            filesystem, worker = chain_of(5)
            filesystem.fail_at(k, fault)
            interrupted(filesystem, tend.fold(worker.tail, 1))
            assert committer(filesystem).open().next_offset == 5
            run(filesystem, tend.fold(worker.tail, 1))
            left = [path for path in filesystem.files if "/commits/" in path]
            assert left == [names.commit_path(KEY, 0, 4)], f"{fault} at call {k}"
            assert committer(filesystem).open().archive_end == 4


def test_a_fold_refuses_a_chain_with_a_hole():
    filesystem, worker = chain_of(5)
    filesystem.delete(names.commit_path(KEY, 0, 2))
    with pytest.raises(StateDamaged, match="offset 2"):
        run(filesystem, tend.fold(worker.tail, 1))
    assert not [path for path in filesystem.files if "/archive/" in path]


def test_the_sweep_leaves_names_alone_that_no_commit_gives():
    filesystem, _ = chain_of(2)
    directory = names.stage_dir(KEY, 0)
    old, lost, next_ = (names.stage_path(KEY, 0, first, "x") for first in (0, 1, 2))
    for path in (old, lost, next_, f"{directory}/README", f"{directory}/.tmp"):
        filesystem.create(path, b"x")
    assert sorted(run(filesystem, tend.sweep(KEY))) == [old, lost]
    assert {next_, f"{directory}/README", f"{directory}/.tmp"} <= set(filesystem.files)


def test_a_lost_answer_of_mkdir_ends_the_job_before_anything_is_published():
    filesystem = MemoryFilesystem()
    tail, record, uploads = prepared(filesystem)
    filesystem.fail_at(1, Fault.LATE, "mkdir")
    with pytest.raises(Unavailable, match="mkdir"):
        run(filesystem, protocol.commit(tail, record, uploads))
    assert names.commit_path(KEY, 0, 0) not in filesystem.files


def test_outcomes_that_a_connector_must_not_lose_are_not_swallowed():
    filesystem = MemoryFilesystem()
    filesystem.fail_at(1, Fault.LOSE)
    with pytest.raises(OutcomeUnknown):
        filesystem.create("a", b"x")
    filesystem.fail_at(1, Fault.LOSE)
    assert perform(filesystem, Create("b", b"x")) is UNKNOWN
    assert perform(filesystem, Create("b", b"x")) is EXISTS
    assert perform(filesystem, Delete("c")) is MISSING
    assert perform(filesystem, Move("c", "d")) is MISSING
    assert perform(filesystem, Read("c")) is None
