"""What listens: a socket for datagrams, or one for connections with all that came in by it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import Final

from ingest.api import Framing, Unavailable
from ingest.connectors.queue.piece import Piece

from .address import Address, bind
from .framing import Messages, pieces_of_datagrams

_QUANTUM: Final = 64 << 10  # bytes of one socket in one turn
_LARGEST: Final = 1 << 20  # bytes of a datagram
_DROPS: Final = struct.Struct("@I")
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Datagrams:
    """A socket for datagrams.

    Raises:
        Refused: the address can't be had.
    """

    def __init__(self, address: Address, receive_buffer: int, framing: Framing) -> None:
        self.address = address
        self.stream = address.text
        self.socket = bind(address, receive_buffer)
        self.served = 0
        self.dropped = 0
        """Datagrams that the kernel dropped since this was last set to 0."""
        self._framing = framing
        self._buffer = bytearray(_LARGEST)
        self._drops = 0

    def read(self) -> tuple[Piece | None, int]:
        """Return what came, at most a quantum, and how many bytes that is.

        Raises:
            Unavailable: the system says no.
        """
        values, size, view = [], 0, memoryview(self._buffer)
        while size < _QUANTUM:
            try:
                length, notes, _, _ = self.socket.recvmsg_into([self._buffer], socket.CMSG_SPACE(_DROPS.size))
            except BlockingIOError:
                break
            except OSError as error:
                raise Unavailable(f"{self.stream}: can't be read: {error.strerror or error}") from error
            values.append(bytes(view[:length]))
            size += length + 1
            for _, _, note in notes:
                self._count(_DROPS.unpack(note)[0])
        return (pieces_of_datagrams(values, self._framing) if values else None), size

    def close(self) -> None:
        """Listen no more."""
        close(self.socket, self.address)

    def _count(self, drops: int) -> None:
        """Take note of the kernel's counter, which starts at 0 with the socket and wraps at 32 bits."""
        self.dropped += (drops - self._drops) & 0xFFFF_FFFF
        self._drops = drops


class Door:
    """A socket for connections.

    Raises:
        Refused: the address can't be had.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.stream = address.text
        self.socket = bind(address, 0)
        self.served = 0

    def accept(self) -> socket.socket | None:
        """Return the next connection; None = there is none.

        Raises:
            OSError: no more can be had for now.
        """
        try:
            made, _ = self.socket.accept()
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                raise
            return None  # none is there, or it is gone already
        made.setblocking(False)
        if self.address.kind == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made

    def close(self) -> None:
        """Listen no more."""
        close(self.socket, self.address)


class Connection:
    """One sender."""

    def __init__(self, made: socket.socket, stream: str, framing: Framing, now: float) -> None:
        self.socket = made
        self.stream = stream
        self.served = 0
        self.heard_at = now
        self.ended = False
        self._messages = Messages(framing)

    def read(self) -> tuple[Piece | None, int]:
        """Return the messages that what came completes, and how many bytes came; `ended` says whether more will."""
        try:
            data = self.socket.recv(_QUANTUM)
        except BlockingIOError:
            return None, 0
        except OSError:  # reset, timed out: what came before was read
            data = b""
        self.ended = not data
        return self._messages.feed(data, closing=self.ended), len(data)

    def finish(self) -> Piece | None:
        """Return what is left of a message whose end will not come."""
        return self._messages.feed(b"", closing=True)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def close(listener: socket.socket, address: Address) -> None:
    """Close a socket that listens; its path goes with it."""
    if address.path:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address.path)
    listener.close()
