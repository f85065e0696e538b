"""The durable next position of every generation: all now and then, in two copies, and what changed since.

    checkpoint.json, checkpoint.previous.json    whole, the same or one before the other, see `checkpoint_file`
    checkpoint.changes                           every save since, see `changes`
    checkpoint.changes.copy                      those of them that must not be forgotten
    *.damaged                                    what was found damaged, for a person to look at

So a save costs what changed, not what there is. A crash at any step of a save leaves files that `load` finds whole, and
no single damaged file takes a generation or a boundary away. A file that is damaged is never taken for an empty one:
reading everything again, or skipping to the end, is a person's decision.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ingest.errors import Refused, UsageError
from ingest.ship.changes import Change, encode_change, encode_head
from ingest.ship.checkpoint_file import Content, encode
from ingest.ship.entry import Entry
from ingest.ship.ports import Log
from ingest.ship.recovery import CHANGES, COPY, FILES, NAME, PREVIOUS, choose

_LEAST_ROOM: Final = 1 << 20  # bytes of changes that are always worth less than writing everything anew


def machine_id(path: Path = Path("/etc/machine-id")) -> str:
    """Return this machine's id; empty where it has none."""
    try:
        return path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


class Checkpoint:
    """The files in `directory`. `machine` is this machine's id, empty = not known: then it is not compared."""

    def __init__(self, directory: Path, machine: str, log: Log) -> None:
        self.directory = directory
        self._machine = machine
        self._log = log
        self._serial = 0
        self._number = 0
        """Saves since the whole checkpoint was written."""
        self._room = 0
        """Bytes of changes until a whole checkpoint is written again; 0 = the next save writes one."""

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
        found = choose(*map(self._read, FILES))
        for warning in found.warnings:
            self._log.error("checkpoint damaged", directory=str(self.directory), why=warning)
        for name in found.damaged:
            self._put_aside(name)
        self._room = 0
        if found.content is None:
            return {}
        self._serial = found.content.serial
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

    def save(
        self, entries: Iterable[Entry], changed: Iterable[Entry], forgotten: Iterable[int], both: bool = False
    ) -> None:
        """Make the entries durable: on return what changed is in one file, with `both` in two that share no fault.

        Its cost grows with what changed; now and then, and after every failure, all is written anew.

        Args:
            entries: all of them.
            changed: those that differ from the last save that succeeded.
            forgotten: generations that were there then and are not among `entries`.
            both: what changed must not be forgotten, whichever file is damaged.

        Raises:
            OSError: the disk says no; what was durable still is, and the next save may succeed.
        """
        gone = [f"{generation:016x}" for generation in forgotten]
        line = encode_change(Change(self._number + 1, list(changed), gone))
        if len(line) > self._room:
            self._write_whole(entries)
            return
        room, self._room = self._room, 0  # nothing may follow a line that was not written to its end
        for name in (CHANGES, COPY) if both else (CHANGES,):
            with open(self.directory / name, "ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        self._room = room - len(line)
        self._number += 1

    def _put_aside(self, name: str) -> None:
        """Keep a damaged file for a person; changes stay what they are, too, until a whole checkpoint has them."""
        damaged = self.directory / f"{name}.damaged"
        damaged.unlink(missing_ok=True)
        os.link(self.directory / name, damaged)
        if name == NAME:
            (self.directory / name).unlink()

    def _write_whole(self, entries: Iterable[Entry]) -> None:
        """Write everything, twice, then begin with no changes: at each step two files can be trusted that fit."""
        self._room = 0
        data = encode(Content(self._machine, list(entries), self._serial + 1))
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(2):
            self._write(data)
        self._serial += 1
        head = encode_head(self._serial)
        for name in (CHANGES, COPY):
            self._put(name, head)
        self._sync()
        self._number, self._room = 0, max(_LEAST_ROOM, len(data))

    def _write(self, data: bytes) -> None:
        newer = self.directory / NAME
        temporary = self._temporary(NAME, data)  # a crash here leaves both copies as they were
        if newer.exists():  # a crash between these leaves the same file under both names
            spare = self.directory / f"{PREVIOUS}.tmp"
            spare.unlink(missing_ok=True)
            os.link(newer, spare)
            os.replace(spare, self.directory / PREVIOUS)
            spare.unlink(missing_ok=True)  # rename leaves both names where they are the same file already
        os.replace(temporary, newer)
        self._sync()

    def _put(self, name: str, data: bytes) -> None:
        os.replace(self._temporary(name, data), self.directory / name)

    def _temporary(self, name: str, data: bytes) -> Path:
        temporary = self.directory / f"{name}.tmp"
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def _sync(self) -> None:
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
