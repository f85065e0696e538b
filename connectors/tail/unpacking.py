"""At each scan: what becomes of the gzip files that no generation reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .admission import Newcomer
from .dormant import Dormant
from .gzipped import Gzip, Gzipped, Patience, Refuse, next_step
from .handles import Handles
from .names import Names
from .relatives import Relative, Relatives
from .survey import Surveyed, Version
from .tailed import TailedFile, shown
from .unpacked import Unpacked


@dataclass(frozen=True, slots=True)
class Hands:
    """What the roster does for it.

    Attributes:
        admit: decides whose content a newcomer is; None = not now, for the reason that it notes.
        attach: lets a dormant generation go on in a newcomer; None = not now.
        enter: makes a generation a live one.
        publish: has the state of a generation reach the checkpoint.
    """

    admit: Callable[[Newcomer, Sequence[Relative], dict[str, str]], TailedFile | None]
    attach: Callable[[TailedFile, Newcomer, str], TailedFile | None]
    enter: Callable[[TailedFile, Newcomer, float], None]
    publish: Callable[[TailedFile], None]


class Unpacking:
    """Has `files` surveyed, lets them wait, or hands them over to be read.

    Args:
        files: what the scans have seen.
        dormant: generations that are not live.
        relatives: of which generations a file may be a copy.
        handles: open files.
        patience: how long to wait before what.
        hands: what the roster does.
    """

    def __init__(
        self,
        files: Gzipped,
        dormant: Dormant,
        relatives: Relatives,
        handles: Handles,
        patience: Patience,
        hands: Hands,
    ) -> None:
        self._files = files
        self._dormant = dormant
        self._relatives = relatives
        self._handles = handles
        self._patience = patience
        self._hands = hands

    def decide(self, now: float, notes: dict[str, str], waits: dict[str, str]) -> None:
        """Go through the files; say in `notes` what a person should know, in `waits` what comes by itself."""
        names: Names | None = None
        for one in self._files:
            path = shown(one.path)
            if one.trouble:
                notes[path] = f"not read: {one.trouble}"
            match next_step(one, now, self._patience):
                case "wait":
                    why = "it was written to a moment ago" if one.seen is None else "it is not whole yet"
                    waits[path] = f"waits: {why}"
                case "survey" if not self._recall(one):
                    self._files.survey(one)
                    waits[path] = "waits: it is looked through"
                case Refuse(reason):
                    notes[path] = f"not read: {reason}"
                case Surveyed() as seen:
                    names = names or self._relatives.names()
                    try:
                        self._admit(one, seen, names, waits)
                    except OSError:
                        waits[path] = "waits: what it may have been made of is out of reach"

    def _recall(self, one: Gzip) -> bool:
        """Go on with a file that an earlier process surveyed, if nobody has written to it since; return whether so."""
        before = [known for known in self._dormant.at(one.key) if known.version is not None and known.proof is None]
        if not before or one.survey is not None:
            return False
        try:
            version = Version.of(self._handles.open(one.key, one.path))
        except OSError:
            return False  # the survey meets the same, and says so
        self._handles.close(one.key)
        for known in before:
            if known.version == version:
                return self._resume(known, one, version)
        return False

    def _resume(self, known: TailedFile, one: Gzip, version: Version) -> bool:
        seen = Surveyed.recalled(known.length, known.tail)
        newcomer = Newcomer(one.path, one.key, seen.length, version.modified, seen, one.early, True)
        file = self._hands.attach(known, newcomer, "resumed: not written to since it was looked through")
        if file is not None:
            self._enter(file, newcomer, one, seen)
        return file is not None

    def _admit(self, one: Gzip, seen: Surveyed, names: Names, waits: dict[str, str]) -> None:
        if not seen.covers(self._relatives.needed(one.path, one.key, seen.head, names)):
            self._files.survey(one)  # what is known has changed since
            return
        version = Version.of(self._handles.open(one.key, one.path))
        unchanged = (version.size, version.modified) == (one.found.st_size, one.found.st_mtime_ns)
        newcomer = Newcomer(one.path, one.key, seen.length, one.found.st_mtime_ns, seen, one.early, True)
        file = self._hands.admit(newcomer, self._relatives.of_gzip(one.path, seen.head, names), waits)
        if file is None:
            return
        file.version, file.length = version if unchanged and seen.ending.whole else None, seen.length
        self._enter(file, newcomer, one, seen)
        names.add(file)
        if file.known and not file.due:  # no block will bring the news that it is in this file now
            self._hands.publish(file)

    def _enter(self, file: TailedFile, newcomer: Newcomer, one: Gzip, seen: Surveyed) -> None:
        self._files.drop(one.key)
        self._hands.enter(file, newcomer, one.changed_at)
        # Its ends have served their purpose; they would be held as long as the file is there.
        file.packed = Unpacked(replace(seen, head=b"", last=b""), one.found, file.framing.span + file.framing.width)
        file.rotated, file.due = True, file.position < file.size
