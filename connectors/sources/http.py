"""Takes lines by HTTP: POST, one JSON object or any other text a line, answered once Kafka has all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Final

from ingest.api import (
    Assembler,
    ConfigError,
    Duration,
    LineBlock,
    Secret,
    Size,
    Source,
    SourceContext,
    SourceOptions,
    Stream,
    StreamState,
    StreamStatus,
    Unavailable,
    option,
)
from ingest.connectors.http.server import Delivery, Limits, Server
from ingest.connectors.listen.address import Address, bind, parse

_NAP: Final = 0.02  # seconds


class HttpOptions(SourceOptions):
    """Options of the source "http"."""

    listen: Annotated[str, option('Where to listen: "host:port".', example="127.0.0.1:8088")]
    path: Annotated[str, option("Where requests go, beginning with a slash.")] = "/"
    token: Annotated[
        Secret | None,
        option(
            "Requests must say `Authorization: Bearer` and this. Left out: everybody may send.",
            example="${file:/etc/ingest/http-token}",
        ),
    ] = None
    max_body: Annotated[Size, option("A larger body, unpacked, is answered with 413.", ge=1)] = Size(8 << 20)
    max_pending: Annotated[Size, option("While so much is not answered, requests are answered with 429.", ge=1)] = Size(
        64 << 20
    )
    answer_within: Annotated[
        Duration,
        option("After so long without an acknowledgement of Kafka a request is answered with 503.", ge=0.1),
    ] = Duration(60.0)
    max_connections: Annotated[int, option("Requests at once; others are answered with 503.", ge=1)] = 512

    def __post_init__(self) -> None:
        """Refuse an address that nobody can listen on, and bounds that contradict each other."""
        super().__post_init__()
        if self.encoding.startswith("utf-16"):
            raise ConfigError("encoding", "a body that ends within a character could not be answered: send UTF-8")
        try:
            address_of(self.listen)
        except ValueError as error:
            raise ConfigError("listen", f'"{self.listen}": expected "host:port", such as "127.0.0.1:8088"') from error
        if not self.path.startswith("/"):
            raise ConfigError("path", f'"{self.path}" does not begin with a slash')
        if self.max_pending < self.max_body:
            raise ConfigError("max_pending", "is less than `max_body`: such a body would never be taken")


def address_of(listen: str) -> Address:
    """Return the address; ValueError where it is none."""
    return parse(f"tcp://{listen}")


class HttpSource(Source[HttpOptions]):
    """One stream, one generation for each life of the source; a request is answered with 200 once Kafka has its lines.

    What was not answered with 200 is for the sender to send again: it may be in Kafka nevertheless, and then its lines
    are there twice. Nothing is kept here: what was taken and not acknowledged in a crash was never answered.

    Raises:
        Refused: the address can't be had.
    """

    Options: ClassVar[type[SourceOptions]] = HttpOptions
    rereadable = False

    def __init__(self, options: HttpOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._listener = bind(address_of(options.listen), 0)
        limits = Limits(
            options.path,
            options.token,
            options.max_body,
            options.max_pending,
            options.answer_within,
            options.max_connections,
        )
        self._server = Server(self._listener, limits)
        self._stream = Stream(
            context.new_generation(),
            context.host,
            f"http://{options.listen}{options.path}",
            options.name,
            options.labels,
        )
        self._lines = Assembler(options.framing(context.max_line))
        self._waiting: deque[tuple[int, Delivery]] = deque()
        self._before: list[int] = []
        self._quiet = False

    @property
    def address(self) -> tuple[str, int]:
        """Return the host and port that it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`: what earlier processes took is over."""
        self._before = [state.generation for state in states]
        self._server.start()

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        if not self._server.alive:
            raise Unavailable(f"{self._stream.path}: the server ended by itself; beginning again")
        blocks: list[LineBlock] = []
        taken = 0
        self._quiet = not self._server.arrived
        while taken < max_bytes and self._server.arrived:
            delivery = self._server.arrived.popleft()
            blocks += self._lines.feed(self._stream, delivery.body, settled=True)
            taken += len(delivery.body)
            self._waiting.append((self._lines.position, delivery))
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        return 0.0 if self._server.arrived else _NAP

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`: the requests that end below are answered."""
        if generation == self._stream.generation:
            while self._waiting and self._waiting[0][0] <= position:
                self._waiting.popleft()[1].safe()

    def finished(self) -> bool:
        """See `Source.finished`: with `once` when what had come was read."""
        return self.context.once and self._quiet

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self._before

    def status(self) -> list[StreamStatus]:
        """See `Source.status`."""
        return [StreamStatus(self._stream.generation, self._stream.path, self._lines.position, None, "open")]

    def close(self) -> None:
        """See `Source.close`; requests that are not answered yet are told to come again."""
        while self._waiting:
            self._waiting.popleft()[1].given_up()
        self._server.stop()
