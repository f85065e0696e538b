"""A scripted WebHDFS node, for faults that a real one can't be made to show. Pytest-free."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def op(self) -> str:
        return self.query.get("op", "")


@dataclass(frozen=True)
class Reply:
    """One answer. `drop` hangs up after the request was read, `hang` does not answer until the node is closed; a
    `length` other than the body's is declared and the body breaks off."""

    status: int = 200
    body: bytes = b""
    location: str | None = None
    drop: bool = False
    hang: bool = False
    length: int | None = None


DROP = Reply(drop=True)
HANG = Reply(hang=True)


def answer(status: int = 200, **content: object) -> Reply:
    return Reply(status, json.dumps(content).encode())


def remote(exception: str, message: str = "because", status: int = 403) -> Reply:
    """Return what Hadoop says for an exception."""
    return answer(status, RemoteException={"exception": exception, "javaClassName": "x", "message": message})


def file_status(length: int, kind: str = "FILE", suffix: str = "", modified: int = 0) -> dict[str, object]:
    return {"type": kind, "length": length, "pathSuffix": suffix, "modificationTime": modified}


@dataclass
class StubNode:
    """A node that answers by operation, in a thread; `requests` holds what it was asked.

    `replies` maps an operation to what comes next: one Reply for ever, or a list whose last one stays. Operations that
    are not there get what an empty, willing NameNode would say. The second step of CREATE and OPEN, without its `op`
    looked at, is the operation "data".
    """

    replies: dict[str, Reply | list[Reply]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    data_node: StubNode | None = None

    def __enter__(self) -> Self:
        self._closing = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                stub._handle(self)

            do_GET = do_PUT = do_DELETE = do_POST = handle_one  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ops(self) -> list[str]:
        return [request.op or "data" for request in self.requests]

    def asked(self, op: str) -> list[Request]:
        return [request for request in self.requests if (request.op or "data") == op]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            handler.command,
            unquote(parts.path).removeprefix("/webhdfs/v1"),
            {key: values[-1] for key, values in parse_qs(parts.query).items()},
            {key.lower(): value for key, value in handler.headers.items()},
            handler.rfile.read(int(handler.headers.get("Content-Length", 0))),
        )
        self.requests.append(request)
        reply = self._reply(request)
        if reply.hang:
            self._closing.wait()
        if reply.hang or reply.drop:
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        if reply.location:
            handler.send_header("Location", reply.location)
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        handler.wfile.write(reply.body)
        handler.close_connection = reply.length is not None

    def _reply(self, request: Request) -> Reply:
        scripted = self.replies.get(request.op or "data")
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        return scripted or self._willing(request)

    def _willing(self, request: Request) -> Reply:
        uploads = [sent.body for node in (self, self.data_node) if node for sent in node.asked("data")]
        match request.op:
            case "MKDIRS" | "DELETE":
                return answer(boolean=True)
            case "CREATE" | "OPEN":
                node = self.data_node or self
                return Reply(307, location=f"{node.url}/webhdfs/v1{request.path}?given=by-the-namenode")
            case "GETFILESTATUS":
                return answer(FileStatus=file_status(len(uploads[-1]) if uploads else 0))
            case "LISTSTATUS":
                return answer(FileStatuses={"FileStatus": []})
            case "":
                return Reply(201) if request.method == "PUT" else Reply(body=b"content")
        return Reply()
