"""The network client that kafka-python makes for its producers and consumers, and what is mended in it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from kafka import errors as kafka_errors

from ingest.broker.seams.pinned import COLUMNAR

_READ_SIZE = 1 << 20
REFUSED_IDENTITY = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.AuthorizationError,
)


class ClientFactory:
    """The argument `kafka_client` of kafka-python's clients: keeps hold of the network client that it makes.

    So that it can be closed when the constructor around it fails, never asks brokers to make a missing topic, and reads
    sockets in large pieces.
    """

    def __init__(self) -> None:
        self.client: Any = None

    def __call__(self, **configs: Any) -> Any:
        """Make the network client; called by kafka-python."""
        from kafka.net.compat import KafkaNetClient

        self.client = KafkaNetClient(**configs)
        self.client.cluster.config["allow_auto_create_topics"] = False
        if COLUMNAR:
            _read_in_large_pieces(self.client._manager)
            _give_up_when_refused(self.client._manager)
        return self.client

    def discard(self) -> None:
        """Close what was made, after a constructor failed."""
        if self.client is not None:
            self.client.close()

    def last_contact(self) -> float | None:
        """Return when (`time.monotonic`) a broker was last heard, of the connections that are open; None = of none."""
        connections = list(self.client._manager._conns.values())
        heard = [c.transport.last_read for c in connections if c.connected and c.transport is not None]
        return max(heard, default=None)

    def ask_for_news(self) -> None:
        """Have the metadata refreshed in the background, which shows whether a broker answers."""
        self.client.cluster.request_update()
        self.client.wakeup()

    def refresh_metadata(self, timeout: float) -> Any:
        """Refresh the metadata and return the cluster's description.

        Only where an I/O thread runs (consumers). At most one request is under way, whoever asks.

        Raises:
            KafkaTimeoutError: no answer within `timeout` seconds.
        """
        manager = self.client._manager
        manager.run(manager.wait_for, manager.cluster.request_update(), timeout * 1000)
        return manager.cluster

    def end_refreshing(self, timeout: float) -> None:
        """Ask for no more metadata, and wait up to `timeout` seconds for an answer that is under way.

        Only where an I/O thread runs. Without it kafka-python logs, now and then, that closing a client failed.
        """
        manager = self.client._manager
        cluster = manager.cluster

        async def settle() -> None:
            cluster.close()
            if cluster.metadata_refresh_in_progress:
                await manager.wait_for(cluster._refresh_future, timeout * 1000)

        with contextlib.suppress(kafka_errors.KafkaError):  # what is asked is of no use any more
            manager.run(settle)

    def metadata_age(self) -> float:
        """Return seconds since metadata last came."""
        return time.monotonic() - float(self.client.cluster._last_successful_refresh_ms) / 1000


def _read_in_large_pieces(manager: Any) -> None:
    from kafka.net.transport import KafkaTCPTransport

    build = manager._build_transport

    async def build_with_large_reads(node: Any, timeout_at: float | None = None) -> Any:
        transport = await build(node, timeout_at=timeout_at)
        if type(transport) is KafkaTCPTransport:
            transport._sock_recv = lambda: _receive(transport)
        return transport

    manager._build_transport = build_with_large_reads


def _give_up_when_refused(manager: Any) -> None:
    """Have the first connection fail at once when a broker refuses our identity, instead of at its time-out.

    Later on kafka-python goes on trying, with growing pauses: passwords can be given back.
    """
    connect = manager._connect

    async def connect_and_note(node: Any, connection: Any, **options: Any) -> None:
        await connect(node, connection, **options)
        ready = connection.init_future
        if ready.failed() and isinstance(ready.exception, REFUSED_IDENTITY) and not manager.bootstrapped:
            manager._auth_failures[node.node_id] = ready.exception

    manager._connect = connect_and_note


def _receive(transport: Any) -> tuple[bytes, Exception | None]:
    """Read what is there, in one call instead of one every 4 KiB; (bytes, error) as the transport expects it.

    Most of a large answer is put where it is gathered, and returned as nothing: copying it there would hold the
    interpreter's lock. Its last byte comes in the ordinary way, so that the answer is found to be complete.
    """
    parser = transport._protocol.parser
    gathered = parser._rbuffer if parser._receiving else None
    try:
        if gathered is not None and len(gathered) - gathered.tell() > _READ_SIZE:
            with memoryview(gathered) as whole:
                count = transport._sock.recv_into(whole[gathered.tell() : -1])
            gathered.seek(gathered.tell() + count)
            data, ended = b"", not count
        else:
            data = transport._sock.recv(_READ_SIZE)
            ended = not data
    except (BlockingIOError, InterruptedError):
        return b"", None
    except OSError as error:
        return b"", kafka_errors.KafkaConnectionError(error)
    return data, kafka_errors.KafkaConnectionError("socket disconnected") if ended else None


def _close_failed_connections() -> None:
    """Have kafka-python close sockets whose connect or TLS handshake failed, which it leaves lying about."""
    from kafka.net.inet import KafkaNetSocket
    from kafka.net.transport import KafkaSSLTransport

    connect = KafkaNetSocket.sock_connect
    handshake = KafkaSSLTransport.handshake

    async def connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
        try:
            return await connect(self, net, sock, address, timeout_at=timeout_at)
        except BaseException:  # also GeneratorExit, when the loop is closed meanwhile
            sock.close()
            raise

    async def handshake_or_close(self: Any) -> None:
        try:
            await handshake(self)
        except BaseException:  # also GeneratorExit, when the loop is closed meanwhile
            self._sock.close()
            raise

    KafkaNetSocket.sock_connect = connect_or_close
    KafkaSSLTransport.handshake = handshake_or_close


def _copy_answers_once() -> None:
    """Have kafka-python copy a field out of an answer once, not twice: nearly all of a fetch is one field."""
    from kafka.protocol.frame import KafkaBytes

    def read(self: Any, nbytes: int | None = None) -> bytes:
        start = self._idx
        self._idx = len(self) if nbytes is None else min(start + nbytes, len(self))
        with memoryview(self) as whole:
            return bytes(whole[start : self._idx])

    KafkaBytes.read = read


if COLUMNAR:
    _close_failed_connections()
    _copy_answers_once()
