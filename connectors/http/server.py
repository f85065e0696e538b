"""Takes requests in a thread of its own, and answers them once somebody says that their lines are safe."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ingest.api import Secret

from .body import NotTaken, Unpacking, check_length, check_token

_LAST_ANSWERS = 2  # seconds that open requests have when the server stops
_RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests have to keep to.

    Attributes:
        path: where they go.
        token: what they must show; None = nothing.
        body: bytes of one, unpacked.
        pending: bytes of all that are not answered.
        patience: seconds until one is answered in any case.
        connections: at once.
    """

    path: str
    token: Secret | None
    body: int
    pending: int
    patience: float
    connections: int


class Delivery:
    """The lines of one request; `safe` or `given_up` is called once, from any thread."""

    def __init__(self, body: bytes, outcome: asyncio.Future[bool]) -> None:
        self.body = body
        self._outcome = outcome

    def safe(self) -> None:
        """Answer that all of it is in Kafka."""
        self._settle(True)

    def given_up(self) -> None:
        """Answer that it may be, or not."""
        self._settle(False)

    def _settle(self, safe: bool) -> None:
        self._outcome.get_loop().call_soon_threadsafe(self._set, safe)

    def _set(self, safe: bool) -> None:
        if not self._outcome.done():  # else it was answered already: it took too long
            self._outcome.set_result(safe)


class Server:
    """Puts deliveries into `arrived`; `start` and `stop` it once."""

    def __init__(self, listener: socket.socket, limits: Limits) -> None:
        self.arrived: deque[Delivery] = deque()
        self._listener = listener
        self._limits = limits
        self._pending = 0
        self._stopping = False
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=[Route(limits.path, self._answer, methods=["POST"])]),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=limits.connections,
                timeout_graceful_shutdown=_LAST_ANSWERS,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="http source", daemon=True)

    def start(self) -> None:
        """Take requests."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are taken."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Take no more; requests that nobody settled are answered that they may be in Kafka, or not."""
        self._stopping = True
        while self.arrived:
            self.arrived.popleft().given_up()
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_LAST_ANSWERS + 3)
        self._listener.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener])

    async def _answer(self, request: Request) -> Response:
        reserved = 0

        def reserve(size: int) -> None:
            nonlocal reserved
            if self._pending + size > self._limits.pending:
                raise NotTaken(429, "too much is on its way to Kafka; send it again later", _RETRY)
            self._pending += size
            reserved += size

        try:
            async with asyncio.timeout(self._limits.patience):
                unpacking = self._admit(request)
                async for chunk in request.stream():
                    reserve(unpacking.feed(chunk))
                return await self._deliver(unpacking.finish())
        except NotTaken as refusal:
            return PlainTextResponse(f"{refusal}\n", refusal.status, refusal.headers)
        except TimeoutError:
            return PlainTextResponse("Kafka did not acknowledge in time; send it again\n", 503, _RETRY)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            self._pending -= reserved

    def _admit(self, request: Request) -> Unpacking:
        check_token(request.headers.get("authorization"), self._limits.token)
        check_length(request.headers.get("content-length"), self._limits.body)
        return Unpacking(request.headers.get("content-encoding", "").strip().lower(), self._limits.body)

    async def _deliver(self, body: bytes) -> Response:
        if body:
            outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            delivery = Delivery(body, outcome)
            self.arrived.append(delivery)
            if self._stopping:
                delivery.given_up()
            if not await outcome:
                raise NotTaken(503, "ingest stopped before Kafka acknowledged; send it again", _RETRY)
        return PlainTextResponse("", 200)
