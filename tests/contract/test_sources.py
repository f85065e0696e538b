"""The source contract, for every source that is registered."""

import gzip
import os
from importlib.metadata import entry_points

import pytest

from ingest.testing.clock import ManualClock
from ingest.testing.source_contract import SourceContract


def registered():
    """Return the sources of this distribution by name."""
    points = entry_points(group="ingest.sources")
    return {point.name: point for point in points if point.dist is not None and point.dist.name == "ingest"}


def build(connector, context, **options):
    source = registered()[connector].load()
    return source(source.Options(name="web", type=connector, topic="logs", **options), context)


class FileRig:
    def __init__(self, directory):
        self.clock = ManualClock()
        self.path = directory / "app.log"

    def build(self, context, **options):
        return build("file", context, paths=[str(self.path.parent / "*.log")], **options)

    def write(self, data):
        with self.path.open("ab") as file:
            file.write(data)

    def finish(self):
        self.clock.advance(600)


class GzipRig(FileRig):
    """Each write is a member of its own, and some time before anybody looks."""

    def __init__(self, directory):
        super().__init__(directory)
        self.path = directory / "app.log.gz"

    def build(self, context, **options):
        return build("file", context, paths=[str(self.path)], rotated_after=300.0, **options)

    def write(self, data):
        super().write(gzip.compress(data))
        self.clock.advance(2.0)


class StdinRig:
    def __init__(self):
        self.clock = ManualClock()
        self.reader, self.writer = os.pipe()

    def build(self, context, **options):
        source = build("stdin", context, **options)
        source.descriptor = self.reader
        return source

    def write(self, data):
        assert os.write(self.writer, data) == len(data)

    def finish(self):
        os.close(self.writer)
        self.writer = None

    def close(self):
        os.close(self.reader)
        if self.writer is not None:
            os.close(self.writer)


class TestFile(SourceContract):
    connector = "file"

    @pytest.fixture
    def rig(self, tmp_path):
        return FileRig(tmp_path)


class TestGzip(SourceContract):
    connector = "file"

    @pytest.fixture
    def rig(self, tmp_path):
        return GzipRig(tmp_path)


class TestStdin(SourceContract):
    connector = "stdin"
    rereadable = False

    @pytest.fixture
    def rig(self):
        rig = StdinRig()
        yield rig
        rig.close()


def test_every_registered_source_runs_the_contract():
    covered = {suite.connector for suite in SourceContract.__subclasses__()}
    assert covered == set(registered())
