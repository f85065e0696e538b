"""The source contract, for every source that is registered."""

import os
import signal
import socket
from importlib.metadata import entry_points

import pytest

from ingest.testing.clock import ManualClock
from ingest.testing.source_contract import SourceContract
from tests.builders.waiting import until


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


class SpoolRig:
    """One file that a job appends whole lines to, and at the end what is left: spooled files are finished."""

    def __init__(self, directory):
        self.clock = ManualClock()
        self.path = directory / "in" / "export.csv"
        self.path.parent.mkdir()
        self.waiting = b""

    def build(self, context, **options):
        return build("spool", context, paths=[str(self.path.parent / "*.csv")], settle=1.0, **options)

    def write(self, data):
        whole, newline, self.waiting = (self.waiting + data).rpartition(b"\n")
        self.append(whole + newline)

    def append(self, data):
        if data:
            with self.path.open("ab") as file:
                file.write(data)

    def finish(self):
        self.append(self.waiting)
        self.waiting = b""


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


class ExecRig:
    """A command that never writes: the rig does, through the command's own standard output."""

    def __init__(self):
        self.clock = ManualClock()
        self.waiting = b""
        self.source = None

    def build(self, context, **options):
        self.source = build("exec", context, command=["sleep", "1000"], **options)
        resume = self.source.resume

        def resume_and_write(states):
            resume(states)
            self.write(b"")
            if context.once:
                self.finish()

        self.source.resume = resume_and_write
        return self.source

    def run(self):
        return self.source and self.source._run

    def write(self, data):
        self.waiting += data
        if self.run():
            with open(f"/proc/{self.run().pid}/fd/1", "wb") as pipe:
                pipe.write(self.waiting)
            self.waiting = b""

    def finish(self):
        os.kill(self.run().pid, signal.SIGTERM)
        os.waitid(os.P_PID, self.run().pid, os.WEXITED | os.WNOWAIT)

    def close(self):
        if self.run():
            self.source.close()


class SyslogRig:
    """One sender over a unix socket, which connects again when the source is there again."""

    def __init__(self, directory):
        self.clock = ManualClock()
        self.path = directory / "log"
        self.waiting = b""
        self.sender = None

    def build(self, context, **options):
        self.source = build("syslog", context, listen=[f"unix-stream://{self.path}"], **options)
        self.finish()
        self.connect()
        return self.source

    def connect(self):
        self.sender = socket.socket(socket.AF_UNIX)
        self.sender.connect(str(self.path))
        self.write(b"")

    def write(self, data):
        self.waiting += data
        try:
            if self.sender:
                self.sender.sendall(self.waiting)
                self.waiting = b""
            elif self.path.exists():
                self.connect()
        except BrokenPipeError:
            self.finish()

    def finish(self):
        if self.sender:
            self.sender.close()
            self.sender = None


class HttpRig:
    """A sender that posts whole lines, and at the end what is left. Nobody acknowledges here, so none is answered."""

    def __init__(self):
        self.clock = ManualClock()
        self.waiting = b""
        self.source = None
        self.sources = []
        self.senders = []

    def build(self, context, **options):
        self.source = build("http", context, listen="127.0.0.1:0", **options)
        self.sources.append(self.source)
        return self.source

    def write(self, data):
        whole, newline, self.waiting = (self.waiting + data).rpartition(b"\n")
        if newline and self.source:
            self.post(whole + newline)
        else:
            self.waiting = whole + newline + self.waiting

    def post(self, body):
        arrived = len(self.source._server.arrived)
        self.senders.append(socket.create_connection(self.source.address))
        self.senders[-1].sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: len(self.source._server.arrived) > arrived)

    def finish(self):
        self.post(self.waiting)
        self.waiting = b""

    def close(self):
        for source in self.sources:
            source.close()
        for sender in self.senders:
            sender.close()


class TestFile(SourceContract):
    connector = "file"

    @pytest.fixture
    def rig(self, tmp_path):
        return FileRig(tmp_path)


class TestSpool(SourceContract):
    connector = "spool"

    @pytest.fixture
    def rig(self, tmp_path):
        return SpoolRig(tmp_path)


class TestExec(SourceContract):
    connector = "exec"

    @pytest.fixture
    def rig(self):
        rig = ExecRig()
        yield rig
        rig.close()


class TestSyslog(SourceContract):
    connector = "syslog"

    @pytest.fixture
    def rig(self, tmp_path):
        rig = SyslogRig(tmp_path)
        yield rig
        rig.finish()
        rig.source.close()


class TestHttp(SourceContract):
    connector = "http"
    rereadable = False

    @pytest.fixture
    def rig(self):
        rig = HttpRig()
        yield rig
        rig.close()

    def test_an_unterminated_last_line_is_given_out_flagged_once_nothing_more_comes(self):
        """A request says itself where it ends: its last line is whole, with a newline or without."""
        source = self.start()
        self.rig.write(b"whole\nhalf")
        reading = self.read(source)

        self.rig.finish()

        assert reading.values == [b"whole"]
        assert [(line.value, line.start, line.end, line.flag) for line in self.read(source).lines] == [
            (b"half", 6, 11, None)
        ]


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
