"""A filesystem in memory that fails, loses answers and answers late, where a test wants it to."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ingest.api import (
    Entry,
    FileExists,
    FileMissing,
    Filesystem,
    FilesystemOptions,
    OutcomeUnknown,
    Refused,
    Unavailable,
)

Verb = Literal["create", "mkdir", "move", "list", "read", "delete"]
Entries: TypeAlias = list[Entry]
_CHANGES = frozenset(("create", "mkdir", "move", "delete"))


class Fault(enum.Enum):
    """What may go wrong with one call. LOSE and LATE of `list` and `read` act as FAIL: those change nothing."""

    FAIL = "fail"
    """Unavailable is raised, nothing was changed."""
    REFUSE = "refuse"
    """Refused is raised, nothing was changed."""
    LOSE = "lose"
    """It happens, but OutcomeUnknown is raised."""
    LATE = "late"
    """OutcomeUnknown is raised, and it happens when the test calls `land`, or never."""


@dataclass(frozen=True, slots=True)
class Call:
    """One verb that was called; `target` only of a move."""

    verb: Verb
    path: str
    target: str = ""


class MemoryFilesystem(Filesystem[FilesystemOptions]):
    """Implements every promise of `Filesystem`, each verb atomic.

    Fault points: `fail_at(k, fault)` for the k-th call from now, or `faults`, a function that is asked before every
    call. What survives "kill -9" is the object itself.

    Attributes:
        files: path → content; tests may look and plant.
        directories: every directory but the root.
        calls: every call so far, the failed ones too.
        late: changes whose answer was lost before they happened, oldest first.
        faults: asked before each call; None = no fault.
    """

    Options = FilesystemOptions

    def __init__(
        self,
        options: FilesystemOptions | None = None,
        *,
        now: Callable[[], float] = lambda: 0.0,
        consume: bool = False,
    ) -> None:
        """Make an empty root.

        Args:
            options: as every filesystem's; left out in most tests.
            now: gives `Entry.modified`.
            consume: delete the local file that `create` was given, as a connector may.
        """
        super().__init__(options or FilesystemOptions(type="memory", root="/"))
        self.files: dict[str, bytes] = {}
        self.directories: set[str] = set()
        self.calls: list[Call] = []
        self.late: list[Callable[[], object]] = []
        self.faults: Callable[[Call], Fault | None] = lambda call: None
        self._now = now
        self._consume = consume
        self._modified: dict[str, float] = {}
        self._planned: list[tuple[int, Verb | None, Fault]] = []
        self._lock = threading.RLock()

    # ── faults ──

    def fail_at(self, k: int, fault: Fault, verb: Verb | None = None) -> None:
        """Let the k-th call from now (1 = the next) go wrong, counting only calls of `verb` where one is given."""
        self._planned.append((k, verb, fault))

    def calm(self) -> None:
        """Forget the faults that have not struck yet; late changes stay late."""
        self._planned.clear()
        self.faults = lambda call: None

    def land(self, index: int = 0) -> None:
        """Let a late change happen now; that it no longer can (its source is gone, its target is there) is no error."""
        change = self.late.pop(index)
        try:
            change()
        except (FileExists, FileMissing, Refused):
            return

    def _fault(self, call: Call) -> Fault | None:
        self.calls.append(call)
        left: list[tuple[int, Verb | None, Fault]] = []
        struck: Fault | None = None
        for k, verb, fault in self._planned:
            counts = verb is None or verb == call.verb
            if counts and k == 1 and struck is None:
                struck = fault
            else:
                left.append((k - 1 if counts and k > 1 else k, verb, fault))
        self._planned = left
        return struck or self.faults(call)

    def _call(self, call: Call, action: Callable[[], object]) -> object:
        with self._lock:
            fault = self._fault(call)
            if fault is None:
                return action()
            if fault is Fault.REFUSE:
                raise Refused(f"{call.verb} {call.path}: refused on purpose")
            if fault is Fault.FAIL or call.verb not in _CHANGES:
                raise Unavailable(f"{call.verb} {call.path}: failed on purpose")
            if fault is Fault.LATE:
                self.late.append(action)
            else:
                with contextlib.suppress(FileExists, FileMissing):  # that answer is lost as well
                    action()
            raise OutcomeUnknown(f"{call.verb} {call.path}: the answer was lost on purpose")

    # ── verbs ──

    def create(self, path: str, source: bytes | Path) -> None:
        """See `Filesystem.create`."""
        _check(path)

        def change() -> None:
            if path in self.files:
                raise FileExists(f"{path} exists")
            if path in self.directories:
                raise Refused(f"{path} is a directory")
            self._make(_parent(path))
            self._store(path, content)
            if self._consume and isinstance(source, Path):
                source.unlink(missing_ok=True)

        content = b""
        if path not in self.files:
            content = source.read_bytes() if isinstance(source, Path) else bytes(source)
        self._call(Call("create", path), change)

    def mkdir(self, path: str) -> None:
        """See `Filesystem.mkdir`."""
        _check(path)
        self._call(Call("mkdir", path), lambda: self._make(path))

    def move(self, source: str, target: str) -> None:
        """See `Filesystem.move`."""
        _check(source)
        _check(target)

        def change() -> None:
            if source not in self.files:
                raise FileMissing(f"{source} does not exist")
            if target in self.files:
                raise FileExists(f"{target} exists")
            if target in self.directories:
                raise Refused(f"{target} is a directory")
            if _parent(target) and _parent(target) not in self.directories:
                raise Refused(f"{target}: its directory does not exist")
            modified = self._modified.pop(source, 0.0)
            self.files[target] = self.files.pop(source)
            self._modified[target] = modified

        self._call(Call("move", source, target), change)

    def list(self, path: str) -> Entries:
        """See `Filesystem.list`."""
        found: Entries = []
        self._call(Call("list", path), lambda: found.extend(self._entries(path)))
        return found

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """See `Filesystem.read`."""
        _check(path)
        found: dict[str, bytes] = {}

        def look() -> None:
            if path in self.directories:
                raise Refused(f"{path} is a directory")
            if path not in self.files:
                raise FileMissing(f"{path} does not exist")
            found[path] = self.files[path]

        self._call(Call("read", path), look)
        content = found[path]
        return content[start:] if length is None else content[start : start + length]

    def delete(self, path: str) -> bool:
        """See `Filesystem.delete`."""
        _check(path)
        existed = False

        def change() -> None:
            nonlocal existed
            if path in self.directories:
                if self._entries(path):
                    raise Refused(f"{path} is a directory that is not empty")
                self.directories.discard(path)
                existed = True
            else:
                existed = self.files.pop(path, None) is not None
                self._modified.pop(path, None)

        self._call(Call("delete", path), change)
        return existed

    # ── how ──

    def _store(self, path: str, content: bytes) -> None:
        self.files[path] = content
        self._modified[path] = self._now()

    def _make(self, path: str) -> None:
        while path:
            if path in self.files:
                raise Refused(f"{path} is a file")
            self.directories.add(path)
            path = _parent(path)

    def _entries(self, path: str) -> Entries:
        if path in self.files:
            return [Entry(path.rpartition("/")[2], len(self.files[path]), False, self._modified.get(path, 0.0))]
        prefix = f"{path}/" if path else ""
        entries = [
            Entry(name, len(content), False, self._modified.get(prefix + name, 0.0))
            for full, content in self.files.items()
            if full.startswith(prefix) and "/" not in (name := full[len(prefix) :])
        ]
        entries += [
            Entry(name, 0, True, 0.0)
            for full in self.directories
            if full.startswith(prefix) and "/" not in (name := full[len(prefix) :])
        ]
        return entries


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _check(path: str) -> None:
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise Refused(f'"{path}" is not a path below the root')
