"""The web server of a running service: /metrics, /healthz, /readyz and a status page at /. Read-only, in one thread.

Nothing that a record holds is shown, and no secret: what `status` returns is the caller's responsibility.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ingest.errors import UsageError
from ingest.service.health import Health
from ingest.service.log import logger
from ingest.service.metrics import CONTENT_TYPE, Metrics
from ingest.service.status_page import page

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_CONNECTIONS = 64
_LAST_ANSWERS = 2
"""Seconds that open requests have when the server stops."""


def parse_listen(listen: str) -> tuple[str, int]:
    """Split "127.0.0.1:9464", "localhost:9464" or "[::1]:9464"; port 0 = any free one.

    Raises:
        UsageError: not of that form.
    """
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or not port.isascii() or not port.isdigit():
        raise UsageError(f'"{listen}" is no address to listen on: expected host:port, such as "127.0.0.1:9464"')
    if int(port) > 65535:
        raise UsageError(f'"{listen}" is no address to listen on: a port is at most 65535')
    return host, int(port)


class WebServer:
    """Serves until stopped; a context manager. Start it before the work and stop it after, so that a drain can be seen.

    Args:
        listen: "host:port".
        metrics: what /metrics shows.
        health: what /healthz and /readyz show; 503 where it is not alive or not ready.
        status: what the status page shows: texts, numbers, mappings and lists of mappings. Called for each view, on a
            thread of the server's own.
    """

    def __init__(self, listen: str, metrics: Metrics, health: Health, status: Callable[[], Mapping[str, Any]]) -> None:
        self._host, self._port = parse_listen(listen)
        self._metrics = metrics
        self._health = health
        self._status = status
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The "host:port" that it listens on; with the real port once started."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def start(self) -> None:
        """Listen, and answer from a thread; requests are taken from when this returns.

        Raises:
            UsageError: the address is taken, or not this machine's.
        """
        listener = self._bind()
        self._port = listener.getsockname()[1]
        if not _is_local(listener):
            logger().warning("the status page and metrics can be read from other machines", listen=self.address)
        config = uvicorn.Config(
            self._application(),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        )
        self._server = uvicorn.Server(config)
        # Off the main thread uvicorn leaves the signals alone.
        self._thread = threading.Thread(target=self._serve, args=[self._server, listener], name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, and close. Fine if it was never started."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.should_exit = True
            self._thread.join(_LAST_ANSWERS + 3)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _bind(self) -> socket.socket:
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server((str(address[0]), self._port), family=family, backlog=_CONNECTIONS)
        except OSError as error:
            raise UsageError(
                f"{self.address}: can't listen there: {error.strerror}; "
                "set web.listen or --listen to another address (port 0 takes any free one)"
            ) from error

    def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        with listener:
            server.run(sockets=[listener])
        if self._server is server:
            logger().error("the web server ended by itself", listen=self.address)

    def _application(self) -> Starlette:
        async def metrics(_request: Request) -> Response:
            return Response(self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE} | _HEADERS)

        async def alive(_request: Request) -> Response:
            state = self._health.alive()
            return JSONResponse(state, 200 if state["alive"] else 503, _HEADERS)

        async def ready(_request: Request) -> Response:
            state = self._health.ready()
            return JSONResponse(state, 200 if state["ready"] else 503, _HEADERS)

        def status(_request: Request) -> Response:  # not async: `status` may wait for a lock, the other pages must not
            return HTMLResponse(page(self._health.ready(), self._health.alive(), self._status()), headers=_HEADERS)

        return Starlette(
            routes=[
                Route("/metrics", metrics),
                Route("/healthz", alive),
                Route("/readyz", ready),
                Route("/", status),
            ]
        )


def _is_local(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
