"""Where to listen: addresses as they are written, and sockets bound to them."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ingest.api import Refused

Kind: TypeAlias = Literal["udp", "tcp", "unix", "unix-stream"]

_FORM: Final = re.compile(
    r"(udp|tcp)://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:/]+)):([0-9]{1,5})|(unix|unix-stream)://(/.+)"
)
_BACKLOG: Final = 512
_SO_RCVBUFFORCE: Final = 33
_SO_RXQ_OVFL: Final = 40
_PATH: Final = 107  # bytes of a unix socket's path
_EVERYBODY: Final = 0o666


@dataclass(frozen=True, slots=True)
class Address:
    """One address; `host` and `port` of udp and tcp, `path` of the others; `text` as it was written."""

    text: str
    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def datagrams(self) -> bool:
        """Whether messages come as datagrams; else in connections."""
        return self.kind in ("udp", "unix")


def parse(text: str) -> Address:
    """Return an address.

    Raises:
        ValueError: what would be right.
    """
    match = _FORM.fullmatch(text)
    if match is None or int(match[4] or 0) > 65535 or len(os.fsencode(match[6] or "")) > _PATH:
        raise ValueError(
            f'"{text}" is no address to listen on: expected "udp://0.0.0.0:514", "tcp://[::]:601", '
            '"unix:///run/ingest/log" or "unix-stream:///run/ingest/stream"'
        )
    if match[6]:
        return Address(text, "unix" if match[5] == "unix" else "unix-stream", path=match[6])
    return Address(text, "udp" if match[1] == "udp" else "tcp", host=match[2] or match[3], port=int(match[4]))


def bind(address: Address, receive_buffer: int) -> socket.socket:
    """Return a socket that is bound, listens if it is for connections, and never waits.

    Args:
        address: where.
        receive_buffer: bytes that the kernel is asked to keep of datagrams that nobody read yet.

    Raises:
        Refused: it is taken, or may not be had; says which, and what to do.
    """
    kind = socket.SOCK_DGRAM if address.datagrams else socket.SOCK_STREAM
    try:
        if address.path:
            _remove_stale(address.path, kind)
            listener = socket.socket(socket.AF_UNIX, kind)
            where: object = address.path
        else:
            found = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
            family, _, _, _, where = found[0]
            listener = socket.socket(family, kind)
    except OSError as error:
        raise _refused(address, error) from error
    try:
        _prepare(listener, address, receive_buffer)
        listener.bind(where)  # type: ignore[arg-type]
        if address.path:
            os.chmod(address.path, _EVERYBODY)
        if not address.datagrams:
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(address, error) from error
    return listener


def _prepare(listener: socket.socket, address: Address, receive_buffer: int) -> None:
    listener.setblocking(False)
    if address.kind == "tcp":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address.datagrams:
        try:
            listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except PermissionError:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)  # as much as the system allows
        listener.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)


def _remove_stale(path: str, kind: int) -> None:
    """Remove a socket on which nobody listens any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "something that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # somebody listens, and is busy
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _refused(address: Address, error: OSError) -> Refused:
    advice = {
        errno.EADDRINUSE: "another program listens there: stop it, or choose another address",
        errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE, a path needs a directory that may be written to",
        errno.EADDRNOTAVAIL: "it is no address of this machine",
        errno.ENOENT: "make its directory first",
    }.get(error.errno or 0, "choose another address")
    return Refused(f"{address.text}: can't listen there: {error.strerror or error}; {advice}")
