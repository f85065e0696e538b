"""What a request must be like, and the bytes in it. Pure."""

from __future__ import annotations

import hmac
import zlib
from typing import Final

from ingest.api import Secret

_GZIP: Final = 31
_SCHEME: Final = "bearer "


class NotTaken(Exception):
    """The request is answered with `status` and not taken; `headers` go with the answer."""

    def __init__(self, status: int, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers or {}


def check_token(header: str | None, token: Secret | None) -> None:
    """Raise NotTaken unless the header `Authorization` has the token; it takes as long for any wrong one."""
    if token is None:
        return
    given = header[len(_SCHEME) :].strip() if header and header.lower().startswith(_SCHEME) else ""
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.reveal().encode()):
        raise NotTaken(401, "a bearer token is needed, and it is not this one", {"WWW-Authenticate": "Bearer"})


def check_length(header: str | None, most: int) -> None:
    """Raise NotTaken where the header `Content-Length` says that the body is too large."""
    if header is not None and header.isascii() and header.isdigit() and int(header) > most:
        raise too_large(most)


def too_large(most: int) -> NotTaken:
    """Return the answer to a body of more than `most` bytes."""
    return NotTaken(413, f"a body has at most {most} bytes, unpacked; send less at once")


class Unpacking:
    """The bytes of a body that comes in pieces, unpacked, at most `most` of them.

    Raises:
        NotTaken: it is packed in another way, wrongly, or too large.
    """

    def __init__(self, encoding: str, most: int) -> None:
        if encoding not in ("", "identity", "gzip"):
            raise NotTaken(415, "a body may be packed with gzip, or not at all", {"Accept-Encoding": "gzip"})
        self._most = most
        self._gzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._fresh = True
        self._size = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> int:
        """Take the next piece; return by how much the body grew."""
        before = self._size
        while data:
            data = self._take(data)
        return self._size - before

    def finish(self) -> bytes:
        """Return the whole body, its last line ended by a newline."""
        if self._gzip is not None and not self._gzip.eof and not self._fresh:
            raise NotTaken(400, "the gzip stream is cut off")
        body = b"".join(self._parts)
        return body + b"\n" if body and not body.endswith(b"\n") else body

    def _take(self, data: bytes) -> bytes:
        if self._gzip is None:
            self._keep(data)
            return b""
        if self._gzip.eof:  # gzip streams may follow one another
            self._gzip = zlib.decompressobj(_GZIP)
        self._fresh = False
        try:
            self._keep(self._gzip.decompress(data, self._most - self._size + 1))
        except zlib.error as error:
            raise NotTaken(400, "the body is no gzip stream") from error
        return self._gzip.unused_data or self._gzip.unconsumed_tail

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most:
            raise too_large(self._most)
        self._parts.append(data)
