import json

import pytest

from ingest.commit import chain, names
from ingest.commit.committer import CommitDraft, StartDraft
from ingest.commit.names import ChainKey
from ingest.commit.verify import verify
from ingest.testing.memory import MemoryFilesystem
from tests.builders.chains import KEY, committer, draft, generation, parquet, staged, stream


def warehouse(commits=6, fold_at=3):
    """A chain with rejects, an archive, commits beside it, and a second partition."""
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    for number in range(commits):
        first = 4 * number
        files = [staged([first, first + 2]), staged([first + 1], kind="quarantine")]
        streams = {generation(1): stream((0, 10 * number + 10))}
        worker.commit(CommitDraft(first + 4, files, streams=streams, duplicates=1))
        if number == fold_at:
            worker.fold()
    other = committer(filesystem, key=ChainKey("t", 1))
    other.open(StartDraft(0))
    other.commit(CommitDraft(2, [staged([0, 1], content=parquet([0, 1], partition=1))]))
    return filesystem, worker


def kinds(filesystem, deep=False):
    return [(finding.kind, finding.path) for finding in verify(filesystem, deep=deep).differences]


def final(first, last, tree="t", era=""):
    return f"{tree}/dt=1/t+0+{era}{first:020d}+{last:020d}.parquet"


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_warehouse_has_no_difference_and_is_counted(deep):
    filesystem, _ = warehouse()
    seen = []
    report = verify(filesystem, deep=deep, progress=lambda *told: seen.append(told))
    assert report.differences == []
    assert report.ok
    counts = {name: report.counts[name] for name in ("chains", "eras", "commits", "files", "rows", "quarantined")}
    assert counts == {"chains": 2, "eras": 2, "commits": 7, "files": 13, "rows": 14, "quarantined": 6}
    assert report.counts["duplicates"] == 6
    assert [done for done, _, _ in seen] == list(range(1, 14))
    assert {total for _, total, _ in seen} == {13}
    assert json.loads(json.dumps(report.as_dict()))["ok"] is True


def test_an_empty_root_has_nothing_to_differ():
    assert verify(MemoryFilesystem()).ok


def test_verification_changes_nothing():
    filesystem, _ = warehouse()
    before = dict(filesystem.files)
    filesystem.calls.clear()
    verify(filesystem, deep=True)
    assert filesystem.files == before
    assert {call.verb for call in filesystem.calls} == {"list", "read"}


@pytest.mark.parametrize("first", [0, 20])
def test_a_missing_file_is_named_whether_its_commit_is_folded_or_not(first):
    filesystem, _ = warehouse()
    filesystem.delete(final(first, first + 2))
    assert kinds(filesystem) == [("missing", final(first, first + 2))]


def test_a_missing_quarantine_file_is_named():
    filesystem, _ = warehouse()
    filesystem.delete(final(5, 5, "_quarantine/t"))
    assert kinds(filesystem) == [("missing", final(5, 5, "_quarantine/t"))]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: b"X" + content[1:], lambda content: b""]
)
def test_changed_bytes_are_found(damage):
    filesystem, _ = warehouse()
    path = final(4, 6)
    filesystem.files[path] = damage(filesystem.files[path])
    assert kinds(filesystem) == [("content", path)]


def commit_and_verify(file, next_offset=3, deep=False):
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    worker.commit(CommitDraft(next_offset, file if isinstance(file, list) else [file]))
    return [(finding.kind, finding.detail) for finding in verify(filesystem, deep=deep).differences]


def test_a_footer_that_contradicts_its_commit_is_found():
    ((kind, detail), *more) = commit_and_verify(staged([0, 1, 2], content=parquet([0, 1])))
    assert (kind, detail) == ("metadata", "2 rows, the commit says 3")
    assert {detail.split()[1] for _, detail in more} == {"ingest.last_offset", "ingest.rows"}
    assert commit_and_verify(staged([0, 1, 2], content=parquet([0, 1, 2], topic="u"))) == [
        ("metadata", 'metadata ingest.topic is "u", the commit says "t"')
    ]


def test_what_is_no_parquet_is_unreadable():
    ((kind, _),) = commit_and_verify(staged([0], content=b"not parquet"), 1)
    assert kind == "unreadable"


def lying(offsets, told):
    """A file whose metadata says `told`, but that holds other offsets."""
    said = {
        "ingest.first_offset": str(told[0]),
        "ingest.last_offset": str(told[-1]),
        "ingest.rows": str(len(told)),
    }
    return staged(told, content=parquet(offsets, **said))


def test_only_a_deep_look_sees_rows_that_are_not_what_was_committed():
    assert commit_and_verify(lying([0, 0, 2], [0, 1, 2])) == []
    assert commit_and_verify(lying([0, 0, 2], [0, 1, 2]), deep=True) == [
        ("duplicate rows", "1 offsets are in its files more than once")
    ]
    assert commit_and_verify(lying([7, 8, 9], [0, 1, 2]), deep=True) == [
        ("rows", "offsets (7, 9), the commit says (0, 2)")
    ]
    twice = [staged([0, 1]), staged([1, 2], partition_path="dt=2")]
    assert [kind for kind, _ in commit_and_verify(twice, deep=True)] == ["duplicate rows"]
    assert commit_and_verify(staged([0], content=parquet([0], column="other")), 1, deep=True) == [
        ("rows", 'there is no column "kafka_offset"')
    ]


def test_a_visible_file_that_no_commit_lists_is_found_and_hidden_ones_are_left_alone():
    filesystem, _ = warehouse()
    for path in ("t/dt=1/foreign.parquet", "_quarantine/t/x.parquet", "u/x", "t/_SUCCESS", "t/.crc", "_other/x"):
        filesystem.create(path, b"x")
    assert kinds(filesystem) == [
        ("unlisted", "_quarantine/t/x.parquet"),
        ("unlisted", "t/dt=1/foreign.parquet"),
        ("unlisted", "u/x"),
    ]


def test_a_commit_that_is_gone_leaves_a_gap_and_its_files_unlisted():
    filesystem, _ = warehouse()
    filesystem.delete(names.commit_path(KEY, 0, 16))
    assert sorted(kinds(filesystem)) == [
        ("chain", names.commit_path(KEY, 0, 20)),
        ("gap", names.commit_path(KEY, 0, 20)),
        ("unlisted", final(17, 17, "_quarantine/t")),
        ("unlisted", final(16, 18)),
    ]


def change(filesystem, path, **members):
    filesystem.files[path] = chain.canonical(json.loads(filesystem.files[path]) | members, ascii_only=False)


def test_a_changed_record_breaks_the_chain():
    filesystem, _ = warehouse()
    change(filesystem, names.commit_path(KEY, 0, 16), reason="other")
    assert kinds(filesystem) == [("chain", names.commit_path(KEY, 0, 20))]


def test_counts_that_contradict_the_files_are_found():
    filesystem, _ = warehouse()
    change(filesystem, names.commit_path(KEY, 0, 20), quarantined=9)
    assert kinds(filesystem) == [("counts", names.commit_path(KEY, 0, 20))]


@pytest.mark.parametrize("content", [b"garbage", b'{"format":99}'])
def test_a_record_that_can_not_be_read_is_found(content):
    filesystem, _ = warehouse()
    filesystem.files[names.commit_path(KEY, 0, 20)] = content
    assert ("record", names.commit_path(KEY, 0, 20)) in kinds(filesystem)


def test_a_start_that_can_not_be_read_is_found():
    filesystem, _ = warehouse()
    filesystem.delete(names.start_path(KEY, 0))
    assert ("start", names.start_path(KEY, 0)) in kinds(filesystem)


def test_a_damaged_archive_is_found():
    filesystem, _ = warehouse()
    path = names.archive_path(KEY, 0, 0)
    filesystem.files[path] = filesystem.files[path][:-9]
    assert ("archive", path) in kinds(filesystem)


def test_a_void_record_is_no_difference():
    filesystem, _ = warehouse()
    void = json.loads(filesystem.files[names.commit_path(KEY, 0, 16)]) | {"first_offset": 1, "files": []}
    filesystem.create(names.commit_path(KEY, 0, 1), json.dumps(void).encode())
    report = verify(filesystem)
    assert report.ok
    assert [note.kind for note in report.notes] == ["folded"]


def test_a_commit_in_progress_and_staged_leftovers_are_no_difference():
    filesystem, worker = warehouse()
    kept = worker.tail.newest.files[0]
    filesystem.move(kept.path, kept.stage)
    filesystem.create(names.stage_path(KEY, 0, 24, "next"), b"x")
    report = verify(filesystem)
    assert report.ok
    assert sorted(note.kind for note in report.notes) == ["in progress", "staged", "staged"]
    worker.commit(draft(24, 26))
    assert kinds(filesystem) == [("missing", kept.path)], "the next commit must never have been published"


def test_a_file_that_is_moved_while_verify_looks_is_not_missed():
    filesystem, worker = warehouse()
    kept = worker.tail.newest.files[0]
    filesystem.move(kept.path, kept.stage)

    def meanwhile(call):
        if call.verb == "read" and call.path == kept.stage and kept.stage in filesystem.files:
            filesystem.move(kept.stage, kept.path)

    filesystem.faults = meanwhile
    assert verify(filesystem).ok


def test_a_chain_that_is_folded_while_verify_looks_is_not_missed():
    filesystem, worker = warehouse(fold_at=99)
    folds = [worker.fold]

    def meanwhile(call):
        if call.verb == "read" and call.path == names.commit_path(KEY, 0, 8) and folds:
            folds.pop()()

    filesystem.faults = meanwhile
    assert verify(filesystem).ok


# ── streams ──────────────────────────────────────────────────────────────────


def chain_with(*states):
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    worker.open(StartDraft(0))
    for number, state in enumerate(states):
        worker.commit(draft(number, number + 1, streams=state))
    return filesystem, worker


def test_a_hole_in_a_stream_is_a_difference_until_a_loss_was_accepted():
    filesystem, worker = chain_with({generation(1): stream((0, 10), (20, 30))})
    ((finding),) = verify(filesystem).differences
    assert (finding.kind, finding.detail) == (
        "hole",
        "stream generation 0000000000000001: positions [10, 20) of h:/p are missing",
    )
    worker.accept_loss((1, 5), who="ann", why="retention")
    report = verify(filesystem)
    assert report.ok
    assert [note.kind for note in report.notes] == ["accepted loss", "hole"]
    assert report.counts["lost_offsets"] == 4


def test_a_hole_that_was_filled_later_is_none():
    filesystem, _ = chain_with({generation(1): stream((0, 10), (20, 30))}, {generation(1): stream((0, 30))})
    assert verify(filesystem).ok


@pytest.mark.parametrize("state", [stream((0, 10), (5, 20)), stream((5, 5)), stream((0, 3))])
def test_intervals_that_overlap_or_shrink_are_found(state):
    filesystem, _ = chain_with({generation(1): stream((0, 5))}, {generation(1): state})
    assert {kind for kind, _ in kinds(filesystem)} == {"streams"}


def test_a_generation_that_was_not_seen_for_long_may_be_left_out():
    filesystem, _ = chain_with({generation(1): stream((0, 5))}, {})
    assert verify(filesystem).ok


# ── eras, backfills, odd topics ──────────────────────────────────────────────────────────────────


def test_eras_are_checked_one_by_one():
    filesystem, worker = warehouse()
    worker.accept_budget(who="ann", why="x")
    worker.commit(CommitDraft(26, [staged([24, 25])]))
    report = verify(filesystem)
    assert report.ok
    assert report.counts["eras"] == 3
    assert [note.kind for note in report.notes] == ["accepted budget"]
    filesystem.delete(final(24, 25, era="e1+"))
    assert kinds(filesystem) == [("missing", final(24, 25, era="e1+"))]


def test_an_era_that_nothing_opened_is_found():
    filesystem, _ = warehouse()
    start = json.loads(filesystem.files[names.start_path(KEY, 0)]) | {"era": 1}
    filesystem.create(names.start_path(KEY, 1), json.dumps(start).encode())
    assert kinds(filesystem) == [("start", names.start_path(KEY, 1))]


def test_a_directory_without_a_record_is_a_start_that_was_interrupted():
    filesystem, _ = warehouse()
    filesystem.mkdir("_ingest/t/5/0")
    assert verify(filesystem).ok


@pytest.mark.parametrize("topic", ["_t", "x" * 300, "ü/=+"])
@pytest.mark.parametrize("partition", [3, "backfill/00000000000000ff"])
def test_odd_topics_and_backfills_are_verified_too(topic, partition):
    filesystem = MemoryFilesystem()
    worker = committer(filesystem, key=ChainKey(topic, partition))
    worker.open(StartDraft(0))
    column = "kafka_offset" if partition == 3 else "source_position"
    worker.commit(CommitDraft(2, [staged([0, 1], content=parquet([0, 1], topic, partition, column))]))
    report = verify(filesystem, deep=True)
    assert report.differences == []
    assert report.counts["files"] == 1
