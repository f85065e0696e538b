"""Reads directories of finished files, plain or gzip, each once; then they stay, are deleted or moved."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

from ingest.api import (
    ConfigError,
    Duration,
    FileFacts,
    LineBlock,
    Source,
    SourceContext,
    SourceOptions,
    StreamState,
    StreamStatus,
    option,
)
from ingest.connectors.spool.claims import below, claims
from ingest.connectors.spool.desk import Desk
from ingest.connectors.spool.leaving import check
from ingest.connectors.spool.mark import Key
from ingest.connectors.spool.roll import Roll
from ingest.connectors.spool.settling import Settling
from ingest.connectors.spool.spooled import Seen, shown
from ingest.connectors.tail.paths import Globs, Listing

_LEAST: Final = 64 << 10  # bytes looked at before a poll comes back with nothing
_SHARE: Final = 20  # a scan may take one part in so many of the time
_LONGEST_PAUSE: Final = 10.0  # seconds between scans, however many files there are


class SpoolOptions(SourceOptions):
    """Options of the source "spool"."""

    paths: Annotated[
        list[str],
        option(
            "Absolute globs of the files to read; `**` stands for any number of directories. Symbolic links are not "
            "followed.",
            example=["/var/spool/export/*.csv", "/var/spool/export/*.gz"],
        ),
    ]
    exclude: Annotated[
        list[str], option("Absolute globs of files not to read.", example=["/var/spool/export/*.tmp"])
    ] = []
    when_done: Annotated[
        Literal["keep", "delete", "move"],
        option("What becomes of a file once Kafka has all of it: it stays, is deleted, or is moved to `done_dir`."),
    ] = "keep"
    done_dir: Annotated[
        str | None,
        option("For `move`: a directory on the same file system.", example="/var/spool/export/done", absolute=True),
    ] = None
    failed_dir: Annotated[
        str | None,
        option(
            "Damaged gzip files are moved here, on the same file system. Left out: they stay, and are looked at again "
            "when they change.",
            example="/var/spool/export/failed",
            absolute=True,
        ),
    ] = None
    settle: Annotated[
        Duration,
        option('A file counts as finished once it has not changed for so long; "0s" where all come by a rename.'),
    ] = Duration(5.0)
    scan_interval: Annotated[
        Duration, option("How often to look for files; less often where a scan takes long, at least each 10s.", ge=0.01)
    ] = Duration(1.0)
    forget_after: Annotated[
        Duration, option("A file gone for so long, and read to its end, is forgotten: would be read anew.")
    ] = Duration(7 * 86400.0)

    def __post_init__(self) -> None:
        """Refuse globs that would depend on the working directory, and directories that nothing goes to."""
        super().__post_init__()
        if not self.paths:
            raise ConfigError("paths", "names no file")
        for key, patterns in (("paths", self.paths), ("exclude", self.exclude)):
            for pattern in patterns:
                if not pattern.startswith("/"):
                    raise ConfigError(key, f'"{pattern}" is not an absolute path')
        if self.when_done == "move" and self.done_dir is None:
            raise ConfigError("done_dir", 'is missing: `when_done = "move"` needs it')
        if self.when_done != "move" and self.done_dir is not None:
            raise ConfigError("done_dir", 'nothing is moved there without `when_done = "move"`')


class SpoolSource(Source[SpoolOptions]):
    """Each file is a stream and a generation; positions are those of its decompressed content.

    After a crash the same file, also under another name, goes on where Kafka's acknowledgements end. A file is taken
    away only once the checkpoint says that Kafka has all of it. Nothing is handed out of a damaged gzip file.

    Raises:
        Refused: `done_dir` or `failed_dir` can't be moved to.
    """

    Options: ClassVar[type[SourceOptions]] = SpoolOptions

    def __init__(self, options: SpoolOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._globs = Globs(options.paths, options.exclude)
        self._own = [place for place in (options.done_dir, options.failed_dir) if place is not None]
        self._settling = Settling(options.settle)
        self._roll = Roll(context, options.name, options.labels)
        self._desk = Desk(
            context,
            self._roll,
            options.framing(context.max_line),
            options.when_done,
            options.done_dir,
            options.failed_dir,
        )
        self._wanted: set[Key] | None = None
        """With `once`: the files of the first look that are not dealt with yet; None before it."""
        self._unseen: dict[str, str] = {}
        self._unread: dict[Key, str] = {}
        """Files that the last scan saw, and of which nothing had been looked at then."""
        self._scan_at = context.clock.monotonic()

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`."""
        beside = sorted({_literal(pattern) for pattern in self.options.paths})
        for key, place in (("done_dir", self.options.done_dir), ("failed_dir", self.options.failed_dir)):
            if place is not None:
                check(place, beside, key)
        self._roll.resume(states)

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        if self.context.clock.monotonic() >= self._scan_at:
            self._scan()
        blocks = self._roll.news()
        taken = 0
        while self._desk.busy and taken < (max_bytes if blocks else max(max_bytes, _LEAST)):
            some, looked_at = self._desk.turn(max_bytes - taken)
            blocks += some
            taken += looked_at
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        return 0.0 if self._desk.busy else max(0.0, self._scan_at - self.context.clock.monotonic())

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`: a file that is done is taken away."""
        file = self._roll.acknowledged(generation, position)
        if file is not None and file.done and file.verified:
            self._desk.leave(file)

    def finished(self) -> bool:
        """See `Source.finished`: files that were still being written are left for the next time."""
        return self.context.once and self._wanted is not None and not self._wanted and not self._desk.busy

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self._roll.forgettable(self.options.forget_after)

    def status(self) -> list[StreamStatus]:
        """See `Source.status`; files that are not read are there too, as generation 0."""
        notes = self._desk.notes | self._unseen
        return self._roll.status() + [StreamStatus(0, shown(path), 0, None, note) for path, note in notes.items()]

    def close(self) -> None:
        """See `Source.close`."""
        self._desk.close()

    @classmethod
    def claimed(
        cls, options: SpoolOptions, states: Sequence[StreamState], files: Sequence[FileFacts]
    ) -> Mapping[str, str]:
        """See `Source.claimed`."""
        listing = Globs(options.paths, options.exclude).expand()
        listed = {(found.st_dev, found.st_ino): path for path, found in listing.files.items()}
        return claims(listed, options.done_dir, states, files)

    # ── looking ──

    def _scan(self) -> None:
        """Look at the directories; what has settled is to be read, the oldest first."""
        begin = self.context.clock.monotonic()
        listing = self._look()
        seen: dict[Key, Seen] = {}
        for path, found in listing.files.items():
            file = Seen(path, (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns))
            seen.setdefault(file.key, file)
        now = self.context.clock.monotonic()
        changed = {file.key for file in seen.values() if not self._settling.unchanged(file.key, file.stamp)}
        settled = [file for file in seen.values() if self._settling.look(file.key, file.stamp, now)]
        self._settling.keep(seen.keys())
        self._roll.look(seen, listing.knows, self._desk.opened)
        self._desk.forget(seen)
        self._miss(seen, listing)
        if self.context.once:
            settled = self._limit(seen.keys(), changed, settled)
        self._desk.plan(sorted(settled, key=lambda file: (file.stamp[1], file.path)))
        self._unread = {key: file.path for key, file in seen.items() if self._desk.unread(file)}
        cost = _SHARE * (now - begin)
        pause = max(self.options.scan_interval, min(cost, _LONGEST_PAUSE))
        self._scan_at = now + min(pause, self._settling.next_due(now))

    def _miss(self, seen: Mapping[Key, Seen], listing: Listing) -> None:
        """Say which files are gone of those that waited to be read."""
        gone = [
            path
            for key, path in self._unread.items()
            if key not in seen and key not in self._desk.begun and listing.knows(path)
        ]
        self._desk.begun.clear()
        if gone:
            self.context.event("files are gone before they were read", files=len(gone), path=shown(gone[0]))

    def _limit(self, seen: Iterable[Key], changed: set[Key], settled: list[Seen]) -> list[Seen]:
        """Return those of the first look; what changed since then is not finished, and is left for another time."""
        if self._wanted is None:
            self._wanted = set(seen)
        else:
            self._wanted = (self._wanted & set(seen)) - changed
        due = [file for file in settled if file.key in self._wanted]
        self._wanted -= {file.key for file in due}
        return due

    def _look(self) -> Listing:
        """Return what is there; what can't be looked at is said once."""
        listing = self._globs.expand()
        listing.files = {
            path: found for path, found in listing.files.items() if not any(below(path, place) for place in self._own)
        }
        unseen = {path: f"can't be looked at: {why}" for path, why in listing.failed.items()}
        for path in unseen.keys() - self._unseen.keys():
            self.context.event("can't be looked at", path=shown(path), why=listing.failed[path])
        self._unseen = unseen | {path: f"not read: {what}" for path, what in listing.skipped.items()}
        return listing


def _literal(pattern: str) -> str:
    """Return the directory that a glob begins in."""
    return os.path.dirname(re.split(r"[*?[]", pattern)[0])
