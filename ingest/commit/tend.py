"""Keeping a chain short and its stage clean: jobs that may run at any time, beside anything, or never."""

from __future__ import annotations

from collections.abc import Collection

from ingest.commit import archive, chain, look, names, protocol, rules
from ingest.commit.actions import Delete, Steps, change, entries, read
from ingest.commit.chain import Commit, Start
from ingest.commit.names import ChainKey
from ingest.commit.tail import ArchiveMark, Tail
from ingest.errors import StateDamaged


def fold(tail: Tail, at_least: int) -> Steps[ArchiveMark | None]:
    """Put all commits but the newest into an archive if there are more than `at_least`, and delete what archives cover.

    Returns the last archive. Safe beside other folds: archives begin where the last one ends, and one of two wins.

    Raises:
        StateDamaged: the commits do not follow each other; nothing was changed.
    """
    key, era = tail.key, tail.era
    listed = look.offsets((yield from entries(names.commits_dir(key, era))))
    mark = yield from look.archive_mark(key, era, tail.archive)
    firsts = rules.foldable(listed, mark.end if mark else None, at_least)
    if firsts:
        records = yield from read_run(tail, firsts, mark)
        if records is None:
            return mark
        path = names.archive_path(key, era, firsts[0])
        yield from protocol.publish_or_obey(path, archive.build(records))
        mark = yield from look.archive_mark(key, era, mark)
    for first in listed:
        if rules.is_folded(first, mark.end if mark else None):
            # An unknown outcome is fine: everyone ignores the record, and the next fold comes by here again.
            yield from change(Delete(names.commit_path(key, era, first)))
    return mark


def read_run(tail: Tail, firsts: Collection[int], mark: ArchiveMark | None) -> Steps[list[tuple[Commit, bytes]] | None]:
    """Read commits that must follow each other from the last archive on; None = another fold took one away.

    A void record may stand where one was taken away. Then the archive is there too, under the name that this fold
    would give its own, so that nothing wrong gets into it.
    """
    records: list[tuple[Commit, bytes]] = []
    expected = mark.end if mark else tail.start.next_offset
    for first in firsts:
        path = names.commit_path(tail.key, tail.era, first)
        content = yield from read(path)
        if content is None:
            return None
        record = chain.decode(content, Commit, path)
        if first != expected:
            if (yield from moved_on(tail, expected, mark)):
                return None
            raise StateDamaged(f"{tail.key}: no commit begins at offset {expected}, the next one is {path}")
        expected = record.next_offset
        records.append((record, content))
    return records


def moved_on(tail: Tail, expected: int, mark: ArchiveMark | None) -> Steps[bool]:
    """Return whether a hole at `expected` is only the trace of commits that were published or folded meanwhile."""
    if (yield from read(names.commit_path(tail.key, tail.era, expected))) is not None:
        return True
    return (yield from look.archive_mark(tail.key, tail.era, mark)) != mark


def sweep(key: ChainKey) -> Steps[list[str]]:
    """Delete the staged files that provably nobody needs, in all eras; return their paths.

    Names that no commit gives are left alone.
    """
    swept: list[str] = []
    for era in (yield from look.eras(key)):
        directory = names.stage_dir(key, era)
        staged = yield from entries(directory)
        begun = names.start_path(key, era)
        content = (yield from read(begun)) if staged else None
        if content is None:
            continue
        tail = yield from look.newest_tail(key, chain.decode(content, Start, begun), content)
        for entry in staged:
            parsed = names.parse_stage(entry.name)
            path = f"{directory}/{entry.name}"
            if parsed and tail and rules.sweepable(path, parsed[0], tail.newest):
                # An unknown outcome is fine: the next sweep sees it.
                yield from change(Delete(path))
                swept.append(path)
    return swept
