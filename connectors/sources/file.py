"""Reads files that grow: by globs, through rotation, truncation and deletion, each byte once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from ingest.api import (
    Duration,
    FileFacts,
    LineBlock,
    Lines,
    Source,
    SourceContext,
    SourceOptions,
    Stream,
    StreamState,
    StreamStatus,
)
from ingest.connectors.marks.mark import Content
from ingest.connectors.tail.claims import claims
from ingest.connectors.tail.deleted import surplus
from ingest.connectors.tail.handles import Handles, Key, OtherFile, bounded
from ingest.connectors.tail.options import FileOptions
from ingest.connectors.tail.paths import Globs, Listing
from ingest.connectors.tail.plain import Plain
from ingest.connectors.tail.reader import Changed, read
from ingest.connectors.tail.roster import Roster
from ingest.connectors.tail.rotation import is_compressed
from ingest.connectors.tail.strays import Strays
from ingest.connectors.tail.tailed import TailedFile, shown
from ingest.connectors.tail.turns import Turns
from ingest.connectors.tail.watch import GROWTH, Watch

_QUANTUM: Final = 1 << 20  # of one file in one turn
_TURN: Final = 4 << 10  # bytes that could be read in the time that a turn takes by itself
_WARM: Final = 10.0  # seconds without growth until a file is looked at by scans only
_SHARE: Final = 40  # a scan may take one part in so many of the time, and so may looks at warm files
_LONGEST_PAUSE: Final = 10.0  # seconds between scans, however many files there are
_RESCAN: Final = 0.1  # seconds
_REST: Final = 0.1  # seconds between two scans, though names come and go
_FIRST_NAP: Final = 0.01  # seconds; doubled while nothing comes
_LONGEST_NAP: Final = 0.2  # seconds, while files grew lately; more where looking at them takes long


class FileSource(Source[FileOptions]):
    """Each file is a stream; each content of a file between truncations is a generation of it.

    After a crash the same bytes give the same lines with the same positions. What can be lost is only what nobody can
    read any more: bytes that were truncated, or files that came and went, between two looks.
    """

    Options: ClassVar[type[SourceOptions]] = FileOptions

    def __init__(self, options: FileOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._globs = Globs(options.paths, options.exclude, options.follow_symlinks)
        self._strays = Strays(lambda path: self._globs.match(path) and not is_compressed(path))
        self._watch = Watch()
        self._growth = Watch(GROWTH)
        self._by_path: dict[str, TailedFile] = {}
        self._overflowed = False
        self._handles = Handles(bounded(options.open_files), self._reopenable, options.follow_symlinks)
        framing = options.framing(context.max_line)
        self._roster = Roster(context, framing, options.start_at == "end", self._handles, options.close_after)
        self._event_patience = options.multiline.timeout if options.multiline is not None else 0.0
        self._ready = Turns()
        self._warm: dict[Key, None] = {}
        self._scanned = False
        self._scan_at = self._rested_at = context.clock.monotonic()
        self._nap = _FIRST_NAP
        self._peek_cost = 0.0
        self._turn = 0

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`."""
        self._roster.resume(states)

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        now = self.context.clock.monotonic()
        if now >= self._scan_at or (now >= self._rested_at and self._watch.told()):
            self._scan()
        else:
            self._peek()
            self._heed_growth()
        blocks = self._news()
        taken = 0
        while taken < max_bytes and (self._ready or self._roster.gzipped.busy):
            taken += self._survey()
            file = self._ready.next()
            if file is not None:
                block = self._read(file)
                self._ready.again(file)
                taken += _TURN + (file.read_to - file.position if block is None else block.nbytes)
                blocks += [] if block is None else [block]
        blocks += self._news()
        self._nap = _FIRST_NAP if blocks else min(2 * self._nap, max(_LONGEST_NAP, self._peek_cost))
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        if self._ready or self._roster.news or self._roster.gzipped.busy:
            return 0.0
        pause = max(0.0, self._scan_at - self.context.clock.monotonic())
        return min(pause, self._nap) if self._warm or self._growth.works else pause

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`."""
        file = self._roster.acknowledged(generation, position)
        if file is not None and file.due:
            self._ready.add(file)

    def finished(self) -> bool:
        """See `Source.finished`."""
        left = self._ready or self._roster.news or self._roster.gzipped.busy
        return self.context.once and self._scanned and not left

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self._roster.forgettable(self.options.forget_after)

    def status(self) -> list[StreamStatus]:
        """See `Source.status`; files that are not read are there too, as generation 0."""
        live = [
            StreamStatus(file.generation, shown(file.path), file.position, file.size, file.decision, file.deleted)
            for file in self._roster.live.values()
        ]
        return live + [StreamStatus(0, path, 0, None, note) for path, note in self._roster.notes.items()]

    def close(self) -> None:
        """See `Source.close`."""
        self._handles.close_all()
        self._watch.close()
        self._growth.close()

    @classmethod
    def claimed(
        cls, options: FileOptions, states: Sequence[StreamState], files: Sequence[FileFacts]
    ) -> Mapping[str, str]:
        """See `Source.claimed`."""
        return claims(Globs(options.paths, options.exclude, options.follow_symlinks).expand(), states, files)

    # ── looking ──

    def _scan(self) -> None:
        begin = self.context.clock.monotonic()
        self._roster.reconcile(self._look())
        self._strays.settle(self._followed)
        self._scanned = True
        now = self.context.clock.monotonic()
        self._by_path = {file.path: file for file in self._roster.live.values()}
        for file in list(self._roster.live.values()):
            if file.due or file.held or not file.listed:
                self._close_if_idle(file, now)
            if file.due:
                self._ready.add(file)
        for file in surplus(self._roster.live.values(), self.options.max_deleted):
            self._ready.discard(file)
            self._roster.abandon(file)
        cost = _SHARE * (now - begin)
        self._scan_at = now + max(self.options.scan_interval, min(cost, _LONGEST_PAUSE))
        self._rested_at = now + max(_REST, cost)

    def _look(self) -> Listing:
        """Return what is there, with the files that were renamed since the scan before and that it did not see."""
        listing = self._globs.expand()
        if self.context.once:
            return listing
        # The first look is the beginning: of what was before it nothing is told.
        gone = self._strays.update(listing, self._watch.notices())
        self._watch.set(listing.directories)
        self._growth.set(listing.directories)
        if gone:
            self.context.event(
                "files came and went between two looks", files=len(gone), path=shown(gone[0]), why="nobody has them now"
            )
        overflowed = self._watch.take_overflow()
        if overflowed and not self._overflowed:  # a busy directory does so at each scan: said once
            self.context.event("files came and went between two looks", why="more happened than the kernel keeps")
        self._overflowed = overflowed
        return listing

    def _peek(self) -> None:
        """Look at the files that grew lately; the others wait for a scan."""
        now = self.context.clock.monotonic()
        for key in list(self._warm):
            file = self._roster.live.get(key)
            found = self._handles.stat(key)
            if file is None or found is None or now - file.grown_at > _WARM:
                del self._warm[key]
                continue
            file.look(found.st_size, found.st_mtime_ns, now)
            if file.due:
                self._ready.add(file)
        self._peek_cost = _SHARE * (self.context.clock.monotonic() - now)

    def _heed_growth(self) -> None:
        """Look at the files of which the kernel says that they were written to, though nobody expected it."""
        now = self.context.clock.monotonic()
        for path in {notice.path for notice in self._growth.notices(reads=1)}:
            file = self._by_path.get(path)
            if file is None or file.key in self._warm:
                continue
            try:
                found = os.stat(path, follow_symlinks=False)
            except OSError:
                continue  # it moved on: the next scan says where to
            if (found.st_dev, found.st_ino) == file.key and self._roster.live.get(file.key) is file:
                file.look(found.st_size, found.st_mtime_ns, now)
                if file.due:
                    self._ready.add(file)

    def _close_if_idle(self, file: TailedFile, now: float) -> None:
        """Let the last line go without a newline where nobody writes any more; let go of a file that is gone."""
        idle = now - file.grown_at
        patience = self.options.close_after
        if file.rotated:
            patience = Duration(0.0) if self.context.once else min(patience, self.options.rotated_after)
        if not file.closing and idle >= patience and file.finished:
            file.closing = True
            file.due = file.due or file.held
        if file.framing.multiline and not file.settled and idle >= self._event_patience:
            file.settled = True
            file.due = file.due or file.held
        if not file.listed and not file.due and not file.held and idle >= self.options.close_after:
            self._roster.retire(file, "gone, read to its end")

    # ── reading ──

    def _survey(self) -> int:
        """Give surveys of gzip files a turn; once all are done a scan decides what becomes of the files."""
        work = self._roster.gzipped.turn(_QUANTUM)
        if self._roster.gzipped.finished and not self._roster.gzipped.busy:
            self._scan_at, self._scanned = self.context.clock.monotonic(), False
        return work

    def _content(self, file: TailedFile) -> Content | None:
        """Return what the file holds; None = not in this turn.

        Raises:
            OSError: the file can't be read now.
        """
        fd = self._handles.open(file.key, file.path)
        if file.packed is None:
            return Plain(fd)
        if not file.packed.fresh(os.fstat(fd)):
            self._roster.loosen(file)
            return None
        return file.packed if file.packed.reach(fd, file.position - file.tail.length, _QUANTUM) else None

    def _read(self, file: TailedFile) -> LineBlock | None:
        """Give a file its turn."""
        self._turn += 1
        file.served = self._turn
        if self._roster.live.get(file.key) is not file:
            self._ready.discard(file)
            return None
        if file.reframe_at is not None and file.position >= file.reframe_at:
            self._reframe(file)
            return None
        try:
            content = self._content(file)
            outcome = None if content is None else read(file, content, _QUANTUM)
        except OSError as error:
            self._trouble(file, error)
            return None
        if isinstance(outcome, Changed):
            self._ready.discard(file)
            self._roster.end(file, outcome.reason)
            self._scan_at = self.context.clock.monotonic()
            return None
        if not file.due:
            self._ready.discard(file)
            self._rest(file)
        if outcome is None:
            return None
        if file.packed is None:
            self._warm[file.key] = None
        return self._block(file, outcome)

    def _rest(self, file: TailedFile) -> None:
        """Let go of what it took to decompress a file; unless its last line is about to be given out."""
        if file.packed is not None and not (file.held and file.finished):
            file.packed.rest()
            self._handles.close(file.key)

    def _reframe(self, file: TailedFile) -> None:
        """Changed options take effect once all that the old ones made is acknowledged: repeats must be identical."""
        self._ready.discard(file)
        if file.acked >= file.position:
            self._ready.add(self._roster.reframe(file))

    def _trouble(self, file: TailedFile, error: OSError) -> None:
        """The file can't be read now; the next scan tries again."""
        self._ready.discard(file)
        if isinstance(error, OtherFile | FileNotFoundError):  # renamed since the last scan
            self._scan_at = min(self._scan_at, self.context.clock.monotonic() + _RESCAN)
            self._scanned = False
            return
        note = f"can't be read: {error.strerror or error}"
        if file.decision != note:
            self.context.event("file can't be read", path=shown(file.path), why=error.strerror or str(error))
        file.decision = note

    # ── blocks ──

    def _block(self, file: TailedFile, lines: Lines) -> LineBlock:
        return LineBlock(
            self._stream(file),
            lines.data,
            lines.starts,
            lines.ends,
            lines.positions,
            lines.end,
            lines.flags,
            boundary=lines.boundary,
            state=file.state(),
            dropped=lines.dropped,
        )

    def _news(self) -> list[LineBlock]:
        """Return blocks without lines, for generations whose state alone must become durable."""
        files, self._roster.news = self._roster.news, []
        nothing = np.empty(0, np.int64)
        return [
            LineBlock(
                self._stream(file),
                b"",
                nothing,
                nothing,
                np.array([file.sent], np.int64),
                file.position,
                state=file.state(),
            )
            for file in files
        ]

    def _stream(self, file: TailedFile) -> Stream:
        return Stream(file.generation, self.context.host, file.name, self.options.name, self.options.labels)

    def _followed(self, key: Key) -> bool:
        file = self._roster.live.get(key)
        return file is not None and not file.due

    def _reopenable(self, key: Key) -> bool:
        file = self._roster.live.get(key)
        return file is None or file.listed
