"""The durable next position of every generation, in a file and its previous copy.

    checkpoint.json            {"format", "version", "crc32c", "bytes"} of the second line, newline, the second line
    checkpoint.previous.json   the file before that, whole
    checkpoint.json.damaged    what was found damaged, for a person to look at

A crash at any step of a save leaves one of the two whole, and `load` finds it. A file that is damaged is never taken
for an empty one: reading everything again, or skipping to the end, is a person's decision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import crc32c
import msgspec

from ingest.errors import Refused, StateDamaged, UsageError
from ingest.ship.ports import Log

FORMAT: Final = "ingest-ship-checkpoint"
VERSION: Final = 1
NAME: Final = "checkpoint.json"
PREVIOUS: Final = "checkpoint.previous.json"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One generation.

    Attributes:
        generation: its id, 16 hex digits.
        source: the name of the source that reads it.
        topic: where it goes; together with `source` it says whose state this is.
        path: `Stream.path`.
        partition: for life.
        topic_id: of the topic when the partition was chosen; "" = unknown.
        begin: its first position.
        position: first byte that is not in Kafka.
        sent: end of the last record that is, <= position.
        boundaries: positions > `position` at which a record ends that the bytes alone don't decide; ascending.
        state: the source's, as of `position`; {} = nothing is in Kafka yet.
        birth: the source's, as of the end of the first block.
    """

    generation: str
    source: str
    topic: str
    path: str
    partition: int
    begin: int
    position: int
    sent: int
    boundaries: tuple[int, ...] = ()
    state: dict[str, Any] = {}
    birth: dict[str, Any] = {}
    topic_id: str = ""

    @property
    def id(self) -> int:
        """Return the generation's id as a number."""
        return int(self.generation, 16)

    def renewed(self, generation: int, partition: int, topic_id: str) -> Entry:
        """Return a new generation that goes on where this one stands; repeats of this one can't be told any more."""
        return msgspec.structs.replace(
            self,
            generation=f"{generation:016x}",
            partition=partition,
            topic_id=topic_id,
            begin=self.position,
            sent=self.position,
            boundaries=(),
        )


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint file holds."""

    machine: str
    entries: list[Entry]


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    crc32c: str
    bytes: int


class Damaged(Exception):
    """A checkpoint file is not what was written."""


def encode(content: Content) -> bytes:
    """Return the file's bytes."""
    body = msgspec.json.encode(content)
    header = _Header(FORMAT, VERSION, f"{crc32c.crc32c(body):08x}", len(body))
    return msgspec.json.encode(header) + b"\n" + body + b"\n"


def decode(data: bytes) -> Content:
    """Return what the file holds.

    Raises:
        Damaged: not what `encode` wrote; the text says what is wrong.
        StateDamaged: whole, but a newer version wrote it.
    """
    first, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except msgspec.MsgspecError as error:
        raise Damaged(f"no header: {error}") from error
    if header.format != FORMAT:
        raise Damaged(f'format "{header.format}" instead of "{FORMAT}"')
    if header.version > VERSION:
        raise StateDamaged(
            f"written by a newer version (format version {header.version}, this one knows {VERSION}); upgrade again"
        )
    body = rest[: header.bytes]
    if len(body) != header.bytes or rest != body + b"\n":
        raise Damaged(f"{len(rest)} bytes after the header instead of {header.bytes + 1}")
    if f"{crc32c.crc32c(body):08x}" != header.crc32c:
        raise Damaged("its checksum is wrong")
    try:
        return msgspec.json.decode(body, type=Content)
    except msgspec.MsgspecError as error:
        raise Damaged(f"its content can't be understood: {error}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """What `choose` made of the two files.

    Attributes:
        content: what to go on with; None = there never was a checkpoint.
        warnings: what a person should know.
        damaged: the newer file is to be put aside.
    """

    content: Content | None
    warnings: tuple[str, ...] = ()
    damaged: bool = False


def choose(newer: bytes | None, previous: bytes | None) -> Found:
    """Decide which file to trust; None = it does not exist.

    Raises:
        StateDamaged: neither can be trusted, or a newer version wrote them.
    """
    if newer is None and previous is None:
        return Found(None)
    problems = []
    for name, data in ((NAME, newer), (PREVIOUS, previous)):
        if data is None:
            if name == NAME:
                problems.append(f"{name} is missing")
            continue
        try:
            content = decode(data)
        except Damaged as problem:
            problems.append(f"{name} is damaged: {problem}")
            continue
        except StateDamaged as error:
            raise StateDamaged(f"{name}: {error}") from error
        if problems:
            problems.append(f"going on from {name}: lines since then are sent again, and dropped by the sink")
        return Found(content, tuple(problems), damaged=bool(problems) and newer is not None)
    raise StateDamaged(
        f"{'; '.join(problems)}; there is nothing else to go on from. Restore the state directory from a backup, "
        "or move it away to read all files anew"
    )


def machine_id(path: Path = Path("/etc/machine-id")) -> str:
    """Return this machine's id; empty where it has none."""
    try:
        return path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


class Checkpoint:
    """The file in `directory`. `machine` is this machine's id, empty = not known: then it is not compared."""

    def __init__(self, directory: Path, machine: str, log: Log) -> None:
        self.directory = directory
        self._machine = machine
        self._log = log

    def load(self, adopt: Callable[[], int] | None = None) -> dict[int, Entry]:
        """Return the generations by id.

        Args:
            adopt: where given, another machine's checkpoint is taken over: each generation goes on at its position as
                a new one, whose id this function returns, since the other machine may still be sending the old one.

        Raises:
            StateDamaged: neither copy can be trusted.
            UsageError: the checkpoint is another machine's.
            Refused: the files may not be read.
        """
        found = choose(self._read(NAME), self._read(PREVIOUS))
        for warning in found.warnings:
            self._log.error("checkpoint damaged", directory=str(self.directory), why=warning)
        if found.damaged:
            os.replace(self.directory / NAME, self.directory / f"{NAME}.damaged")
        if found.content is None:
            return {}
        entries = found.content.entries
        if found.content.machine and self._machine and found.content.machine != self._machine:
            if adopt is None:
                raise UsageError(
                    f"the checkpoint in {self.directory} belongs to another machine ({found.content.machine}, this is "
                    f"{self._machine}): a copied state directory would send the same generation twice. If the files "
                    "moved here for good, start once with --adopt"
                )
            entries = [entry.renewed(adopt(), entry.partition, entry.topic_id) for entry in entries]
            self._log.warning("checkpoint adopted", machine=found.content.machine, generations=len(entries))
        return {entry.id: entry for entry in entries}

    def save(self, entries: Iterable[Entry], both: bool = False) -> None:
        """Make the entries durable: on return they are in the file, with `both` in the previous copy too.

        Raises:
            OSError: the disk says no; what was durable still is, and the next save may succeed.
        """
        data = encode(Content(self._machine, list(entries)))
        for _ in range(2 if both else 1):
            self._write(data)

    def _write(self, data: bytes) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        newer, temporary = self.directory / NAME, self.directory / f"{NAME}.tmp"
        with open(temporary, "wb") as file:  # a crash here leaves both copies as they were
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if newer.exists():  # a crash between these leaves the same file under both names
            spare = self.directory / f"{PREVIOUS}.tmp"
            spare.unlink(missing_ok=True)
            os.link(newer, spare)
            os.replace(spare, self.directory / PREVIOUS)
            spare.unlink(missing_ok=True)  # rename leaves both names where they are the same file already
        os.replace(temporary, newer)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"the checkpoint {self.directory / name} can't be read: {error.strerror}") from error
