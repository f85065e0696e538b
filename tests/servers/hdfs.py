"""A real HDFS of one NameNode and one DataNode with WebHDFS, ready in a few seconds."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from tests.servers.maven import jars
from tests.servers.process import ServerProcess, free_port

POM = Path(__file__).with_name("hdfs-pom.xml")
READY_TIMEOUT = 60.0
_PROBE_TIMEOUT = 5.0
_NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
_ADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"

# WebHDFS on Java 17 fails with ExceptionInInitializerError unless java.lang is opened.
_JVM = ("--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Djava.net.preferIPv4Stack=true")

# Small blocks, so that a file of a few MiB has several; a dead DataNode is noticed after seconds, not ten minutes; the
# first look whether a written block was reported comes after 10 ms, not 400.
_PROPERTIES = {
    "dfs.replication": "1",
    "dfs.blocksize": "4194304",
    "dfs.namenode.safemode.extension": "0",
    "dfs.heartbeat.interval": "1",
    "dfs.namenode.heartbeat.recheck-interval": "1000",
    "dfs.datanode.hostname": "127.0.0.1",
    "dfs.client.use.datanode.hostname": "true",
    "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
    "dfs.namenode.handler.count": "4",
    "dfs.datanode.handler.count": "4",
}


class Daemon:
    """One Java process of the cluster that can be started, stopped, killed and frozen, on the same data each time."""

    def __init__(self, name: str, command: Sequence[str], log: Path, port: int) -> None:
        self.name = name
        self.port = port
        self.log = log
        self._command = list(command)
        self._process: ServerProcess | None = None

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.alive

    def start(self) -> ServerProcess:
        """Start the process unless it runs; returns before it is ready."""
        if self._process is None or not self._process.alive:
            self._process = ServerProcess(self.name, self._command, self.log)
        return self._process

    def stop(self) -> None:
        """Shut down orderly."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when nobody listens on its port any more."""
        if self._process is not None:
            self._process.kill()
            _await_silence(self.port)

    def suspend(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.resume()

    def tail(self, size: int = 4000) -> str:
        """Return the end of the log."""
        return self._process.tail(size) if self._process else "(never started)"


class HdfsServer:
    """NameNode and DataNode with data, ports and logs of their own; all three survive `kill` and `start`.

        with HdfsServer() as server:
            InsecureClient(server.url, user=server.user)

    `name_node` and `data_node` can be stopped, killed and frozen one by one; `ready` waits until both serve again.

    Args:
        directory: holds data, configuration and logs; left out: a temporary one, removed by leaving the `with` block.
        properties: entries of hdfs-site.xml on top of the defaults.
        heap: -Xmx of each daemon.
        jvm: further options of the JVM; the default starts quickly, `()` runs faster after minutes.
    """

    user = "hdfs"
    """The superuser: WebHDFS believes whoever names it."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        heap: str = "384m",
        jvm: Sequence[str] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    ) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="hdfs-")
        self.directory = Path(directory or self._temporary.name)
        self.ports = {name: free_port() for name in ("rpc", "http", "data", "data-http", "data-ipc")}
        self._overrides = dict(properties or {})
        self._java = ["java", *_JVM, *jvm, f"-Xmx{heap}", f"-DHADOOP_USER_NAME={self.user}"]
        classes = f"{self.directory / 'conf'}:{jars(POM)}/*"
        self._java += ["-cp", classes]
        self.name_node = Daemon(
            "namenode", [*self._java, _NAME_NODE], self.directory / "namenode.log", self.ports["http"]
        )
        self.data_node = Daemon(
            "datanode", [*self._java, _DATA_NODE], self.directory / "datanode.log", self.ports["data-http"]
        )

    @property
    def url(self) -> str:
        """Return the NameNode's http address, as `urls` of a destination takes it."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def start(self) -> Self:
        """Start what does not run, on the data that are there, and return when a file can be written.

        Raises:
            ToolMissing: no java or no mvn.
            RuntimeError: a daemon ended or was not ready in time; the text ends with its log's tail.
        """
        self._write_configuration()
        if not (self.directory / "name").exists():
            self._run(_NAME_NODE, "-format", "-nonInteractive")
        self.name_node.start()
        self.data_node.start()
        return self.ready()

    def ready(self) -> Self:
        """Return when the NameNode answers and a DataNode takes a file.

        Raises:
            RuntimeError: not in time, or a daemon is gone; that daemon is killed.
        """
        self.name_node.start().wait_ready(self._answers, READY_TIMEOUT)
        self.data_node.start().wait_ready(self._writes, READY_TIMEOUT)
        return self

    def stop(self) -> None:
        """Shut both down orderly; data and ports stay."""
        self.data_node.stop()
        self.name_node.stop()

    def kill(self) -> None:
        """SIGKILL both, as a power cut would; data and ports stay."""
        self.data_node.kill()
        self.name_node.kill()

    def restart(self) -> Self:
        """Start again on the same data and ports; what runs is killed first."""
        self.kill()
        return self.start()

    def admin(self, *arguments: str) -> str:
        """Run `hdfs dfsadmin` with `arguments`, such as ("-safemode", "enter"), and return what it said.

        Raises:
            RuntimeError: it failed.
        """
        return self._run(_ADMIN, *arguments)

    def call(self, method: str, path: str, *, user: str | None = None, **query: str) -> dict[str, object]:
        """Do one WebHDFS operation for a test's own preparations: call("PUT", "/x", op="SETOWNER", owner="a").

        Raises:
            OSError: no answer, or one that is not 2xx.
        """
        text = urllib.parse.urlencode({**query, "user.name": user or self.user})
        request = urllib.request.Request(f"{self.url}/webhdfs/v1{urllib.parse.quote(path)}?{text}", method=method)
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT) as answer:
            content = answer.read()
        return dict(json.loads(content)) if content else {}

    def tail(self, size: int = 4000) -> str:
        """Return the ends of both logs."""
        return f"namenode:\n{self.name_node.tail(size)}\ndatanode:\n{self.data_node.tail(size)}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _write_configuration(self) -> None:
        conf = self.directory / "conf"
        for webapp in ("hdfs", "datanode"):  # without these empty folders: "webapps/hdfs not found in CLASSPATH"
            (conf / "webapps" / webapp).mkdir(parents=True, exist_ok=True)
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        site = {
            **_PROPERTIES,
            "dfs.namenode.name.dir": f"file://{self.directory / 'name'}",
            "dfs.datanode.data.dir": f"file://{self.directory / 'data'}",
            "dfs.namenode.http-address": at["http"],
            "dfs.datanode.address": at["data"],
            "dfs.datanode.http.address": at["data-http"],
            "dfs.datanode.ipc.address": at["data-ipc"],
            **self._overrides,
        }
        (conf / "core-site.xml").write_text(_xml({"fs.defaultFS": f"hdfs://{at['rpc']}"}))
        (conf / "hdfs-site.xml").write_text(_xml(site))
        (conf / "log4j.properties").write_text(_LOG4J)

    def _run(self, main: str, *arguments: str) -> str:
        done = subprocess.run(
            [*self._java, main, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=READY_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{main} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def _answers(self) -> bool:
        try:
            self.call("GET", "/", op="LISTSTATUS")
        except OSError:
            return False
        return True

    def _writes(self) -> bool:
        path = "/.ready"
        try:
            # urllib follows no redirect of a PUT, so the second step is ours.
            step = self.call("PUT", path, op="CREATE", overwrite="true", noredirect="true")
            location = str(step["Location"])
            upload = urllib.request.Request(location, data=b"ready", method="PUT")
            upload.add_header("Content-Type", "application/octet-stream")
            with urllib.request.urlopen(upload, timeout=_PROBE_TIMEOUT):
                pass
            self.call("DELETE", path, op="DELETE")
        except OSError:
            return False
        return True


_LOG4J = """log4j.rootLogger=INFO,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c: %m%n
"""


def _await_silence(port: int) -> None:
    deadline = time.monotonic() + _PROBE_TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"something still listens on port {port}")


def _xml(properties: Mapping[str, str]) -> str:
    rows = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n'
