"""The commit protocol: decides what to do next, and does nothing itself.

Each job is a generator. It yields actions, is sent their outcomes, and returns its result. No I/O, no clock, no
randomness: paths, times and ids come in as arguments. What a filesystem can't do now (Unavailable) does not come in
here: it ends the job, and the caller runs the job again from its start with the same arguments. Every job may end
after any action and be run again, by the same worker or another one, any number of times.

    open_chain   read the chain, or begin it → Tail; finishes the moves of the newest commit
    commit       staged files → record (the commit point) → final names → Tail

(`tend` holds the two that may also be left out: fold and sweep.)

The decisions are the pure functions of `rules`; the generators read like docs/commit-protocol.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.commit import chain, look, names, rules
from ingest.commit.actions import (
    Create,
    Delete,
    Mkdir,
    Move,
    Outcome,
    Resolve,
    Steps,
    Upload,
    change,
    entries,
    read,
)
from ingest.commit.chain import Commit, CommitFile, Start
from ingest.commit.names import ChainKey
from ingest.commit.tail import ArchiveMark, Tail, tail_of_commit, tail_of_start
from ingest.errors import Fenced, Refused, StateDamaged, Unavailable

TRIES = 8
"""So often a job looks again at a chain that changes under it, or asks again where answers get lost."""

CHUNK = 4 << 20
"""Bytes read at once where a whole file is looked at."""

# ── publishing ──────────────────────────────────────────────────────────────────


def publish(path: str, content: bytes) -> Steps[bool]:
    """Make a record under a name that only one can have; return whether it is there with exactly these bytes.

    Raises:
        Unavailable: answers get lost again and again.
    """
    for _ in range(TRIES):
        outcome = yield from change(Create(path, content))
        found = None if outcome is Outcome.DONE else (yield from read(path))
        verdict = rules.publish_verdict(outcome, found, content)
        if verdict is not rules.Verdict.AGAIN:
            return verdict is rules.Verdict.WON
    raise Unavailable(f"{path} could not be published: no answer arrives")


def publish_or_obey(path: str, content: bytes) -> Steps[bytes]:
    """Publish, and return the bytes that are there: one's own, or those of whoever was first."""
    for _ in range(TRIES):
        if (yield from publish(path, content)):
            return content
        found = yield from read(path)
        if found is not None:
            return found
    raise Unavailable(f"{path} comes and goes")


# ── opening ──────────────────────────────────────────────────────────────────


def open_chain(key: ChainKey) -> Steps[Tail]:
    """Recover the chain; where there is none, begin it with the start that `Resolve` gives, or that of a rival."""
    tail = yield from recover(key)
    if tail is not None:
        return tail
    start, content = yield from begin(key)
    return (yield from recover(key)) or tail_of_start(key, start, content)


def begin(key: ChainKey) -> Steps[tuple[Start, bytes]]:
    """Publish where the chain begins, and obey the start that is there afterwards."""
    own = yield Resolve()
    assert isinstance(own, Start)
    path = names.start_path(key, own.era)
    content = yield from publish_or_obey(path, chain.encode(own))
    return chain.decode(content, Start, path), content


def recover(key: ChainKey) -> Steps[Tail | None]:
    """Find the newest record of the newest era, finish what it began, and return the tail; None = there is no chain.

    A record that closes its era leads on to the era it opens.

    Raises:
        StateDamaged: the chain does not hang together.
        Unavailable: it changed under every look.
    """
    tries = TRIES
    while tries:
        found = yield from look.newest_start(key)
        if found is None:
            return None
        tail = yield from look.newest_tail(key, *found)
        if tail is None:
            tries -= 1
        elif tail.newest is None:
            return tail
        else:
            yield from finish(tail.newest, rules.moves_at_recovery(tail.newest))
            if tail.newest.opens is None:
                return tail
    raise Unavailable(f"the chain of {key} changed under every look")


# ── committing ──────────────────────────────────────────────────────────────────


def commit(tail: Tail, record: Commit, uploads: Sequence[Upload]) -> Steps[Tail]:
    """Make a range of offsets done, and return the chain's new tail.

    Args:
        tail: what `open_chain` or the commit before returned; all moves of its newest commit are done.
        record: begins at `tail.next_offset`.
        uploads: one for each of `record.files`, in the same order.

    Raises:
        Fenced: another worker has the range, or the rows can only be had again by reading them again. Nothing of
            this record is visible, or all of it is for whoever opens the chain next.
        Unavailable: not now; run the job again with the same arguments.
        Refused: a file that no commit lists is in the way.
    """
    content = chain.encode(record)
    path = names.commit_path(tail.key, tail.era, record.first_offset)
    # Looked at first: a job that is run again may have published before, and a zombie need not upload.
    found = yield from read(path)
    if found is None:
        yield from stage(record, uploads)
        yield from prepare(tail, record, path)
        won = yield from publish(path, content)
    else:
        won = found == content
    if not won:
        raise Fenced(f"{tail.key}: another worker committed from offset {record.first_offset} on")
    mark = yield from fence(tail, record, path)
    yield from finish(record, rules.moves_at_commit(record))
    if record.opens is not None:
        return tail_of_start(tail.key, record.opens, chain.encode(record.opens))
    size = tail.unfolded_bytes + len(content)
    return tail_of_commit(tail.key, tail.start, record, content, mark, tail.unfolded + 1, size)


def stage(record: Commit, uploads: Sequence[Upload]) -> Steps[None]:
    """Upload all files and prove by a listing that each is there with its length."""
    outcomes: dict[str, Outcome] = {}
    for upload in uploads:
        outcomes[upload.path] = yield from change(upload)
    if not uploads:
        return
    listed = yield from entries(names.parent(uploads[0].path))
    sizes = {entry.name: entry.size for entry in listed if not entry.directory}
    for file in record.files:
        found = sizes.get(names.base(file.stage))
        verdict = rules.staged_verdict(outcomes[file.stage], found, file.bytes)
        if verdict is rules.Staged.AGAIN:
            raise Unavailable(f"{file.stage}: no answer to the upload, and it is not there")
        if verdict is rules.Staged.GONE:
            raise Fenced(f"{file.stage} is gone, so the range from {record.first_offset} on has to be read again")
        if verdict is rules.Staged.SHORT:
            yield from change(Delete(file.stage))
            raise Unavailable(f"{file.stage} has {found} bytes instead of {file.bytes}; deleted, to be uploaded again")


def prepare(tail: Tail, record: Commit, path: str) -> Steps[None]:
    """Make the final directories and prove that the final names are free."""
    for directory in dict.fromkeys(names.parent(file.path) for file in record.files):
        if (yield from change(Mkdir(directory))) is Outcome.UNKNOWN:
            raise Unavailable(f"{directory}: no answer to mkdir")
    for file in record.files:
        if not (yield from entries(file.path)):
            continue
        # A rival with the same boundaries may just have moved its file there; then the range is not ours.
        if (yield from read(path)) is not None:
            return
        mark = yield from look.archive_mark(tail.key, tail.era, tail.archive)
        if rules.is_void(record.first_offset, mark.end if mark else None):
            raise Fenced(f"{tail.key}: offset {record.first_offset} was committed and folded by another worker")
        raise Refused(f"{file.path} exists, but no commit lists it: move it away, or run `ingest verify`")


def fence(tail: Tail, record: Commit, path: str) -> Steps[ArchiveMark | None]:
    """Look, after the record was published, whether folded commits cover its range: then it is void, and removed.

    A fold publishes the archive before it deletes records. So a record that got a name which a fold had made free is
    always followed by a look that finds that archive.
    """
    mark = yield from look.archive_mark(tail.key, tail.era, tail.archive)
    if rules.is_void(record.first_offset, mark.end if mark else None):
        # Whatever comes of it: a void record is ignored by everyone, and the next fold deletes it.
        yield from change(Delete(path))
        raise Fenced(f"{tail.key}: offset {record.first_offset} was committed and folded by another worker")
    return mark


def finish(record: Commit, files: Sequence[CommitFile]) -> Steps[None]:
    """Move a published commit's files to their final names, and open the era that it opens."""
    if files:
        listed = yield from entries(names.parent(files[0].stage))
        waiting = {entry.name for entry in listed}
        made: set[str] = set()
        for file in files:
            if names.base(file.stage) in waiting:
                yield from move(file, made)
    if record.opens is not None:
        path = names.start_path(record.key, record.opens.era)
        found = yield from publish_or_obey(path, chain.encode(record.opens))
        if chain.decode(found, Start, path) != record.opens:
            raise StateDamaged(f"{path} is not what the commit at {record.first_offset} of era {record.era} opened")


def move(file: CommitFile, made: set[str]) -> Steps[None]:
    """Move one staged file to its final name; no longer staged = moved. `made` = directories known to be there."""
    directory = names.parent(file.path)
    for _ in range(TRIES):
        if directory not in made and (yield from change(Mkdir(directory))) is Outcome.DONE:
            made.add(directory)
        outcome = yield from change(Move(file.stage, file.path))
        if outcome is Outcome.DONE:
            return
        if outcome is Outcome.EXISTS:
            yield from drop_copy(file)
            return
        # Missing may also mean the target's directory, which readers and compactions delete when it is empty.
        if not (yield from entries(file.stage)):
            return
        made.discard(directory)
    raise Unavailable(f"{file.stage} could not be moved to {file.path}: no answer arrives")


def drop_copy(file: CommitFile) -> Steps[None]:
    """Delete a staged file that a late upload left behind after its twin was moved; both must be the same bytes.

    Raises:
        StateDamaged: the final name holds something else.
    """
    digest = 0
    size = 0
    while chunk := (yield from read(file.path, size, CHUNK)):
        digest = chain.crc32c_more(chunk, digest)
        size += len(chunk)
    if (size, digest) != (file.bytes, file.crc32c):
        raise StateDamaged(
            f"{file.path} exists with other content than {file.stage}, which a commit put there: "
            "somebody else writes below this root; move the foreign file away"
        )
    if (yield from change(Delete(file.stage))) is Outcome.UNKNOWN:
        raise Unavailable(f"{file.stage}: no answer to delete")
