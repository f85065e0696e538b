"""The contract suite of a Filesystem: each promise in the docstrings of `ingest.api.Filesystem` is one test.

A connector's author writes

    class TestMyFilesystem(FilesystemContract):
        @pytest.fixture
        def filesystem(self, tmp_path):
            filesystem = MyFilesystem(MyOptions(type="mine", root=...))
            yield filesystem
            filesystem.close()

and runs pytest. The fixture gives a filesystem with an empty root, fresh for each test; `check` is called by the suite.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ingest.api import FileExists, FileMissing, Filesystem, Refused

AnyFilesystem = Filesystem[Any]

ODD_NAMES = {
    "space": "two words",
    "hive": "dt=2026-11-23",
    "plus": "topic+0+00000000000000000000+00000000000000000009.parquet",
    "percent": "50%25 %2F%",
    "unicode": "größe-日本-🙂",
    "latest": "#LATEST",
    "question": "a?b&c=d#e",
    "quotes": 'it\'s "so"',
    "brackets": "{a}[b](c)*",
    "backslash": "a\\b",
    "long": "n" * 200,
    "long-unicode": "é" * 100,
}
"""Names of at most 200 bytes that a path may have."""


class FilesystemContract:
    """Subclass it and provide the fixture `filesystem`.

    Attributes:
        rounds: how often the races are run.
        large: bytes of the large file.
    """

    rounds: ClassVar[int] = 50
    large: ClassVar[int] = 9 << 20

    @pytest.fixture(autouse=True)
    def checked(self, filesystem: AnyFilesystem) -> None:
        """Every promise holds after `check`, as the house calls it at start."""
        filesystem.check()

    # ── create ──

    def test_a_created_file_reads_back(self, filesystem: AnyFilesystem) -> None:
        """What create was given is what read returns."""
        filesystem.create("a.json", b'{"n": 1}')
        assert filesystem.read("a.json") == b'{"n": 1}'

    def test_create_takes_an_empty_content(self, filesystem: AnyFilesystem, tmp_path: Path) -> None:
        """An empty file is a file, from bytes and from a local file."""
        (tmp_path / "empty").write_bytes(b"")
        filesystem.create("bytes", b"")
        filesystem.create("path", tmp_path / "empty")
        assert [filesystem.read(name) for name in ("bytes", "path")] == [b"", b""]

    def test_create_takes_any_bytes(self, filesystem: AnyFilesystem) -> None:
        """No byte is special."""
        content = bytes(range(256)) * 17
        filesystem.create("bytes", content)
        assert filesystem.read("bytes") == content

    def test_create_makes_missing_parents(self, filesystem: AnyFilesystem) -> None:
        """Missing parents are made."""
        filesystem.create("a/b/c/file", b"x")
        assert filesystem.read("a/b/c/file") == b"x"

    def test_create_refuses_to_overwrite(self, filesystem: AnyFilesystem) -> None:
        """FileExists, and nothing was changed, even where the content is the same."""
        filesystem.create("a/file", b"first")
        with pytest.raises(FileExists):
            filesystem.create("a/file", b"second")
        with pytest.raises(FileExists):
            filesystem.create("a/file", b"first")
        assert filesystem.read("a/file") == b"first"
        assert _names(filesystem, "a") == ["file"]

    def test_create_from_a_path_refuses_to_overwrite_and_leaves_the_source(
        self, filesystem: AnyFilesystem, tmp_path: Path
    ) -> None:
        """A source is consumed by success only."""
        source = _local(tmp_path, b"second")
        filesystem.create("file", b"first")
        with pytest.raises(FileExists):
            filesystem.create("file", source)
        assert filesystem.read("file") == b"first"
        assert source.read_bytes() == b"second"

    def test_create_over_a_directory_changes_nothing(self, filesystem: AnyFilesystem) -> None:
        """A directory is never swallowed nor replaced."""
        filesystem.create("a/inside", b"x")
        with pytest.raises((FileExists, Refused)):
            filesystem.create("a", b"y")
        assert _names(filesystem, "a") == ["inside"]

    def test_create_below_a_file_is_refused(self, filesystem: AnyFilesystem) -> None:
        """A file is no parent."""
        filesystem.create("a", b"x")
        with pytest.raises(Refused):
            filesystem.create("a/below", b"y")
        assert filesystem.read("a") == b"x"

    def test_create_leaves_nothing_else_behind(self, filesystem: AnyFilesystem) -> None:
        """No listing shows what is used on the way, nor after a refusal."""
        filesystem.create("d/file", b"x")
        with pytest.raises(FileExists):
            filesystem.create("d/file", b"y")
        assert _names(filesystem, "d") == ["file"]
        assert _names(filesystem, "") == ["d"]

    def test_create_takes_a_large_local_file(self, filesystem: AnyFilesystem, tmp_path: Path) -> None:
        """A local file is taken whole, whatever its size; what its old path holds later does not matter."""
        content = bytes(range(251)) * (self.large // 251)
        source = _local(tmp_path, content)
        filesystem.create("stage/large", source)
        source.write_bytes(b"something else")
        assert [entry.size for entry in filesystem.list("stage")] == [len(content)]
        assert filesystem.read("stage/large") == content

    def test_of_two_that_create_one_path_exactly_one_wins(self, filesystem: AnyFilesystem) -> None:
        """The winner's content is there, whole; the loser is told."""
        for number in range(self.rounds):
            path = f"race/{number}"
            contents = [bytes([65 + rival]) * 4096 for rival in range(2)]
            wins = _race([partial(filesystem.create, path, content) for content in contents])
            assert sorted(wins) == [False, True]
            assert filesystem.read(path) == contents[wins.index(True)]
        assert len(filesystem.list("race")) == self.rounds

    def test_a_path_never_shows_a_part_of_its_file(self, filesystem: AnyFilesystem) -> None:
        """Whoever reads while a file is created sees none or all of it."""
        content = bytes(range(256)) * 4096
        created = threading.Event()

        def watch() -> list[int]:
            seen = []
            while not created.is_set():
                seen += [entry.size for entry in filesystem.list("watched/file")]
                try:
                    seen.append(len(filesystem.read("watched/file")))
                except FileMissing:
                    continue
            return seen

        with ThreadPoolExecutor(1) as pool:
            watcher = pool.submit(watch)
            try:
                filesystem.create("watched/file", content)
            finally:
                created.set()
            assert set(watcher.result()) <= {len(content)}

    @pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
    def test_any_name_works_in_every_verb(self, filesystem: AnyFilesystem, name: str) -> None:
        """Names are taken as they are: nothing in them is decoded, expanded or cut."""
        filesystem.create(f"{name}/{name}", b"12345")
        filesystem.mkdir(f"other/{name}")
        assert filesystem.read(f"{name}/{name}", 1, 3) == b"234"
        assert _names(filesystem, "") == sorted([name, "other"])
        assert _names(filesystem, name) == [name]
        assert _names(filesystem, f"{name}/{name}") == [name]
        filesystem.move(f"{name}/{name}", f"other/{name}/{name}")
        assert filesystem.read(f"other/{name}/{name}") == b"12345"
        assert filesystem.delete(f"other/{name}/{name}")
        assert filesystem.list(f"other/{name}") == []

    @pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/absolute", "a//b", "a/./b", "a/"])
    def test_a_path_that_might_leave_the_root_is_refused(self, filesystem: AnyFilesystem, path: str) -> None:
        """Parts are joined by single slashes and none is ".."."""
        with pytest.raises(Refused):
            filesystem.create(path, b"x")
        assert filesystem.list("") == []

    # ── mkdir ──

    def test_mkdir_makes_a_directory_and_its_parents(self, filesystem: AnyFilesystem) -> None:
        """It is there, empty, and so are its parents."""
        filesystem.mkdir("a/b/c")
        assert _names(filesystem, "a/b") == ["c"]
        assert filesystem.list("a/b/c") == []
        assert [entry.directory for entry in filesystem.list("a")] == [True]

    def test_mkdir_of_what_is_there_is_fine(self, filesystem: AnyFilesystem) -> None:
        """Twice is as good as once, and what is inside stays."""
        filesystem.mkdir("a/b")
        filesystem.create("a/b/file", b"x")
        filesystem.mkdir("a/b")
        filesystem.mkdir("a")
        assert filesystem.read("a/b/file") == b"x"

    def test_mkdir_over_a_file_is_refused(self, filesystem: AnyFilesystem) -> None:
        """The file stays."""
        filesystem.create("a/b", b"x")
        with pytest.raises(Refused):
            filesystem.mkdir("a/b")
        assert filesystem.read("a/b") == b"x"

    def test_many_may_make_one_directory_at_once(self, filesystem: AnyFilesystem) -> None:
        """All of them succeed."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: filesystem.mkdir(f"a/b/{number % 2}"), range(16)))
        assert _names(filesystem, "a/b") == ["0", "1"]

    # ── move ──

    def test_move_renames(self, filesystem: AnyFilesystem) -> None:
        """The old name is gone, the new one has the content."""
        filesystem.create("stage/file", b"x")
        filesystem.mkdir("final/dt=1")
        filesystem.move("stage/file", "final/dt=1/renamed")
        assert filesystem.list("stage") == []
        assert filesystem.read("final/dt=1/renamed") == b"x"

    def test_move_refuses_to_overwrite(self, filesystem: AnyFilesystem) -> None:
        """FileExists, and both files are as they were."""
        filesystem.create("a", b"a")
        filesystem.create("b", b"b")
        with pytest.raises(FileExists):
            filesystem.move("a", "b")
        assert (filesystem.read("a"), filesystem.read("b")) == (b"a", b"b")

    def test_move_onto_a_directory_changes_nothing(self, filesystem: AnyFilesystem) -> None:
        """The file is not moved into the directory either."""
        filesystem.create("a", b"a")
        filesystem.mkdir("d")
        with pytest.raises((FileExists, Refused)):
            filesystem.move("a", "d")
        assert filesystem.read("a") == b"a"
        assert filesystem.list("d") == []

    def test_move_of_a_missing_source_says_so(self, filesystem: AnyFilesystem) -> None:
        """FileMissing, whether the source's directory is there or not, and nothing appears."""
        filesystem.mkdir("a")
        for source in ("a/missing", "nowhere/missing"):
            with pytest.raises(FileMissing):
                filesystem.move(source, "a/target")
        assert filesystem.list("a") == []

    def test_move_into_a_missing_directory_is_refused(self, filesystem: AnyFilesystem) -> None:
        """Never FileMissing: that would say that the source is gone. It is not made either."""
        filesystem.create("a", b"a")
        with pytest.raises(Refused):
            filesystem.move("a", "nowhere/a")
        assert filesystem.read("a") == b"a"
        assert _names(filesystem, "") == ["a"]

    def test_of_two_that_move_one_file_exactly_one_wins(self, filesystem: AnyFilesystem) -> None:
        """The other is told that the source is missing; at the end one name has the content."""
        filesystem.mkdir("to")
        for number in range(self.rounds):
            filesystem.create("from", b"%d" % number)
            targets = [f"to/{number}-{rival}" for rival in range(2)]
            wins = _race([partial(filesystem.move, "from", target) for target in targets], FileMissing)
            assert sorted(wins) == [False, True]
            assert filesystem.read(targets[wins.index(True)]) == b"%d" % number
        assert len(filesystem.list("to")) == self.rounds

    def test_of_two_that_move_onto_one_name_exactly_one_wins(self, filesystem: AnyFilesystem) -> None:
        """The other is told that the target is there, and its file stays where it was."""
        for number in range(self.rounds):
            target = f"to/{number}"
            filesystem.mkdir("to")
            for rival in range(2):
                filesystem.create(f"from/{number}-{rival}", b"%d" % rival)
            wins = _race([partial(filesystem.move, f"from/{number}-{rival}", target) for rival in range(2)])
            assert sorted(wins) == [False, True]
            assert filesystem.read(target) == b"%d" % wins.index(True)
            assert filesystem.read(f"from/{number}-{wins.index(False)}") == b"%d" % wins.index(False)

    # ── list ──

    def test_list_of_a_directory_gives_each_entry_once(self, filesystem: AnyFilesystem) -> None:
        """Names, sizes and kinds, of this directory alone; a directory's size is 0."""
        filesystem.create("d/one", b"1")
        filesystem.create("d/three", b"333")
        filesystem.create("d/sub/deep", b"x")
        found = sorted((entry.name, entry.size, entry.directory) for entry in filesystem.list("d"))
        assert found == [("one", 1, False), ("sub", 0, True), ("three", 3, False)]

    def test_list_of_many_entries_gives_all(self, filesystem: AnyFilesystem) -> None:
        """No page is cut off."""
        names = sorted(f"{number:03d}" for number in range(120))
        for name in names:
            filesystem.mkdir(f"many/{name}")
        assert _names(filesystem, "many") == names

    def test_list_of_a_file_gives_that_file(self, filesystem: AnyFilesystem) -> None:
        """Its own name and size, alone."""
        filesystem.create("d/file", b"12345")
        filesystem.create("d/other", b"1")
        (entry,) = filesystem.list("d/file")
        assert (entry.name, entry.size, entry.directory) == ("file", 5, False)

    def test_list_of_a_missing_path_is_empty(self, filesystem: AnyFilesystem) -> None:
        """Not an error, at any depth."""
        assert filesystem.list("missing") == []
        assert filesystem.list("missing/deeper") == []

    def test_list_of_a_fresh_root_is_empty(self, filesystem: AnyFilesystem) -> None:
        """What `check` and `create` used on the way is not shown."""
        assert filesystem.list("") == []

    def test_modified_is_in_seconds_and_does_not_go_back(self, filesystem: AnyFilesystem) -> None:
        """A file created later is not older."""
        filesystem.create("d/first", b"1")
        filesystem.create("d/second", b"2")
        modified = {entry.name: entry.modified for entry in filesystem.list("d")}
        assert 0 <= modified["second"] - modified["first"] < 3600

    # ── read ──

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (0, 4, b"0123"),
            (3, 4, b"3456"),
            (3, None, b"3456789"),
            (8, 100, b"89"),
            (10, None, b""),
            (10, 5, b""),
            (50, 5, b""),
            (0, 0, b""),
            (5, 0, b""),
        ],
    )
    def test_read_gives_the_range(
        self, filesystem: AnyFilesystem, start: int, length: int | None, expected: bytes
    ) -> None:
        """From `start`, at most `length`, nothing behind the end."""
        filesystem.create("file", b"0123456789")
        assert filesystem.read("file", start, length) == expected

    def test_read_of_an_empty_file_is_empty(self, filesystem: AnyFilesystem) -> None:
        """Whatever the range."""
        filesystem.create("file", b"")
        assert (filesystem.read("file"), filesystem.read("file", 0, 10), filesystem.read("file", 5)) == (b"", b"", b"")

    def test_read_of_a_missing_file_says_so(self, filesystem: AnyFilesystem) -> None:
        """FileMissing, also below a missing directory and with a range."""
        for path, start, length in (("missing", 0, None), ("a/missing", 0, None), ("missing", 3, 5), ("missing", 0, 0)):
            with pytest.raises(FileMissing):
                filesystem.read(path, start, length)

    def test_read_of_a_directory_is_refused(self, filesystem: AnyFilesystem) -> None:
        """It is not missing."""
        filesystem.mkdir("d")
        with pytest.raises(Refused):
            filesystem.read("d")

    # ── delete ──

    def test_delete_removes_a_file(self, filesystem: AnyFilesystem) -> None:
        """True, and the path is free again."""
        filesystem.create("d/file", b"x")
        assert filesystem.delete("d/file") is True
        assert filesystem.list("d") == []
        filesystem.create("d/file", b"y")
        assert filesystem.read("d/file") == b"y"

    def test_delete_of_what_is_missing_returns_false(self, filesystem: AnyFilesystem) -> None:
        """Not an error, at any depth, and again after a delete."""
        filesystem.create("file", b"x")
        assert filesystem.delete("file") is True
        assert filesystem.delete("file") is False
        assert filesystem.delete("missing/deeper") is False

    def test_delete_removes_an_empty_directory(self, filesystem: AnyFilesystem) -> None:
        """Like a file."""
        filesystem.mkdir("a/b")
        assert filesystem.delete("a/b") is True
        assert filesystem.list("a") == []

    def test_delete_refuses_a_directory_with_something_in_it(self, filesystem: AnyFilesystem) -> None:
        """Nothing inside is deleted."""
        filesystem.create("a/b/file", b"x")
        with pytest.raises(Refused):
            filesystem.delete("a")
        assert filesystem.read("a/b/file") == b"x"

    # ── check ──

    def test_check_leaves_the_files_alone(self, filesystem: AnyFilesystem) -> None:
        """It may be called again on a warehouse in use."""
        filesystem.create("d/file", b"x")
        filesystem.check()
        assert _names(filesystem, "") == ["d"]
        assert filesystem.read("d/file") == b"x"

    def test_verbs_may_be_called_from_many_threads(self, filesystem: AnyFilesystem) -> None:
        """No call sees another's bytes."""

        def work(number: int) -> bytes:
            filesystem.create(f"t/{number}", b"%d" % number * 100)
            filesystem.mkdir(f"u/{number}")
            filesystem.move(f"t/{number}", f"u/{number}/file")
            return filesystem.read(f"u/{number}/file")

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(40))) == [b"%d" % number * 100 for number in range(40)]
        assert filesystem.list("t") == []


def _names(filesystem: AnyFilesystem, path: str) -> list[str]:
    return sorted(entry.name for entry in filesystem.list(path))


def _local(directory: Path, content: bytes) -> Path:
    source = directory / "source"
    source.write_bytes(content)
    return source


def _race(attempts: list[Callable[[], None]], loses_by: type[Exception] = FileExists) -> list[bool]:
    """Make all attempts at the same moment; return who succeeded. Only `loses_by` may be a loser's error."""
    start = threading.Barrier(len(attempts))

    def run(attempt: Callable[[], None]) -> bool:
        start.wait()
        try:
            attempt()
        except loses_by:
            return False
        return True

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(run, attempts))
