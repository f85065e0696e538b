"""Which generation each file is: the live ones by device and inode, the dormant ones, and the files that wait."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ingest.api import Framing, SourceContext, StreamState
from ingest.connectors.marks.mark import HEAD, TAIL, Content, Mark

from .absent import Sightings, seek, stats
from .admission import Begin, Newcomer, Resume, Skip, Wait, admit
from .deleted import held
from .dormant import Dormant
from .gzipped import Gzipped, Patience
from .handles import Handles, Key
from .identity import decide, examine
from .paths import Listing
from .plain import Plain
from .relatives import Relative, Relatives
from .rotation import family, is_compressed, originals
from .tailed import TailedFile, restore, shown
from .unpacking import Hands, Unpacking

_ALIGN = 1 << 20
_QUIET = 1.0  # seconds that a gzip file must have been left alone before it is worth a look


class Roster:
    """Every generation that the source knows.

    Args:
        context: the house.
        framing: how lines of new generations are made.
        from_end: files never seen before begin at their end, if they were there before the source was.
        handles: open files.
        damaged_after: seconds for which a gzip file that is not whole must have stayed so to count as damaged.
    """

    def __init__(
        self, context: SourceContext, framing: Framing, from_end: bool, handles: Handles, damaged_after: float
    ) -> None:
        self.live: dict[Key, TailedFile] = {}
        self.dormant = Dormant()
        self.notes: dict[str, str] = {}
        self.news: list[TailedFile] = []
        """Generations whose state must reach the checkpoint although nothing was read; the caller empties it."""
        self._relatives = Relatives(self.live, self.dormant, handles)
        self.gzipped = Gzipped(handles, self._relatives.wanted)
        """Gzip files that no generation reads; the caller gives them turns."""
        patience = Patience(0.0, 0.0, once=True) if context.once else Patience(_QUIET, damaged_after)
        hands = Hands(self._admit, self._attach, self._enter, self._publish)
        self._unpacking = Unpacking(self.gzipped, self.dormant, self._relatives, handles, patience, hands)
        self._context = context
        self._framing = framing
        self._from_end = from_end
        self._handles = handles
        self._generations: dict[int, TailedFile] = {}
        self._followed: set[str] = set()
        self._families: set[str] = set()
        self._serial = 0
        self._first = True
        self._complete = False
        """The first scan and all that came of it are over: what was not found by then is gone."""

    def resume(self, states: Sequence[StreamState]) -> None:
        """Take up what the checkpoint remembers; see `Source.resume`."""
        for state in states:
            file = restore(state)
            self._serial = max(self._serial, file.serial)
            self._generations[file.generation] = file
            self._followed.add(file.name)
            self._families.add(family(file.name))
            self.dormant.add(file)

    def acknowledged(self, generation: int, position: int) -> TailedFile | None:
        """Take note; return the generation if its file is live."""
        file = self._generations.get(generation)
        if file is None:
            return None
        file.acked = position
        return file if self.live.get(file.key) is file else None

    def reconcile(self, listing: Listing) -> None:
        """Bring the roster up to date with a scan."""
        now = self._context.clock.monotonic()
        notes = {shown(path): f"not read: {why}" for path, why in (*listing.skipped.items(), *listing.failed.items())}
        waits: dict[str, str] = {}
        newcomers: Sightings = {}
        seen: set[Key] = set()
        packed: set[Key] = set()
        for path, found in listing.files.items():
            key = (found.st_dev, found.st_ino)
            if key in seen:  # another name of the same file
                continue
            seen.add(key)
            if self._meet(path, key, found, listing, now):
                continue
            if not is_compressed(path):
                newcomers[key] = (path, found)
                continue
            packed.add(key)
            if self._first or not self._context.once:
                self.gzipped.see(path, key, found, now, self._age(found), self._first)
        strays = stats(listing.strays)
        for file in [file for key, file in self.live.items() if key not in seen]:
            self._miss(file, listing, strays, now)
        self.gzipped.keep(packed)
        fresh = {key: found for key, found in strays.items() if key not in seen and key not in self.live}
        newcomers = fresh | newcomers  # what was renamed away is older than what has its name now
        if newcomers and (self._first or not self._context.once):
            self._welcome(newcomers, listing, notes, now)
        if self._first:
            self._seek_absent(listing, now)
        self._unpacking.decide(now, notes, waits)
        self._note_damage(notes)
        self._first = False
        if not self._complete and not self.gzipped.undecided:
            self._complete = True
            self._give_up_absent(listing)
        self._say(notes, waits)

    def end(self, file: TailedFile, reason: str) -> None:
        """End a generation whose bytes are no longer in the file: the next scan decides what the file is now."""
        self._tell("file was truncated or replaced", file, why=reason)
        del self.live[file.key]
        self._rest(file, reason)

    def reframe(self, file: TailedFile) -> TailedFile:
        """Begin a new generation where the file stands, with the options' framing; all before is acknowledged."""
        new = self._generation(file.path, file.key, file.position, "goes on with changed options")
        new.head, new.tail, new.sent = file.head, file.tail, file.position
        new.rotated, new.compressed = file.rotated, file.compressed
        new.version, new.length, new.packed = file.version, file.length, file.packed
        self._publish(new)
        new.size, new.modified, new.grown_at = file.size, file.modified, file.grown_at
        new.listed, new.due = file.listed, True
        self.live[new.key] = new
        self._rest(file, new.decision)
        return new

    def loosen(self, file: TailedFile) -> None:
        """A gzip file has changed: it is surveyed again, and then it is decided whether its generation goes on."""
        del self.live[file.key]
        file.packed, file.due = None, False
        if file.known:
            self.dormant.add(file)
        else:
            del self._generations[file.generation]

    def retire(self, file: TailedFile, why: str) -> None:
        """The file is gone and nothing of it is left to read: keep what is known of it, should it come back."""
        del self.live[file.key]
        self._handles.close(file.key)
        self._rest(file, why)

    def abandon(self, file: TailedFile) -> None:
        """Give up a deleted file that is not read to its end: its disk is needed."""
        why = "deleted files hold too much of the disk"
        self._tell("deleted file is given up before it was read to its end", file, why=why, size=file.size)
        self.retire(file, "given up")

    def forgettable(self, age: float) -> Iterator[int]:
        """Yield dormant generations that have been gone for longer than `age` seconds, or are too many."""
        for file in self.dormant.outdated(self._context.clock.now() - age):
            yield file.generation
            if file.acked >= file.position:
                self.dormant.remove(file)
                del self._generations[file.generation]

    # ── one file ──

    def _meet(self, path: str, key: Key, found: os.stat_result, listing: Listing, now: float) -> bool:
        """Take note of what the scan saw of a live file; return False where it is none, or may be another by now."""
        file = self.live.get(key)
        if file is not None and file.unchanged(path, found):
            return True
        if file is not None and listing.leads(file.path, key):
            path = file.path  # of several names the one that it has had before
        if file is None or self._doubtful(file, path, found):
            return False
        self._spot(file, path, found, now)
        return True

    def _doubtful(self, file: TailedFile, path: str, found: os.stat_result) -> bool:
        """Drop a live file that may be another by now.

        Either nothing of it was read and its inode may be used again, or it is gzip and was written to.
        """
        if file.packed is not None and not file.packed.fresh(found):
            self.loosen(file)
            return True
        if file.known or path == file.path or self._handles.get(file.key) is not None:
            return False
        del self.live[file.key]
        del self._generations[file.generation]
        return True

    def _spot(self, file: TailedFile, path: str, found: os.stat_result, now: float) -> None:
        if path != file.path:
            file.path, file.rotated = path, True
        file.listed = True
        file.look(found.st_size, found.st_mtime_ns, now)

    def _miss(self, file: TailedFile, listing: Listing, strays: Sightings, now: float) -> None:
        """The scan did not see the file: renamed out of the globs, deleted, or unknown."""
        if not listing.knows(file.path):
            return
        found = self._handles.stat(file.key)
        if found is None or file.key in strays:
            where = strays.get(file.key) or stats([file.path]).get(file.key)
            file.path, found = where or (file.path, None)
        if found is None:
            if file.position < file.size:
                self._context.event(
                    "file is gone before it was read to its end", path=file.name, position=file.position, size=file.size
                )
            self.retire(file, "gone")
            return
        file.listed, file.rotated, file.deleted = False, True, held(found)
        file.look(found.st_size, found.st_mtime_ns, now)

    def _welcome(self, newcomers: Sightings, listing: Listing, notes: dict[str, str], now: float) -> None:
        """Decide on each file that no live generation has; those with a known inode first, lest others take theirs."""
        names = set(map(os.path.basename, listing.files))
        kin = self._relatives.names()
        for key in sorted(newcomers, key=lambda key: not self.dormant.has(key)):
            path, found = newcomers[key]
            known_as = listing.strays.get(path, path)
            try:
                content = Plain(self._handles.open(key, path))
                newcomer = Newcomer(known_as, key, found.st_size, found.st_mtime_ns, content, self._first)
                admitted = self._admit(newcomer, self._relatives.of_plain(known_as, kin), notes)
            except OSError as error:
                notes[shown(path)] = f"not read: {error.strerror or error}"
                self._handles.close(key)
                continue
            if admitted is None:
                self._handles.close(key)
                continue
            self._enter(admitted, newcomer, now - self._age(found))
            admitted.rotated = admitted.rotated or any(name in names for name in originals(path))
            if path in listing.strays:
                admitted.path, admitted.listed, admitted.rotated = path, False, True
            admitted.due = admitted.unsettled = True
            kin.add(admitted)

    def _seek_absent(self, listing: Listing, now: float) -> None:
        """Go on with the files that were renamed out of the globs while nobody looked."""
        absent = [file for file in self.dormant if file.gone is None and listing.knows(file.path)]
        for file, path, found in seek(absent):
            if file.key in self.live:
                continue
            try:
                content = Plain(self._handles.open(file.key, path))
                decision = decide(examine(content, "inode", file.head, file.evidence, file.handed_out))
                newcomer = Newcomer(path, file.key, found.st_size, found.st_mtime_ns, content, self._first)
                same = file.head.length and decision.same and self._attach(file, newcomer, decision.reason)
            except OSError:
                same = None  # can't be read: it counts as gone, which is said
            if same:
                self._enter(file, newcomer, now - self._age(found))
                file.listed, file.rotated = False, True
                file.due = file.unsettled = True
            else:
                self._handles.close(file.key)

    def _note_damage(self, notes: dict[str, str]) -> None:
        for file in self.live.values():
            if file.packed is not None and not file.finished:
                notes[shown(file.path)] = f"not read beyond {file.size}: {file.packed.seen.ending.reason}"

    def _enter(self, file: TailedFile, newcomer: Newcomer, grown_at: float) -> None:
        """A newcomer was decided on: from now on it is live."""
        file.grown_at = grown_at
        file.size, file.modified = newcomer.size, newcomer.modified
        file.compressed, file.packed = newcomer.compressed, None
        file.until = newcomer.size if self._context.once else None
        self.live[file.key] = file

    def _age(self, found: os.stat_result) -> float:
        """Return how many seconds ago the file was written, as far as its mtime tells."""
        return max(0.0, self._context.clock.now() - found.st_mtime_ns / 1e9)

    def _admit(self, file: Newcomer, live: Sequence[Relative], notes: dict[str, str]) -> TailedFile | None:
        head = file.content.pread(HEAD, 0)
        match admit(file, self.dormant.candidates(shown(file.path), file.key, head, self._first), live):
            case Resume(known, reason):
                return self._attach(known, file, reason)
            case Wait(original):
                notes[shown(file.path)] = f"waits: a rotated copy of {original.name}, which is being read"
                return None
            case Skip(reason):
                return self._behind(file, reason)
            case Begin(reason, replaces):
                return self._begin(file, reason, replaces)

    def _begin(self, file: Newcomer, reason: str, replaces: bool) -> TailedFile:
        # A path that was followed before goes on from the beginning: its file was rotated while nobody looked.
        followed = replaces or shown(file.path) in self._followed
        followed = followed or (file.compressed and family(file.path) in self._families)
        if not (self._from_end and file.early) or followed:
            return self._generation(file.path, file.key, 0, reason)
        if file.compressed:
            return self._behind(file, "new: begins at its end")
        framing = self._framing.resolved(file.content.pread(2, 0)) or self._framing
        start = max(0, file.size - _ALIGN) // framing.width * framing.width
        place = framing.after_last_newline(file.content.pread(file.size - start, start))
        position = start + place if place or start == 0 else file.size
        new = self._generation(file.path, file.key, position, "new: begins at its end")
        self._mark(new, file.content)
        self._publish(new)
        return new

    def _behind(self, file: Newcomer, reason: str) -> TailedFile:
        """Begin a generation at the file's end."""
        new = self._generation(file.path, file.key, file.size, reason)
        self._mark(new, file.content)
        self._publish(new)
        return new

    def _attach(self, known: TailedFile, file: Newcomer, reason: str) -> TailedFile | None:
        tail = file.content.mark(known.position - min(TAIL, known.position), known.position)
        if tail is None:
            return None  # became shorter within the scan: the next one decides
        self.dormant.remove(known)
        known.rotated = shown(file.path) != known.name
        known.path, known.key, known.tail, known.decision = file.path, file.key, tail, reason
        known.listed, known.gone = True, None
        known.searched, known.read_to, known.closing, known.settled = 0, known.position, False, False
        known.trail.clear()
        known.reframe_at = None if known.framing.agrees(self._framing) else file.size
        return known

    # ── generations ──

    def _generation(self, path: str, key: Key, position: int, reason: str) -> TailedFile:
        self._serial += 1
        nothing = Mark.of(b"", 0)
        file = TailedFile(
            generation=self._context.new_generation(),
            name=shown(path),
            path=path,
            key=key,
            serial=self._serial,
            framing=self._framing,
            position=position,
            sent=position,
            head=nothing,
            tail=nothing,
            decision=reason,
            read_to=position,
        )
        self._generations[file.generation] = file
        return file

    def _mark(self, file: TailedFile, content: Content) -> None:
        """Set the marks of a generation that begins after the file's first byte."""
        position = file.position
        file.head = content.mark(0, min(HEAD, position)) or file.head
        file.tail = content.mark(max(0, position - TAIL), position) or file.tail

    def _rest(self, file: TailedFile, why: str) -> None:
        if not file.known:  # nothing was handed out: there is nothing to remember
            del self._generations[file.generation]
            return
        file.gone, file.decision = self._context.clock.now(), why
        file.due = False
        self.dormant.add(file)
        self._publish(file)

    def _give_up_absent(self, listing: Listing) -> None:
        """Note since when the files are gone that the checkpoint remembers and nothing was found of."""
        for file in self.dormant:
            if file.gone is None:
                if listing.knows(file.path):
                    self._context.event(
                        "file is gone or was replaced while nobody looked, and with it what it got after its position",
                        path=file.name,
                        generation=f"{file.generation:016x}",
                        position=file.position,
                    )
                file.gone, file.decision = self._context.clock.now(), "gone"
                self._publish(file)

    def _tell(self, text: str, file: TailedFile, **more: object) -> None:
        generation = f"{file.generation:016x}"
        self._context.event(text, path=file.name, generation=generation, position=file.position, **more)

    def _publish(self, file: TailedFile) -> None:
        file.known = True
        self.news.append(file)

    def _say(self, notes: dict[str, str], waits: dict[str, str]) -> None:
        """Log what is new; that a file waits for something which comes by itself is for the status alone."""
        for path, note in notes.items():
            if self.notes.get(path) != note:
                self._context.event(note, path=path)
        self.notes = {**waits, **notes}
