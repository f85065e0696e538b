"""Which files a live source claims, so that a backfill leaves them alone."""

import os

import pytest

from ingest.api import FileFacts, SourceContext, StreamState
from ingest.connectors.marks.mark import Mark
from ingest.connectors.sources.file import FileOptions, FileSource

HEAD = b"a line like any other\n" * 100


def options(directory, **more):
    return FileOptions(name="web", type="file", topic="t", paths=[f"{directory}/live/*.log"], **more)


def facts(path):
    found = os.stat(path)
    return FileFacts(str(path), found.st_dev, found.st_ino, path.read_bytes()[: 64 << 10])


def written(path, content=HEAD):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return facts(path)


def state(path, head, key=(1, 1)):
    mark = Mark.of(head, len(head)).to_json()
    known = {"device": key[0], "inode": key[1], "head": mark}
    return StreamState(7, path, len(head), len(head), (), known, {})


def test_what_the_globs_match_is_claimed(tmp_path):
    live = written(tmp_path / "live" / "a.log")
    other = written(tmp_path / "live" / "a.txt")
    below = written(tmp_path / "old" / "a.log")

    claimed = FileSource.claimed(options(tmp_path), [], [live, other, below])

    assert claimed == {live.path: "is matched by its paths"}


def test_what_is_excluded_is_not_claimed(tmp_path):
    live = written(tmp_path / "live" / "a.log")

    assert FileSource.claimed(options(tmp_path, exclude=[f"{tmp_path}/live/a*"]), [], [live]) == {}


def test_another_name_of_a_matched_file_is_claimed(tmp_path):
    live = written(tmp_path / "live" / "a.log")
    os.link(live.path, tmp_path / "a.txt")

    claimed = FileSource.claimed(options(tmp_path), [], [facts(tmp_path / "a.txt")])

    assert claimed == {str(tmp_path / "a.txt"): f"is matched by its paths (as {live.path})"}


@pytest.mark.parametrize("length", [1, 22, 1024])
def test_what_was_read_is_known_by_its_head_under_any_name(tmp_path, length):
    moved = written(tmp_path / "old" / "a.log.1")

    claimed = FileSource.claimed(options(tmp_path), [state("/live/a.log", HEAD[:length])], [moved])

    assert claimed == {moved.path: "begins with what it read from /live/a.log"}


def test_a_used_again_inode_with_another_head_is_not_claimed(tmp_path):
    fresh = written(tmp_path / "old" / "b.log")
    before = state("/live/a.log", b"something else\n", (fresh.device, fresh.inode))

    assert FileSource.claimed(options(tmp_path), [before], [fresh]) == {}


def test_a_file_of_which_nothing_was_read_yet_is_known_by_its_inode(tmp_path):
    fresh = written(tmp_path / "old" / "b.log")
    begun = state("/live/b.log", b"", (fresh.device, fresh.inode))

    claimed = FileSource.claimed(options(tmp_path), [begun], [fresh])

    assert claimed == {fresh.path: "is known to it as /live/b.log"}


def test_a_file_shorter_than_what_was_read_is_not_claimed(tmp_path):
    short = written(tmp_path / "old" / "a.log", HEAD[:100])

    assert FileSource.claimed(options(tmp_path), [state("/live/a.log", HEAD[:1024])], [short]) == {}


def test_a_state_of_another_connector_claims_nothing(tmp_path):
    file = written(tmp_path / "old" / "a.log")
    foreign = StreamState(7, "stdin", 5, 5, (), {"cursor": "s=1"}, {})

    assert FileSource.claimed(options(tmp_path), [foreign], [file]) == {}


def test_what_the_source_really_keeps_claims_the_file_once_it_is_moved(tmp_path):
    live = written(tmp_path / "live" / "a.log")
    context = SourceContext(
        clock=_Clock(), host="h", max_line=1000, once=True, new_generation=lambda: 7, spool=tmp_path, event=_ignore
    )
    source = FileSource(options(tmp_path), context)
    source.resume([])
    block = source.poll(1 << 20)[-1]
    source.close()
    os.rename(live.path, tmp_path / "a.log.1")

    kept = StreamState(7, live.path, block.end, block.end, (), block.state, {})
    moved = facts(tmp_path / "a.log.1")

    assert list(FileSource.claimed(options(tmp_path), [kept], [moved])) == [moved.path]


def _ignore(text, **fields):
    pass


class _Clock:
    def now(self):
        return 1_795_000_000.0

    def monotonic(self):
        return 1.0
