"""Requests to NameNodes and DataNodes: which node is asked, and what is sent to whom. No path is decided here."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

import requests
from hdfs.client import Client

from ingest.api import IngestError, Refused, Unavailable

from .webhdfs_errors import Answer, Failure, Meaning, Reaction, failure, meaning, to_error

_PREFIX = "/webhdfs/v1"
_REDIRECTS = (301, 302, 303, 307, 308)


class Calls:
    """Asks the NameNode that answered last, and the others in turn when it can't be reached or is on standby.

    A change whose answer was lost is never asked for again: OutcomeUnknown. A question is. Nothing waits or repeats
    here beyond one round; that is the caller's.

    Args:
        urls: of the NameNodes, without a slash at the end.
        connect: makes a client of the `hdfs` package with a session of its own; called once for each thread that is in
            a request at the same time, and used by one thread at a time.
        data_session: makes the session for DataNodes. It must carry no credentials: what a DataNode needs is in the
            redirect.
        timeout: seconds to (connect, wait for a byte).
        kerberos: whether an expired ticket may come back to life.
    """

    def __init__(
        self,
        urls: list[str],
        connect: Callable[[], Client],
        data_session: Callable[[], requests.Session],
        timeout: tuple[float, float],
        kerberos: bool,
    ) -> None:
        self._urls = urls
        self._connect = connect
        self._data_session = data_session
        self._timeout = timeout
        self._kerberos = kerberos
        self._active = 0
        self._idle: deque[tuple[Client, requests.Session]] = deque()
        self._closed = False

    def ask(self, op: str, path: str, **params: object) -> Answer:
        """Do a GET without a redirect; errors as `Filesystem` names them, FileMissing for FileNotFoundException."""
        return self._call("GET", op, path, params, changes=False)[0]

    def change(self, method: str, op: str, path: str, **params: object) -> Answer:
        """Ask for a change.

        Raises:
            OutcomeUnknown: the answer was lost; no other NameNode was asked.
            FileExists, FileMissing, Unavailable, Refused: nothing was changed.
        """
        return self._call(method, op, path, params, changes=True)[0]

    def upload(self, path: str, source: bytes | Path, **params: object) -> None:
        """Write a new file of known length. What is at `path` after an error is open: let it be a temporary name.

        Raises:
            Unavailable: as `change`, and also where an answer was lost.
            Refused: the server or its redirect can't be obeyed.
        """
        answer, url = self._call("PUT", "CREATE", path, {**params, "overwrite": "false"}, changes=False)
        with _body(source) as body:
            outcome = self._follow("PUT", answer, url, body)
        if isinstance(outcome, Failure) or outcome.status != 201:
            raise self._error(meaning(outcome, changes=False), "CREATE", path, "the DataNode")

    def download(self, path: str, **params: object) -> bytes:
        """Read a file's bytes, whole or not at all."""
        answer, url = self._call("GET", "OPEN", path, params, changes=False)
        outcome = self._follow("GET", answer, url, None)
        if isinstance(outcome, Failure) or not outcome.ok:
            raise self._error(meaning(outcome, changes=False), "OPEN", path, "the DataNode")
        return outcome.body

    def close(self) -> None:
        """Close every connection; those in use are closed when their request ends."""
        self._closed = True
        self._close_idle()

    def _call(self, method: str, op: str, path: str, params: dict[str, object], *, changes: bool) -> tuple[Answer, str]:
        """Return the answer and the URL of the NameNode that gave it."""
        problems = []
        first = self._active
        for step in range(len(self._urls)):
            index = (first + step) % len(self._urls)
            url = self._urls[index]
            outcome = self._send(method, url, op, path, params)
            if isinstance(outcome, Answer) and (outcome.ok or (_redirects(op) and outcome.status in _REDIRECTS)):
                self._active = index
                return outcome, url
            verdict = meaning(outcome, changes=changes, kerberos=self._kerberos)
            if verdict.reaction is not Reaction.NEXT:
                raise self._error(verdict, op, path, url)
            problems.append(f"{url}: {verdict.text}")
        raise Unavailable(f"{op} {path}: {'; '.join(problems)}")

    def _send(self, method: str, url: str, op: str, path: str, params: dict[str, object]) -> Answer | Failure:
        with self._borrowed() as (client, _):
            try:
                # The one request of the library without its retries, its path rewriting or its redirects.
                response = client._request(
                    method, f"{url}{_PREFIX}{quote(path)}", params={"op": op, **params}, allow_redirects=False
                )
            except requests.RequestException as error:
                return failure(error)
            return Answer(response.status_code, response.content, response.headers.get("Location"))

    def _follow(self, method: str, answer: Answer, url: str, body: Any) -> Answer | Failure:
        """Do the second step of CREATE and OPEN; a gateway may have answered an OPEN at once."""
        if answer.ok and method == "GET":
            return answer
        location = second_step(answer, url)
        with self._borrowed() as (client, plain):
            # A gateway sends us back to itself and wants to know who we are; a DataNode must not be told.
            session = client._session if _origin(location) == _origin(url) else plain
            try:
                response = session.request(
                    method,
                    location,
                    data=body,
                    headers={"Content-Type": "application/octet-stream"},
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                return failure(error)
            return Answer(response.status_code, response.content)

    def _error(self, verdict: Meaning, op: str, path: str, where: str) -> IngestError:
        return to_error(verdict.reaction, f"{op} {path} at {where}: {verdict.text}")

    @contextmanager
    def _borrowed(self) -> Iterator[tuple[Client, requests.Session]]:
        """Give this thread connections of its own; appending to and popping from a deque needs no lock."""
        try:
            pair = self._idle.pop()
        except IndexError:
            pair = (self._connect(), self._data_session())
        try:
            yield pair
        finally:
            self._idle.append(pair)
            if self._closed:
                self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                client, plain = self._idle.pop()
                client._session.close()
                plain.close()


def second_step(answer: Answer, url: str) -> str:
    """Return where a NameNode sends us for the data.

    Raises:
        Refused: nowhere, or to another scheme than the NameNode's own: data must not leave TLS. The text names the
            host alone, since the address may hold a token.
    """
    location = answer.location
    if answer.status not in _REDIRECTS or not location:
        raise Refused(f"{url} answered {answer.status} where a redirect to a DataNode was due; is it a NameNode?")
    target = urlsplit(location)
    if target.scheme != urlsplit(url).scheme or not target.hostname or target.username:
        raise Refused(
            f"{url} redirects to {target.scheme}://{target.hostname}: another scheme than its own is not followed"
        )
    return location


def _redirects(op: str) -> bool:
    return op in ("CREATE", "OPEN")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


@contextmanager
def _body(source: bytes | Path) -> Iterator[bytes | IO[bytes]]:
    """Give what `requests` sends with a Content-Length; a generator that breaks off would look like a whole file."""
    if isinstance(source, bytes):
        yield source
        return
    try:
        handle = source.open("rb")
    except OSError as error:
        raise Refused(f"can't read the local file {source}: {error.strerror}") from error
    with handle:
        # An empty file object would be sent chunked, which gateways refuse.
        yield handle if os.fstat(handle.fileno()).st_size else b""
