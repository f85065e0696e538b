"""Reading a chain: jobs that change nothing."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.api import Entry
from ingest.commit import archive, chain, names, rules
from ingest.commit.actions import Steps, entries, read
from ingest.commit.chain import Commit, Start
from ingest.commit.names import ChainKey
from ingest.commit.tail import ArchiveMark, Tail, tail_of_commit, tail_of_start
from ingest.errors import StateDamaged


def newest_start(key: ChainKey) -> Steps[tuple[Start, bytes] | None]:
    """Return the start of the newest era that has one, and its bytes."""
    for era in reversed((yield from eras(key))):
        path = names.start_path(key, era)
        content = yield from read(path)
        if content is not None:
            start = chain.decode(content, Start, path)
            check_place(start, key, era, path)
            return start, content
    return None


def eras(key: ChainKey) -> Steps[list[int]]:
    """Return the eras that have a directory, ascending."""
    found = yield from entries(names.chain_dir(key))
    numbers = (names.parse_number(entry.name) for entry in found if entry.directory)
    return sorted(number for number in numbers if number is not None)


def newest_tail(key: ChainKey, start: Start, start_content: bytes) -> Steps[Tail | None]:
    """Return the tail of an era as its records stand, nothing finished; None = they were folded under the look.

    The archive's end is read last. A fold publishes its archive before it deletes records, and only then a zombie may
    put a void record under a name that was listed here: whoever reads that record then also sees the archive.

    Raises:
        StateDamaged: commits were folded, but the one that follows them is missing.
    """
    listed = offsets((yield from entries(names.commits_dir(key, start.era))))
    first = max(listed, default=None)
    path = names.commit_path(key, start.era, first) if first is not None else ""
    content = (yield from read(path)) if path else None
    mark = yield from archive_mark(key, start.era, None)
    if first is None and mark is None:
        return tail_of_start(key, start, start_content)
    if first is None or rules.is_folded(first, mark.end if mark else None):
        if mark is not None:
            yield from check_gap(key, start.era, mark)
        return None
    if content is None:
        return None
    commit = chain.decode(content, Commit, path)
    check_place(commit, key, start.era, path)
    return tail_of_commit(key, start, commit, content, mark, len(listed), sum(listed.values()))


def check_gap(key: ChainKey, era: int, mark: ArchiveMark) -> Steps[None]:
    """Make sure that no record at an archive's end means that a fold went on, not that the record was lost.

    Raises:
        StateDamaged: it was lost.
    """
    path = names.commit_path(key, era, mark.end)
    if (yield from read(path)) is None and (yield from archive_mark(key, era, mark)) == mark:
        raise StateDamaged(
            f"{key}: folded commits end at offset {mark.end}, and {path}, which must follow, is missing. "
            "Run `ingest verify`; do not guess an offset"
        )


def offsets(found: Iterable[Entry]) -> dict[int, int]:
    """Return first offset → size of the commits or archives in a listing, ascending; other names are left out."""
    numbers = ((names.parse_offset(entry.name), entry.size) for entry in found if not entry.directory)
    return dict(sorted((number, size) for number, size in numbers if number is not None))


def check_place(record: Start | Commit, key: ChainKey, era: int, path: str) -> None:
    """Refuse a record that says it belongs elsewhere.

    Raises:
        StateDamaged: it was copied or moved by hand.
    """
    named = isinstance(record, Start) or path == names.commit_path(key, era, record.first_offset)
    if (record.topic, record.partition, record.era) != (key.topic, key.partition, era) or not named:
        raise StateDamaged(
            f"{path} says it is of {record.topic} {record.partition}, era {record.era}: it was moved or copied by hand"
        )


def archive_mark(key: ChainKey, era: int, known: ArchiveMark | None) -> Steps[ArchiveMark | None]:
    """Return the last archive of an era; its footer is read only if it is not the known one (archives never change)."""
    directory = names.archive_dir(key, era)
    listed = offsets((yield from entries(directory)))
    if not listed:
        return None
    first, size = max(listed.items())
    path = names.archive_path(key, era, first)
    if known is not None and known.name == names.base(path):
        return known
    for length in (archive.TAIL_BYTES, size):
        end = yield from read(path, max(0, size - length))
        covered = archive.range_of(end or b"", path)
        if covered is not None:
            return ArchiveMark(names.base(path), covered[1])
    raise StateDamaged(f"{path}: its footer is longer than the file. Run `ingest verify`")
