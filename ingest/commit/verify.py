"""The chains against the files: everything below a root, without Kafka and without a configuration.

Works beside running workers: what is visible is listed before the chains are read, so that each visible file's commit
is in what is read; what is committed later is looked up by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from ingest.api import Filesystem
from ingest.commit import archive, chain, inspect, look, names, rules
from ingest.commit.chain import Commit, CommitFile, Previous, Start
from ingest.commit.names import ChainKey
from ingest.commit.reader import open_remote
from ingest.commit.report import Report
from ingest.commit.streams import holes, stream_problems
from ingest.errors import FileMissing, StateDamaged, Unavailable

TRIES = 8
Progress = Callable[[int, int, str], None]
"""Told (files looked at, files visible, path) after every file."""


def verify(filesystem: Filesystem[Any], deep: bool = False, progress: Progress | None = None) -> Report:
    """Compare what the chains say with what is there. Reads every listed file once; with `deep` its rows too.

    Raises:
        Unavailable: the filesystem can't be read now.
    """
    return _Verification(filesystem, deep, progress or (lambda done, total, path: None)).run()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record in the order of its chain: where it was found, and its exact bytes."""

    path: str
    commit: Commit
    content: bytes


class _Verification:
    """One walk. Methods that look at one thing report what is wrong with it and go on."""

    def __init__(self, filesystem: Filesystem[Any], deep: bool, progress: Progress) -> None:
        self._filesystem = filesystem
        self._deep = deep
        self._progress = progress
        self._report = Report()
        self._visible: set[str] = set()
        self._listed: set[str] = set()

    def run(self) -> Report:
        self._visible = set(self._walk(""))
        for key in self._chains():
            self._report.counts["chains"] += 1
            self._chain(key)
        for path in sorted(self._visible - self._listed):
            self._report.differ("unlisted", path, "no commit lists this visible file")
        return self._report

    # ── what is there ──

    def _walk(self, directory: str) -> Iterator[str]:
        """Yield the files that readers see, and those of the quarantine."""
        for entry in self._filesystem.list(directory):
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.name[0] in "_." and path != names.QUARANTINE:
                continue
            if entry.directory:
                yield from self._walk(path)
            else:
                yield path

    def _chains(self) -> Iterator[ChainKey]:
        for part in self._directories(names.META):
            for name in self._directories(f"{names.META}/{part}"):
                if names.parse_number(name) is not None:
                    yield from self._key(part, name)
                elif name == "backfill":
                    for generation in self._directories(f"{names.META}/{part}/backfill"):
                        yield from self._key(part, f"backfill/{generation}")

    def _directories(self, path: str) -> list[str]:
        return sorted(entry.name for entry in self._filesystem.list(path) if entry.directory)

    def _key(self, part: str, partition: str) -> Iterator[ChainKey]:
        """Yield the chain of a directory; where that shortens the topic's name the start record knows it."""
        number = names.parse_number(partition)
        place: int | str = partition if number is None else number
        path = f"{names.META}/{part}/{partition}/0/{names.START}"
        try:
            topic = unquote(part)
            if "~" in part:
                topic = chain.decode(self._filesystem.read(path), Start, path).topic
            yield ChainKey(topic, place)
        except (FileMissing, StateDamaged, ValueError) as error:
            self._report.differ("start", path, f"the chain can't be read: {error}")

    # ── one chain ──

    def _chain(self, key: ChainKey) -> None:
        opened: Start | None = None
        newest: Commit | None = None
        accepted = False
        for era in look_eras(self._filesystem, key):
            self._report.counts["eras"] += 1
            start = self._start(key, era, opened)
            last = self._era(key, era, start) if start else None
            opened = last.opens if last else None
            newest = last or newest
            accepted = accepted or self._accepted_before(key)
        if newest is None or newest.opens is not None:
            return
        self._report.counts["streams"] += len(newest.streams)
        for generation, text in holes(newest.streams):
            add = self._report.note if accepted else self._report.differ
            add("hole", names.chain_dir(key), f"stream generation {generation}: {text}")

    def _accepted_before(self, key: ChainKey) -> bool:
        place = names.chain_dir(key) + "/"
        return any(note.kind == "accepted loss" and note.path.startswith(place) for note in self._report.notes)

    def _start(self, key: ChainKey, era: int, opened: Start | None) -> tuple[Start, bytes] | None:
        path = names.start_path(key, era)
        try:
            content = self._filesystem.read(path)
            start = chain.decode(content, Start, path)
            look.check_place(start, key, era, path)
        except FileMissing:
            if any(self._filesystem.list(place(key, era)) for place in (names.commits_dir, names.archive_dir)):
                self._report.differ("start", path, "the era has commits, but no start record")
            return None
        except StateDamaged as error:
            self._report.differ("start", path, str(error))
            return None
        if era and start != opened:
            self._report.differ("start", path, f"no commit of an earlier era opened era {era} like this")
        return start, content

    def _era(self, key: ChainKey, era: int, begun: tuple[Start, bytes]) -> Commit | None:
        start, content = begun
        expected = start.next_offset
        previous = Previous(name=names.START, crc32c=chain.crc32c(content))
        before: Commit | None = None
        staged = self._filesystem.list(names.stage_dir(key, era))
        for entry in self._entries(key, era):
            if before is not None:
                self._files(before, newest=False)
            self._link(entry, expected, previous, before, start)
            expected = entry.commit.next_offset
            previous = Previous(name=names.commit_name(entry.commit.first_offset), crc32c=chain.crc32c(entry.content))
            before = entry.commit
        if before is not None:
            self._files(before, newest=True)
        for left in staged:
            self._report.counts["staged"] += 1
            self._report.note("staged", f"{names.stage_dir(key, era)}/{left.name}", "not visible; the sweep decides")
        return before

    def _link(self, entry: _Entry, expected: int, previous: Previous, before: Commit | None, start: Start) -> None:
        """Check one record against the one before it."""
        commit = entry.commit
        self._count(entry)
        if commit.first_offset != expected:
            kind = "gap" if commit.first_offset > expected else "overlap"
            self._report.differ(kind, entry.path, f"begins at offset {commit.first_offset}, expected {expected}")
        if commit.previous != previous:
            said = f"{commit.previous.name} with crc32c {commit.previous.crc32c}"
            self._report.differ("chain", entry.path, f"follows {said}, found {previous.name} with {previous.crc32c}")
        if before is not None and before.opens is not None:
            self._report.differ("chain", entry.path, "stands behind the record that closed its era")
        for text in stream_problems(before.streams if before else start.streams, commit.streams):
            self._report.differ("streams", entry.path, text)
        counted = {
            kind: sum(file.rows for file in commit.files if file.kind == kind) for kind in ("data", "quarantine")
        }
        if (commit.rows, commit.quarantined) != (counted["data"], counted["quarantine"]):
            detail = f"{commit.rows} rows and {commit.quarantined} quarantined, its files say {counted}"
            self._report.differ("counts", entry.path, detail)

    def _count(self, entry: _Entry) -> None:
        commit, counts = entry.commit, self._report.counts
        counts["commits"] += 1
        counts["rows"] += commit.rows
        counts["quarantined"] += commit.quarantined
        counts["duplicates"] += commit.duplicates
        if commit.accepted is None:
            return
        taken = commit.accepted
        counts["lost_offsets"] += taken.next - taken.first
        detail = f"offsets [{taken.first}, {taken.next}) by {taken.who} at {taken.when}: {taken.why}"
        self._report.note(f"accepted {commit.kind}", entry.path, detail)

    # ── the records of an era ──

    def _entries(self, key: ChainKey, era: int) -> Iterator[_Entry]:
        """Yield the era's records in order: archived ones, then the others; records that are void are noted."""
        live = self._live(key, era)
        end: int | None = None
        directory = names.archive_dir(key, era)
        for first, size in look.offsets(self._filesystem.list(directory)).items():
            path = names.archive_path(key, era, first)
            for entry in self._archived(path, size):
                end = entry.commit.next_offset
                yield entry
        for first, content in live.items():
            path = names.commit_path(key, era, first)
            if rules.is_folded(first, end):
                self._report.note("folded", path, "covered by an archive, or void; the next fold deletes it")
                continue
            decoded = self._decoded(path, content)
            if decoded is not None:
                yield decoded

    def _live(self, key: ChainKey, era: int) -> dict[int, bytes]:
        """Return the records that are not folded; they are read before the archives, so that none slips through."""
        for _ in range(TRIES):
            listed = look.offsets(self._filesystem.list(names.commits_dir(key, era)))
            try:
                return {first: self._filesystem.read(names.commit_path(key, era, first)) for first in listed}
            except FileMissing:
                continue
        raise Unavailable(f"{key}: commits are folded under every look; try again")

    def _archived(self, path: str, size: int) -> Iterator[_Entry]:
        try:
            with open_remote(self._filesystem, path, size) as file:
                rows = archive.entries(file, path)
            covered = archive.range_of(self._filesystem.read(path), path)
        except StateDamaged as error:
            self._report.differ("archive", path, str(error))
            return
        if not rows or covered != (rows[0].first_offset, rows[-1].next_offset):
            self._report.differ("archive", path, f"says that it covers {covered}, its rows do not")
        for row in rows:
            if chain.crc32c(row.record) != row.crc32c:
                self._report.differ("digest", path, f"the record of offset {row.first_offset} was changed")
            entry = self._decoded(path, row.record)
            if entry is not None:
                yield entry

    def _decoded(self, path: str, content: bytes) -> _Entry | None:
        try:
            return _Entry(path, chain.decode(content, Commit, path), content)
        except StateDamaged as error:
            self._report.differ("record", path, str(error))
            return None

    # ── files ──

    def _files(self, commit: Commit, newest: bool) -> None:
        offsets = []
        for file in commit.files:
            found = self._file(commit, file) if self._present(file, newest) else None
            if found is not None:
                offsets.append(found)
            self._progress(self._report.counts["files"], len(self._visible), file.path)
        if self._deep and offsets:
            together = np.concatenate(offsets)
            repeated = len(together) - len(np.unique(together))
            if repeated:
                path = names.commit_path(commit.key, commit.era, commit.first_offset)
                self._report.differ("duplicate rows", path, f"{repeated} offsets are in its files more than once")

    def _present(self, file: CommitFile, newest: bool) -> bool:
        self._listed.add(file.path)
        self._report.counts["files"] += 1
        self._report.counts["bytes"] += file.bytes
        place = "final" if file.path in self._visible else inspect.place_of(self._filesystem, file)
        if place == "staged" and newest:
            self._report.note("in progress", file.path, f"is still {file.stage}; the next owner moves it")
        elif place != "final":
            whose = f"{file.rows} rows of offsets [{file.first_offset}, {file.last_offset}]"
            self._report.differ("missing", file.path, f"{whose} are {place}")
        return place == "final"

    def _file(self, commit: Commit, file: CommitFile) -> Any:
        """Check one file; return its rows' offsets when they were read."""
        offsets = None
        try:
            problem = inspect.bytes_differ(self._filesystem, file)
            if problem:
                self._report.differ("content", file.path, problem)
                return None
            for problem in inspect.metadata_differs(inspect.footer_of(self._filesystem, file), commit, file):
                self._report.differ("metadata", file.path, problem)
            if self._deep:
                offsets, problems = inspect.offsets_of(self._filesystem, commit, file)
                for problem in problems:
                    self._report.differ("rows", file.path, problem)
        except FileMissing:
            self._report.differ("missing", file.path, "it went away while it was looked at")
        except (pa.ArrowException, OSError) as error:
            self._report.differ("unreadable", file.path, str(error))
        return offsets


def look_eras(filesystem: Filesystem[Any], key: ChainKey) -> list[int]:
    """Return the eras that have a directory, ascending."""
    numbers = (names.parse_number(entry.name) for entry in filesystem.list(names.chain_dir(key)) if entry.directory)
    return sorted(number for number in numbers if number is not None)
