"""Talking to a running service: a unix socket in its state directory, one JSON object a line each way.

    → {"command": "flush", "arguments": {…}}
    ← {"ok": true, "result": …}   or   {"ok": false, "error": "what happened", "exit_code": 1}

The socket is `<state>/<part>.sock`, mode 0600. The kernel takes paths of at most 107 bytes: in a longer directory the
socket has the same name, and both sides reach it through `/proc/self/fd/<directory>/`, which is short.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingest.errors import IngestError, Unavailable, UsageError
from ingest.service.log import logger

Handler = Callable[[dict[str, Any]], Any]
"""Takes the arguments of a command and returns what JSON has; may take long; its IngestError is the caller's answer."""

REQUEST_LIMIT = 64 << 10
"""Bytes that a request may have."""
RESPONSE_LIMIT = 64 << 20
"""Bytes that an answer may have."""
CONNECTIONS = 8
"""Callers served at once; the next one is told to come again."""
PATIENCE = 10.0
"""Seconds that a caller has for sending its request, and for taking the answer."""

_PATH_LIMIT = 107


class NotRunning(UsageError):
    """No service owns that part of the state directory."""


class ControlServer:
    """Answers commands, each caller in a thread of its own, so that a long flush does not hold up a status.

    Start it only while holding the part's `StateLock`: a socket file that is there then is a dead process's, and is
    replaced. A context manager.

    Args:
        state: the state directory.
        part: "ship" or "sink".
        handlers: by command. They are called on the callers' threads.
    """

    def __init__(self, state: Path, part: str, handlers: Mapping[str, Handler]) -> None:
        self.path = state / f"{part}.sock"
        self._handlers = dict(handlers)
        self._callers: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen.

        Raises:
            UsageError: no socket can be made there.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listener.fileno(), 0o600)  # before bind, so that it is never open to others
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            with _address(self.path) as address:
                listener.bind(address)
            listener.listen(CONNECTIONS)
        except OSError as error:
            listener.close()
            raise UsageError(f"{self.path}: can't make the control socket: {error.strerror or error}") from error
        self._listener = listener
        self._accepting = threading.Thread(target=self._accept, args=[listener], name="control", daemon=True)
        self._accepting.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Take no more callers, let those at work end within `timeout` seconds, and remove the socket."""
        listener, self._listener = self._listener, None
        if listener is None or self._accepting is None:
            return
        self._stopping.set()
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._accepting.join()
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        with self._lock:
            callers = list(self._callers)
            for connection in self._callers.values():
                with contextlib.suppress(OSError):  # a caller that went away
                    connection.shutdown(socket.SHUT_RD)  # no more requests; the answer to one at work still goes out
        for thread in callers:
            thread.join(timeout / len(callers))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    # Out of descriptors, most likely: the caller waits, and we try again.
                    logger().warning("a control connection could not be taken", error=error)
                    self._stopping.wait(0.1)
                continue
            connection.settimeout(PATIENCE)
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=[connection], name="control-caller", daemon=True)
        with self._lock:
            if len(self._callers) < CONNECTIONS:
                self._callers[thread] = connection
        try:
            if thread in self._callers:
                thread.start()
                return
        except RuntimeError as error:  # no more threads
            logger().warning("a control connection could not be served", error=error)
            with self._lock:
                del self._callers[thread]
        with connection, contextlib.suppress(OSError):
            connection.sendall(_line(_refusal("the service is busy with other callers: try again")))

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (request := _receive_if_there(connection)) is not None:
                    answer = _line(self._answer(request))
                    try:
                        connection.sendall(answer)
                    except OSError as error:
                        logger().warning("a caller did not wait for its answer", error=error)
                        return
            finally:
                with self._lock:
                    del self._callers[threading.current_thread()]

    def _answer(self, request: bytes) -> dict[str, Any]:
        try:
            message = json.loads(request)
            command, arguments = message["command"], message.get("arguments", {})
            handler = self._handlers[command]
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            known = ", ".join(sorted(self._handlers))
            return _refusal(f'not a request: expected {{"command": …}} with one of {known}', UsageError.exit_code)
        try:
            return {"ok": True, "result": handler(arguments)}
        except IngestError as error:
            return _refusal(str(error), error.exit_code)


def call(state: Path, part: str, command: str, timeout: float = 30.0, **arguments: Any) -> Any:
    """Ask the service that owns a part of a state directory, and return its answer.

    Args:
        state: the state directory.
        part: "ship" or "sink".
        command: what the service registered: "status", "flush", ….
        timeout: seconds to wait for the answer.
        arguments: of the command; what JSON has.

    Raises:
        NotRunning: nobody listens there.
        UsageError: the service is another user's, or the command or its arguments are refused.
        Unavailable: no answer in time; what was asked for may happen yet.
        IngestError: the service failed at it; `exit_code` is the one of the service's error.
    """
    path = state / f"{part}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            with _address(path) as address:
                connection.connect(address)
        except PermissionError as error:
            raise UsageError(f"{path}: not allowed to talk to the service; run as its user") from error
        except OSError as error:
            raise NotRunning(f"{state}: no ingest service runs on this state directory ({part})") from error
        try:
            connection.sendall(_line({"command": command, "arguments": arguments}))
            answer = _receive(connection, RESPONSE_LIMIT)
        except TimeoutError as error:
            raise Unavailable(f"{path}: no answer to {command} within {timeout:g} s") from error
        except OSError as error:
            raise Unavailable(f"{path}: the service went away during {command}: {error.strerror}") from error
    return _result(path, command, answer)


def _result(path: Path, command: str, answer: bytes | None) -> Any:
    if answer is None:
        raise Unavailable(f"{path}: the service ended {command} without an answer; see its log")
    message = json.loads(answer)
    if message["ok"]:
        return message["result"]
    if message["exit_code"] == UsageError.exit_code:
        raise UsageError(message["error"])
    failure = IngestError(message["error"])
    failure.exit_code = message["exit_code"]
    raise failure


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield a name for the socket's path that the kernel takes."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield os.fspath(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _receive(connection: socket.socket, limit: int) -> bytes | None:
    """Return one line; None at the end of the connection, or where a line is longer than the limit."""
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = connection.recv(min(1 << 16, limit + 1 - len(received)))
        received += piece
        if not piece or len(received) > limit:
            return None
    return bytes(received)


def _receive_if_there(connection: socket.socket) -> bytes | None:
    """Return a request; None also where the caller went away or was silent for too long."""
    try:
        return _receive(connection, REQUEST_LIMIT)
    except OSError:
        return None


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _refusal(problem: str, exit_code: int = IngestError.exit_code) -> dict[str, Any]:
    return {"ok": False, "error": problem, "exit_code": exit_code}
