"""The source contract, for every source that is registered."""

import gzip
import os
import signal
import socket
from importlib.metadata import entry_points

import pytest

from ingest.connectors.journal.entries import Cutter, Entry
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


class JournaldRig:
    """A journal whose entries are numbered lines; the rig prints them through the standard output of a command."""

    def __init__(self, directory):
        self.clock = ManualClock()
        self.directory = directory
        self.lines = []
        self.rest = b""
        self.runs = 0
        self.source = None
        self.pipes = []

    def build(self, context, **options):
        self.source = build("journald", context, **options)
        self.source.command = self.command
        self.source.check = lambda: None
        start = self.source._start

        def start_and_print():
            start()
            self.source._cutter = Cutter(numbered)
            self.pipes.append(os.open(self.fifo, os.O_WRONLY))
            self.print(int(self.source._place.cursor or 0))
            if context.once:
                self.end()

        self.source._start = start_and_print
        return self.source

    def command(self, place):
        self.runs += 1
        self.fifo = self.directory / f"fifo{self.runs}"
        os.mkfifo(self.fifo)
        return ["cat", str(self.fifo)]

    def write(self, data):
        *whole, self.rest = (self.rest + data).split(b"\n")
        begin = len(self.lines)
        self.lines += whole
        self.print(begin)

    def print(self, begin):
        if self.source and self.source._run:
            with open(f"/proc/{self.source._run.pid}/fd/1", "wb") as output:
                output.write(b"".join(b"%d %s\n" % line for line in list(enumerate(self.lines))[begin:]))

    def finish(self):
        pass

    def end(self):
        """Let the command end with 0."""
        os.close(self.pipes.pop())
        os.waitid(os.P_PID, self.source._run.pid, os.WEXITED | os.WNOWAIT)

    def close(self):
        self.source.close()
        for pipe in self.pipes:
            os.close(pipe)


def numbered(line):
    cursor, _, value = line.partition(b" ")
    return Entry(cursor.decode(), 0, value)


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


class TestJournald(SourceContract):
    connector = "journald"

    @pytest.fixture
    def rig(self, tmp_path):
        rig = JournaldRig(tmp_path)
        yield rig
        rig.close()

    def test_an_unterminated_last_line_is_given_out_flagged_once_nothing_more_comes(self):
        """An entry is whole: what a run did not print to its end is printed again by the next one."""
        source = self.start()
        with open(f"/proc/{source._run.pid}/fd/1", "wb") as output:
            output.write(b"0 whole\n1 half")
        reading = self.read(source)

        self.rig.end()

        assert reading.values == [b"whole"]
        assert self.read(source).lines == []

    def test_a_line_end_that_the_bytes_do_not_decide_is_kept_when_they_are_read_again(self):
        """There is none."""
        source = self.start()
        self.rig.write(b"whole\nhalf")

        assert not any(block.boundary for block in self.read(source).blocks)


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
