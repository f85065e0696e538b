import pytest

from ingest.api import Refused
from ingest.connectors.filesystems.proof import LEFTOVER_AGE, prove
from ingest.testing.memory import MemoryFilesystem


class Swallowing(MemoryFilesystem):
    def move(self, source, target):
        if target in self.directories:
            target = f"{target}/{source.rpartition('/')[2]}"
        super().move(source, target)


class Overwriting(MemoryFilesystem):
    def create(self, path, source):
        self.files.pop(path, None)
        super().create(path, source)


@pytest.mark.parametrize(
    ("filesystem", "what"), [(Swallowing(), "rename onto a directory"), (Overwriting(), "create over a file")]
)
def test_a_destination_that_overwrites_or_swallows_is_refused_and_left_clean(filesystem, what):
    with pytest.raises(Refused, match=what):
        prove(filesystem)
    assert filesystem.files == {}
    assert filesystem.directories == {"_tmp"}


def test_leftovers_go_after_a_day_by_the_destinations_own_clock():
    now = 0.0
    filesystem = MemoryFilesystem(now=lambda: now)
    filesystem.create("_tmp/old", b"x")
    now = 100.0
    filesystem.create("_tmp/young", b"x")
    now = LEFTOVER_AGE + 50.0
    prove(filesystem)
    assert [entry.name for entry in filesystem.list("_tmp")] == ["young"]
