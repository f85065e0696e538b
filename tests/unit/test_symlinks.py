"""Symbolic links to files: followed where that is wished, each file read once, whatever leads to it."""

import os

import pytest

from ingest.connectors.sources.file import FileSource
from ingest.connectors.tail.paths import Globs
from tests.builders.tail import Tail
from tests.unit.test_claims import facts


@pytest.fixture
def tail(tmp_path):
    """Make a source over links in one directory; what they lead to is in another, out of the globs."""
    (tmp_path / "pods").mkdir()
    made = []

    def make(pattern="*.log*", **options):
        made.append(Tail(tmp_path, pattern, follow_symlinks=True, **options))
        return made[-1]

    yield make
    for one in made:
        one.source.close()


def link(tail, name, target):
    """Let a link lead to `target`, at once, as whoever replaces a link by rename."""
    new = tail.directory / "new-link"
    new.symlink_to(tail.directory / target)
    new.rename(tail.directory / name)


def test_a_link_is_followed_under_its_own_name(tail):
    tail = tail()
    tail.write("pods/0.log", b"1\n")
    link(tail, "web.log", "pods/0.log")

    (block,) = tail.poll()
    tail.write("pods/0.log", b"2\n")

    assert block.stream.path == str(tail.directory / "web.log")
    assert tail.values() == [b"2"]
    tail.start()
    assert tail.values() == []


def test_a_link_that_is_retargeted_leaves_the_old_file_to_be_read_to_its_end(tail):
    tail = tail()
    tail.write("pods/0.log", b"1\n")
    link(tail, "web.log", "pods/0.log")
    (first,) = tail.poll()
    tail.write("pods/0.log", b"2\n")
    tail.write("pods/1.log", b"3\n")
    link(tail, "web.log", "pods/1.log")

    blocks = [block for block in tail.poll() if block.rows]
    tail.write("pods/0.log", b"late\n")

    assert [block.data[:1] for block in blocks] == [b"2", b"3"]
    assert blocks[0].stream.generation == first.stream.generation != blocks[1].stream.generation
    assert tail.values() == [b"late"]


def test_a_target_that_is_rotated_below_its_link_is_read_to_its_end(tail):
    tail = tail()
    tail.write("pods/0.log", b"1\n")
    link(tail, "web.log", "pods/0.log")
    tail.poll()
    tail.write("pods/0.log", b"2\n")
    tail.rename("pods/0.log", "pods/0.log.20261123")
    assert tail.values() == [b"2"]
    tail.write("pods/0.log", b"3\n")

    assert tail.values() == [b"3"]


@pytest.mark.parametrize("names", [("a.log", "b.log"), ("a.log", "z.log.1")], ids=["two-links", "a-link-and-the-file"])
def test_what_two_names_lead_to_is_read_once_and_is_not_taken_for_rotated_when_a_third_comes(tail, names):
    tail = tail()
    tail.write("pods/0.log", b"1\n")
    for name in names:
        if name.endswith(".1"):
            os.link(tail.directory / "pods/0.log", tail.directory / name)
        else:
            link(tail, name, "pods/0.log")
    assert tail.values() == [b"1"]
    tail.write("pods/0.log", b"half")
    assert tail.values() == []
    link(tail, "0.log", "pods/0.log")

    assert tail.values(seconds=100) == []
    assert tail.values(seconds=100) == []
    tail.write("pods/0.log", b" and half\n")
    assert tail.values() == [b"half and half"]


def test_the_file_itself_goes_before_a_link_to_it(tail):
    tail = tail()
    tail.write("z.log", b"1\n")
    link(tail, "a.log", "z.log")

    (block,) = tail.poll()

    assert block.stream.path.endswith("z.log")


def test_links_that_lead_nowhere_or_in_a_circle_are_said_once_and_followed_once_they_lead_somewhere(tail):
    tail = tail()
    link(tail, "nowhere.log", "pods/0.log")
    link(tail, "self.log", "self.log")
    link(tail, "one.log", "two.log")
    link(tail, "two.log", "one.log")
    (tail.directory / "pods.log").symlink_to(tail.directory / "pods")

    assert [tail.values() for _ in range(3)] == [[], [], []]
    assert [len(tail.said(text)) for text in ("leads nowhere", "in a circle", "to a directory")] == [1, 3, 1]
    assert len(tail.events) == 5
    tail.write("pods/0.log", b"1\n")
    assert tail.values() == [b"1"]


def test_a_link_to_a_pipe_is_not_waited_for(tail):
    tail = tail()
    os.mkfifo(tail.directory / "pods/pipe")
    link(tail, "web.log", "pods/pipe")

    assert tail.values() == []
    assert len(tail.said("not a regular file")) == 1


def test_links_to_directories_are_not_followed_into_a_loop(tail):
    tail = tail("**/*.log")
    tail.write("pods/0.log", b"1\n")
    (tail.directory / "pods" / "up").symlink_to(tail.directory)

    assert tail.values() == [b"1"]


def test_few_open_files_are_enough_for_many_links(tail):
    tail = tail("*.log", open_files=2)
    for number in range(10):
        tail.write(f"pods/{number}", b"%d\n" % number)
        link(tail, f"{number}.log", f"pods/{number}")
    assert len(tail.values()) == 10
    for number in range(10):
        tail.write(f"pods/{number}", b"again\n")

    assert tail.values() == [b"again"] * 10


def test_a_file_behind_a_link_is_claimed(tail):
    tail = tail()
    tail.write("pods/0.log", b"1\n")
    link(tail, "web.log", "pods/0.log")
    target = facts(tail.directory / "pods/0.log")

    claimed = FileSource.claimed(tail.options, [], [target])

    assert claimed == {target.path: f"is matched by its paths (as {tail.directory / 'web.log'})"}


def test_links_are_excluded_by_their_own_names(tmp_path):
    (tmp_path / "real").touch()
    for name in ("a.log", "b.log"):
        (tmp_path / name).symlink_to(tmp_path / "real")

    listing = Globs([f"{tmp_path}/*.log"], [f"{tmp_path}/a*"], follow=True).expand()

    assert list(listing.files) == [f"{tmp_path}/b.log"]
