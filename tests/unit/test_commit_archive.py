import io

import pytest

from ingest.commit import archive, chain
from ingest.commit.chain import Commit
from ingest.commit.committer import StartDraft
from ingest.errors import StateDamaged
from ingest.testing.memory import MemoryFilesystem
from tests.builders.chains import committer, draft, generation, stream


def commits(count):
    """The records of a real chain with `count` commits, with their bytes, and a stream that ends after the first."""
    filesystem = MemoryFilesystem()
    worker = committer(filesystem)
    tail = worker.open(StartDraft(5))
    for number in range(count):
        streams = {generation(7): stream((0, 10 * number + 10))}
        if number == 0:
            streams[generation(2**64 - 1)] = stream((0, 3))
        tail = worker.commit(draft(tail.next_offset, tail.next_offset + 2, streams=streams))
    contents = [content for path, content in sorted(filesystem.files.items()) if "/commits/" in path]
    return [(chain.decode(content, Commit, "p"), content) for content in contents]


def test_an_archive_gives_back_the_records_byte_for_byte():
    records = commits(3)
    rows = archive.entries(io.BytesIO(archive.build(records)), "p")
    assert [row.record for row in rows] == [content for _, content in records]
    assert [(row.first_offset, row.next_offset) for row in rows] == [(5, 7), (7, 9), (9, 11)]
    assert [row.crc32c for row in rows] == [chain.crc32c(content) for _, content in records]


def test_the_end_of_an_archive_is_in_its_last_bytes():
    content = archive.build(commits(3))
    assert archive.range_of(content[-archive.TAIL_BYTES :], "p") == (5, 11)
    footer = int.from_bytes(content[-8:-4], "little") + 8
    assert archive.range_of(content[-footer:], "p") == (5, 11)
    assert archive.range_of(content[-footer + 1 :], "p") is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100, b"garbage!\x08\x00\x00\x00PAR1"])
def test_what_is_no_archive_is_damage(content):
    with pytest.raises(StateDamaged, match=r"the/archive.*verify"):
        archive.range_of(content, "the/archive")
    with pytest.raises(StateDamaged, match=r"the/archive.*verify"):
        archive.entries(io.BytesIO(content), "the/archive")


def test_each_generation_stands_once_beside_the_newest_record_that_knows_it():
    records = commits(3)
    content = archive.build(records)
    assert archive.generations(io.BytesIO(content), "p").tolist() == [7, 2**64 - 1]
    assert archive.record_of(io.BytesIO(content), "p", 7) == records[2][1]
    assert archive.record_of(io.BytesIO(content), "p", 2**64 - 1) == records[0][1]
    assert archive.record_of(io.BytesIO(content), "p", 8) is None
