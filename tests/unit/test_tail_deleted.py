import pytest

from ingest.api import Size
from ingest.connectors.tail.deleted import surplus
from tests.builders.tail import tails


class File:
    def __init__(self, serial, deleted):
        self.serial, self.deleted = serial, deleted

    def __repr__(self):
        return str(self.serial)


@pytest.fixture
def tail(tmp_path):
    yield from tails(tmp_path)


@pytest.mark.parametrize(
    ("most", "given_up"),
    [(None, []), (60, []), (59, [1]), (50, [1]), (49, [1, 2]), (30, [1, 2]), (29, [1, 2, 4]), (0, [1, 2, 4])],
)
def test_the_oldest_deleted_files_are_given_up_until_the_rest_holds_no_more_than_it_may(most, given_up):
    files = [File(4, 30), File(3, 0), File(2, 20), File(1, 10)]
    assert [file.serial for file in surplus(files, most)] == given_up


def delete_unread(tail):
    """Let a file be deleted of which a part was read, and another one be there."""
    tail.write("app.log", b"x" * 99 + b"\n")
    tail.poll(1)
    tail.write("app.log", b"half a line" * 10_000)
    tail.poll(1)
    (tail.directory / "app.log").unlink()
    tail.write("other.log", b"other\n")


def test_what_deleted_files_hold_is_shown_until_they_are_read(tail):
    tail = tail()
    delete_unread(tail)
    tail.poll(1)
    held = {one.path: one.deleted for one in tail.source.status()}
    assert held[str(tail.directory / "app.log")] >= 110_000
    assert held[str(tail.directory / "other.log")] == 0
    tail.poll(400)
    tail.poll(400)
    assert sum(one.deleted for one in tail.source.status()) == 0


def test_deleted_files_that_hold_too_much_are_given_up_and_that_is_said(tail):
    tail = tail(max_deleted=Size(1 << 16))
    delete_unread(tail)
    assert tail.values() == [b"other"]
    (said,) = tail.said("deleted file is given up")
    assert (said["position"], said["size"]) == (100, 110_100)
    assert all(one.deleted == 0 for one in tail.source.status())
    assert tail.values(400) == []
