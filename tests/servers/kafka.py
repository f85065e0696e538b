"""A real Apache Kafka of one node (KRaft), ready in a few seconds."""

from __future__ import annotations

import base64
import shutil
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.maven import jars
from tests.servers.process import ServerProcess, free_port

POM = Path(__file__).with_name("kafka-pom.xml")
READY_TIMEOUT = 60.0
_METADATA = 3
_METADATA_VERSION = 4

# Small and quick: what a broker keeps for its own use is split in few partitions, nothing waits for more members, a
# killed broker may register again soon, and a topic exists only when somebody made it.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.min.session.timeout.ms": "500",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


class KafkaServer:
    """One broker with data, ports and log of its own; survives `kill` and `restart` with all three kept.

        with KafkaServer() as server:
            KafkaProducer(bootstrap_servers=server.bootstrap)

    Args:
        directory: holds the data and `kafka.log`; left out: a temporary one, removed by `stop` in a `with` block.
        properties: server properties on top of the defaults, such as {"log.retention.check.interval.ms": "500"}.
        listeners: further listeners, name → security protocol, such as {"SECURE": "SASL_PLAINTEXT"}; each gets a port
            of its own, see `address`.
        cluster: the id of a cluster that other brokers belong to as well; left out: a new one of its own.
        heap: -Xmx.
        jvm: further options of the JVM; the default starts quickly, `()` runs faster after minutes.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        cluster: str | None = None,
        heap: str = "512m",
        jvm: Sequence[str] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    ) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="kafka-")
        self.directory = Path(directory or self._temporary.name)
        self.log = self.directory / "kafka.log"
        self.protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self.ports = {name: free_port() for name in (*self.protocols, "CONTROLLER")}
        self._overrides = dict(properties or {})
        self._cluster = cluster or new_cluster_id()
        self._heap = heap
        self._jvm = list(jvm)
        self._process: ServerProcess | None = None

    @property
    def bootstrap(self) -> str:
        """Return "host:port" of the plain listener."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """Return "host:port" of a listener."""
        return f"127.0.0.1:{self.ports[listener]}"

    @property
    def alive(self) -> bool:
        """Return whether the broker's process runs."""
        return self._process is not None and self._process.alive

    def set(self, name: str, value: str) -> None:
        """Set a server property, from the next start on."""
        self._overrides[name] = value

    def start(self) -> Self:
        """Start on the data that are there, and return when a metadata request names a live broker.

        Raises:
            ToolMissing: no java or no mvn.
            RuntimeError: the broker ended or was not ready in time; the text ends with the log's tail.
        """
        if self.alive:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self._write_properties()
        if not (self.directory / "data").exists():
            self._format(configuration)
        self._process = ServerProcess(
            "kafka", [*self._java(), f"-Xmx{self._heap}", *self._jvm, "kafka.Kafka", str(configuration)], self.log
        )
        self._process.wait_ready(self._answers, READY_TIMEOUT)
        return self

    def stop(self) -> None:
        """Shut down orderly, as an operator would; data and ports stay."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; data and ports stay."""
        if self._process is not None:
            self._process.kill()

    def suspend(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.resume()

    def restart(self) -> Self:
        """Start again on the same data and ports; a running broker is killed first."""
        self.kill()
        return self.start()

    def tool(self, name: str, *arguments: str) -> str:
        """Run one of Kafka's command line tools, by the name of its class; return what it printed."""
        command = [*self._java(), "-XX:TieredStopAtLevel=1", name, "--bootstrap-server", self.bootstrap, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=READY_TIMEOUT, check=True).stdout

    def tail(self, size: int = 4000) -> str:
        """Return the end of the broker's log."""
        return self._process.tail(size) if self._process else "(never started)"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _java(self) -> list[str]:
        return ["java", "-cp", f"{jars(POM)}/*"]

    def _write_properties(self) -> Path:
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in self.protocols.items())
        listeners = ",".join(f"{name}://{self.address(name)}" for name in self.protocols)
        properties = {
            **_PROPERTIES,
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "listeners": f"{listeners},CONTROLLER://{self.address('CONTROLLER')}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocols}",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            **self._overrides,
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return path

    def _format(self, configuration: Path) -> None:
        command = [*self._java(), "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*command, "-t", self._cluster, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=READY_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(self.directory / "data", ignore_errors=True)
            raise RuntimeError(f"formatting the broker's data directory failed:\n{done.stdout[-4000:]}")

    def _answers(self) -> bool:
        try:
            return _live_brokers("127.0.0.1", self.ports["PLAINTEXT"]) > 0
        except OSError:
            return False


def new_cluster_id() -> str:
    """Return a random id in the form that Kafka takes."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return f"A{text[1:]}" if text.startswith("-") else text


def _live_brokers(host: str, port: int) -> int:
    """Return how many brokers a metadata request (v4, no topics) names.

    Raises:
        OSError: no connection, or the answer did not come whole.
    """
    client = b"probe"
    request = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, len(client)) + client + struct.pack(">i?", 0, False)
    with socket.create_connection((host, port), timeout=5.0) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        header = connection.recv(4 + 4 + 4 + 4, socket.MSG_WAITALL)
        if len(header) < 16:
            raise ConnectionError("the broker hung up")
        _size, _correlation, _throttle, brokers = struct.unpack(">iiii", header)
        return int(brokers)
