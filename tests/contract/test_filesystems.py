"""The filesystem contract, for every filesystem that is registered and for the fake."""

import uuid
from importlib.metadata import entry_points

import pytest

from ingest.testing.filesystem_contract import FilesystemContract
from ingest.testing.memory import MemoryFilesystem


def registered():
    """Return the filesystems of this distribution by name, loaded."""
    points = entry_points(group="ingest.filesystems")
    return {point.name: point for point in points if point.dist is not None and point.dist.name == "ingest"}


def build(name, **options):
    connector = registered()[name].load()
    return connector(connector.Options(type=name, **options))


class TestLocal(FilesystemContract):
    connector = "local"

    @pytest.fixture
    def filesystem(self, tmp_path):
        filesystem = build("local", root=str(tmp_path / "warehouse"))
        yield filesystem
        filesystem.close()


@pytest.mark.hdfs
class TestWebHdfs(FilesystemContract):
    connector = "webhdfs"
    rounds = 15

    @pytest.fixture
    def filesystem(self, hdfs):
        filesystem = build("webhdfs", root=f"/contract/{uuid.uuid4().hex}", urls=[hdfs.url], user=hdfs.user)
        yield filesystem
        filesystem.close()


class TestMemory(FilesystemContract):
    @pytest.fixture(params=[False, True], ids=["keeps", "consumes"])
    def filesystem(self, request):
        return MemoryFilesystem(consume=request.param)


def test_every_registered_filesystem_runs_the_contract():
    covered = {suite.connector for suite in FilesystemContract.__subclasses__() if hasattr(suite, "connector")}
    assert covered == set(registered())
