"""Receives messages of syslog: over UDP, TCP and unix sockets. They are passed on as they came."""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, TypeAlias

from ingest.api import (
    ConfigError,
    Duration,
    Size,
    SourceContext,
    SourceOptions,
    StreamState,
    Unavailable,
    option,
)
from ingest.connectors.listen.address import parse
from ingest.connectors.listen.ports import Connection, Datagrams, Door
from ingest.connectors.queue.piece import Piece
from ingest.connectors.queue.source import CHUNK, QueuedSource

_LAST_ROUNDS: Final = 16  # of so many bytes each that are read when it ends
_ACCEPTED: Final = 4096  # bytes that a new connection counts for
_PAUSE: Final = 1.0  # seconds until a connection is accepted again where no more could be had
_QUIET: Final = 60.0  # seconds between two complaints of one kind
_KERNEL: Final = "kernel_drop"

Port: TypeAlias = Datagrams | Door | Connection


class SyslogOptions(SourceOptions):
    """Options of the source "syslog"."""

    listen: Annotated[
        list[str],
        option(
            'Where to listen: "udp://host:port", "tcp://host:port", "unix:///path" (datagrams, as /dev/log), '
            '"unix-stream:///path". Each is a stream of its own. What was read survives a crash of ingest; '
            "a sender can't know what was read, as the protocol has no acknowledgements.",
            example=["udp://0.0.0.0:514", "tcp://[::]:601"],
        ),
    ]
    max_connections: Annotated[int, option("Senders connected at once; others are hung up on.", ge=1)] = 512
    idle_timeout: Annotated[
        Duration | None,
        option("A connection silent for so long is closed. Left out: never, if the other end lives.", example="1h"),
    ] = None
    receive_buffer: Annotated[
        Size,
        option(
            "Datagrams that nobody read yet are kept by the kernel up to so much; without CAP_NET_ADMIN at most "
            "net.core.rmem_max.",
            ge=4096,
            le=1 << 30,
        ),
    ] = Size(4 << 20)
    queue_bytes: Annotated[
        Size,
        option(
            "Messages not yet in Kafka are kept on disk up to so much for each address; then nothing more is read: "
            "connected senders have to wait, datagrams are dropped and counted.",
            ge=1 << 20,
        ),
    ] = Size(256 << 20)

    def __post_init__(self) -> None:
        """Refuse addresses that nobody can listen on."""
        super().__post_init__()
        if self.multiline is not None:
            raise ConfigError("multiline", "a message of syslog is an event already")
        if self.encoding != "utf-8":
            raise ConfigError("encoding", "messages of syslog are passed on as they come: leave it out")
        if not self.listen:
            raise ValueError("`listen` names no address")
        for text in self.listen:
            try:
                parse(text)
            except ValueError as error:
                raise ConfigError("listen", str(error)) from error
        if len(set(self.listen)) < len(self.listen):
            raise ConfigError("listen", "names an address twice")


class SyslogSource(QueuedSource[SyslogOptions]):
    """Each address is a stream, with one generation; a message is a line, newlines in it included.

    What was read is on disk before it is handed out. What a sender sent and nobody read yet is lost in a crash.

    Raises:
        Refused: an address can't be had.
    """

    Options: ClassVar[type[SourceOptions]] = SyslogOptions

    def __init__(self, options: SyslogOptions, context: SourceContext) -> None:
        super().__init__(options, context, options.queue_bytes)
        self._framing = options.framing(context.max_line)
        self._selector = selectors.DefaultSelector()
        self._turn = 0
        self._accept_at = float("-inf")
        self._parting: list[Connection] = []
        """They are hung up on once what they sent is durable, so that a sender may wait for that."""
        self._complained: dict[str, float] = {}
        self._quiet = False
        with contextlib.ExitStack() as undo:
            undo.callback(self._hang_up)
            for address in map(parse, options.listen):
                port: Port = (
                    Datagrams(address, options.receive_buffer, self._framing) if address.datagrams else Door(address)
                )
                self._selector.register(port.socket, selectors.EVENT_READ, port)
            undo.pop_all()

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`."""
        self.queues.resume(states, self.options.listen)

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        return 0.0 if self.queues.pending or self._ready() else self.nap

    def finished(self) -> bool:
        """See `Source.finished`: with `once` when what had come was read."""
        return self.context.once and self._quiet and not self.queues.pending and not self.queues.waiting

    def close(self) -> None:
        """See `Source.close`; what had come is read and kept."""
        if self._selector.get_map() is None:  # closed before
            return
        for port in self._ports():
            if isinstance(port, Door):
                self._forget(port)
        try:
            for _ in range(_LAST_ROUNDS):
                self.read(CHUNK)
                if self._quiet:
                    break
            for port in self._ports():
                if isinstance(port, Connection):
                    self._add(port, port.finish())
            self.queues.commit()
        except Unavailable as error:
            self.context.event("the last messages are lost", why=str(error))
        self._hang_up()
        self.queues.close()

    # ── reading ──

    def read(self, size: int) -> None:
        """Take what came, every sender in its turn, and make it durable."""
        self._quiet = True
        while size > 0 and (ready := self._ready()):
            self._quiet = False
            for port in sorted(ready, key=lambda port: port.served):
                size -= self._serve(port)
                if size <= 0:
                    break
        self._close_idle()
        self.queues.commit()
        if not self.queues.waiting:
            self._hang_up_on_parting()

    def _ready(self) -> list[Port]:
        """Return what can be read and whose stream has room."""
        ports: list[Port] = [key.data for key, _ in self._selector.select(0)]
        accepts = self.context.clock.monotonic() >= self._accept_at
        return [port for port in ports if self.queues.room(port.stream) and (accepts or not isinstance(port, Door))]

    def _serve(self, port: Port) -> int:
        """Give a socket its turn; return how much that counts."""
        self._turn += 1
        port.served = self._turn
        if isinstance(port, Door):
            self._welcome(port)
            return _ACCEPTED
        piece, size = port.read()
        self._add(port, piece)
        if isinstance(port, Connection):
            port.heard_at = self.context.clock.monotonic()
            if port.ended:
                self._part(port)
        return max(1, size)

    def _add(self, port: Port, piece: Piece | None) -> None:
        if piece is not None:
            self.queues.add(port.stream, piece)
        if isinstance(port, Datagrams) and port.dropped:
            self.queues.log(port.stream).count(_KERNEL, port.dropped)
            self._complain("datagrams were dropped: nobody read them in time", port.stream, datagrams=port.dropped)
            port.dropped = 0

    def _welcome(self, door: Door) -> None:
        now = self.context.clock.monotonic()
        try:
            made = door.accept()
        except OSError as error:
            self._accept_at = now + _PAUSE
            self._complain("no connection can be accepted", door.stream, why=error.strerror or str(error))
            return
        if made is None:
            return
        if sum(isinstance(port, Connection) for port in self._ports()) >= self.options.max_connections:
            made.close()
            self._complain("too many connections: a sender was hung up on", door.stream)
            return
        connection = Connection(made, door.stream, self._framing, now)
        self._selector.register(made, selectors.EVENT_READ, connection)

    def _close_idle(self) -> None:
        if self.options.idle_timeout is None:
            return
        since = self.context.clock.monotonic() - self.options.idle_timeout
        for port in self._ports():
            if isinstance(port, Connection) and port.heard_at <= since:
                self._add(port, port.finish())
                self._part(port)

    # ── sockets ──

    def _ports(self) -> list[Port]:
        return [key.data for key in (self._selector.get_map() or {}).values()]

    def _part(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        self._parting.append(connection)

    def _hang_up_on_parting(self) -> None:
        for connection in self._parting:
            connection.close()
        self._parting.clear()

    def _forget(self, port: Port) -> None:
        self._selector.unregister(port.socket)
        port.close()

    def _hang_up(self) -> None:
        self._hang_up_on_parting()
        for port in self._ports():
            self._forget(port)
        self._selector.close()

    def _complain(self, text: str, stream: str, **fields: object) -> None:
        """Say it, but not all the time: the counters have all of it."""
        now = self.context.clock.monotonic()
        if now >= self._complained.get(text, float("-inf")) + _QUIET:
            self._complained[text] = now
            self.context.event(text, stream=stream, **fields)
