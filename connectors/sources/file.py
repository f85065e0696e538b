"""Reads files that grow: by globs, through rotation, truncation and deletion, each byte once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

import numpy as np

from ingest.api import (
    Duration,
    FileFacts,
    Framing,
    LineBlock,
    Source,
    SourceContext,
    SourceOptions,
    Stream,
    StreamState,
    StreamStatus,
    option,
)
from ingest.connectors.tail.claims import claims
from ingest.connectors.tail.handles import Handles, Key, OtherFile, bounded
from ingest.connectors.tail.paths import Globs, Listing
from ingest.connectors.tail.reader import Changed, Chunk, read
from ingest.connectors.tail.roster import Roster
from ingest.connectors.tail.rotation import is_compressed
from ingest.connectors.tail.strays import Strays
from ingest.connectors.tail.tailed import TailedFile, shown
from ingest.connectors.tail.turns import in_turn
from ingest.connectors.tail.watch import Watch

_QUANTUM: Final = 1 << 20  # of one file in one turn
_GLANCE: Final = 4 << 10  # what a read that brings nothing counts as: many idle files have their turn in one poll
_WARM: Final = 10.0  # seconds without growth until a file is looked at by scans only
_SHARE: Final = 20  # a scan may take one part in so many of the time
_LONGEST_PAUSE: Final = 10.0  # seconds between scans, however many files there are
_RESCAN: Final = 0.1  # seconds
_FIRST_NAP: Final = 0.01  # seconds; doubled while nothing comes


class FileOptions(SourceOptions):
    """Options of the source "file"."""

    paths: Annotated[
        list[str],
        option(
            "Absolute globs of the files to read; `**` stands for any number of directories. Symbolic links are not "
            "followed.",
            example=["/var/log/app/*.log"],
        ),
    ]
    exclude: Annotated[
        list[str], option("Absolute globs of files not to read.", example=["/var/log/app/debug*.log"])
    ] = []
    start_at: Annotated[
        Literal["beginning", "end"],
        option("Where files never seen before begin. Files that turn up later are read from their beginning."),
    ] = "beginning"
    close_after: Annotated[
        Duration, option("No growth for so long: an unterminated last line is given out, flagged.")
    ] = Duration(300.0)
    rotated_after: Annotated[
        Duration, option("The same for a file that was renamed or deleted, once it has not grown for so long.")
    ] = Duration(5.0)
    scan_interval: Annotated[
        Duration, option("How often to look for new files; less often where a scan takes long, at least each 10s.")
    ] = Duration(1.0)
    forget_after: Annotated[
        Duration, option("A file gone for so long, and read to its end, is forgotten: would be read anew.")
    ] = Duration(7 * 86400.0)
    open_files: Annotated[int, option("Files held open at once; fewer where the process's limit says so.", ge=1)] = 512

    def __post_init__(self) -> None:
        """Refuse globs that would depend on the working directory."""
        if not self.paths:
            raise ValueError("`paths` names no file")
        for pattern in (*self.paths, *self.exclude):
            if not pattern.startswith("/"):
                raise ValueError(f'"{pattern}" is not an absolute path')


class FileSource(Source[FileOptions]):
    """Each file is a stream; each content of a file between truncations is a generation of it.

    After a crash the same bytes give the same lines with the same positions. What can be lost is only what nobody can
    read any more: bytes that were truncated, or files that came and went, between two looks.
    """

    Options: ClassVar[type[SourceOptions]] = FileOptions

    def __init__(self, options: FileOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._globs = Globs(options.paths, options.exclude)
        self._strays = Strays(lambda path: self._globs.match(path) and not is_compressed(path))
        self._watch = Watch()
        self._overflowed = False
        self._handles = Handles(bounded(options.open_files), self._reopenable)
        framing = Framing(context.max_line, options.empty_lines == "drop")
        self._roster = Roster(context, framing, options.start_at == "end", self._handles)
        self._ready: set[TailedFile] = set()
        self._warm: dict[Key, None] = {}
        self._scanned = False
        self._scan_at = context.clock.monotonic()
        self._nap = _FIRST_NAP
        self._turn = 0

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`."""
        self._roster.resume(states)

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        if self.context.clock.monotonic() >= self._scan_at:
            self._scan()
        else:
            self._peek()
        blocks = self._news()
        taken = 0
        while taken < max_bytes and (turns := in_turn(self._ready)):
            for file in turns:
                block = self._read(file)
                taken += max(_GLANCE, file.read_to - file.position) if block is None else block.nbytes
                blocks += [] if block is None else [block]
                if taken >= max_bytes:
                    break
        blocks += self._news()
        self._nap = _FIRST_NAP if blocks else 2 * self._nap
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        if self._ready or self._roster.news:
            return 0.0
        pause = max(0.0, self._scan_at - self.context.clock.monotonic())
        return min(pause, self._nap) if self._warm else pause

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`."""
        file = self._roster.acknowledged(generation, position)
        if file is not None and file.due:
            self._ready.add(file)

    def finished(self) -> bool:
        """See `Source.finished`."""
        return self.context.once and self._scanned and not self._ready and not self._roster.news

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self._roster.forgettable(self.options.forget_after)

    def status(self) -> list[StreamStatus]:
        """See `Source.status`; files that are not read are there too, as generation 0."""
        live = [
            StreamStatus(file.generation, shown(file.path), file.position, file.size, file.decision)
            for file in self._roster.live.values()
        ]
        return live + [StreamStatus(0, path, 0, None, note) for path, note in self._roster.notes.items()]

    def close(self) -> None:
        """See `Source.close`."""
        self._handles.close_all()
        self._watch.close()

    @classmethod
    def claimed(
        cls, options: FileOptions, states: Sequence[StreamState], files: Sequence[FileFacts]
    ) -> Mapping[str, str]:
        """See `Source.claimed`."""
        return claims(Globs(options.paths, options.exclude).expand(), states, files)

    # ── looking ──

    def _scan(self) -> None:
        begin = self.context.clock.monotonic()
        self._roster.reconcile(self._look())
        self._strays.settle(self._followed)
        self._scanned = True
        now = self.context.clock.monotonic()
        for file in list(self._roster.live.values()):
            self._close_if_idle(file, now)
            if file.due:
                self._ready.add(file)
        cost = _SHARE * (now - begin)
        self._scan_at = now + max(self.options.scan_interval, min(cost, _LONGEST_PAUSE))

    def _look(self) -> Listing:
        """Return what is there, with the files that were renamed since the scan before and that it did not see."""
        listing = self._globs.expand()
        if self.context.once:
            return listing
        # The first look is the beginning: of what was before it nothing is told.
        gone = self._strays.update(listing, self._watch.notices())
        self._watch.set(listing.directories)
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

    def _close_if_idle(self, file: TailedFile, now: float) -> None:
        """Let the last line go without a newline where nobody writes any more; let go of a file that is gone."""
        idle = now - file.grown_at
        patience = self.options.close_after
        if file.rotated:
            patience = Duration(0.0) if self.context.once else min(patience, self.options.rotated_after)
        if not file.closing and idle >= patience:
            file.closing = True
            file.due = file.due or file.held
        if not file.listed and not file.due and not file.held and idle >= self.options.close_after:
            self._roster.retire(file, "gone, read to its end")

    # ── reading ──

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
            outcome = read(file, self._handles.open(file.key, file.path), _QUANTUM)
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
        if outcome is None:
            return None
        self._warm[file.key] = None
        return self._block(file, outcome)

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

    def _block(self, file: TailedFile, chunk: Chunk) -> LineBlock:
        lines = chunk.lines
        return LineBlock(
            self._stream(file),
            chunk.data,
            lines.starts,
            lines.ends,
            lines.positions,
            lines.end,
            lines.flags,
            boundary=lines.partial,
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
