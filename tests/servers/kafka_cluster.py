"""A real Apache Kafka of several nodes, each broker and controller at once."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.kafka import KafkaServer, new_cluster_id


class KafkaCluster:
    """`nodes[i]` has the id i + 1; each can be killed and restarted by itself. Topics may have as many replicas."""

    def __init__(self, size: int = 3) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="kafka-cluster-", ignore_cleanup_errors=True)
        cluster = new_cluster_id()
        root = Path(self._temporary.name)
        self.nodes = [KafkaServer(root / str(number), cluster=cluster, heap="384m") for number in range(1, size + 1)]
        voters = ",".join(f"{number}@{node.address('CONTROLLER')}" for number, node in enumerate(self.nodes, 1))
        for number, node in enumerate(self.nodes, 1):
            node.set("node.id", str(number))
            node.set("controller.quorum.voters", voters)
            node.set("offsets.topic.replication.factor", str(size))
            node.set("min.insync.replicas", str(size // 2 + 1))

    @property
    def bootstrap(self) -> str:
        """Return "host:port" of all nodes, joined by commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(len(self.nodes)) as pool:  # none is ready before most are there
            list(pool.map(KafkaServer.start, self.nodes))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for node in self.nodes:
            node.kill()
        self._temporary.cleanup()
