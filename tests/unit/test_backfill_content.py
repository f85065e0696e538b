"""The bytes of a file, decompressed by what they are and not by what the file is called."""

import gzip
import hashlib
import os
import random
import tracemalloc
import zlib

import pytest

from ingest.backfill import content as module
from ingest.backfill.content import NOTHING, PIECE, Content, FileProblem, head_of, look_at
from ingest.backfill.generations import HEAD

TEXT = b"".join(b"line %d\n" % number for number in range(5000))


def written(tmp_path, data, name="a.log"):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def whole(path):
    with Content(path) as content:
        return b"".join(content.pieces())


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        b"",
        b"\x1f",
        b"\x1f\x8c",
        b"no newline",
    ],
)
def test_a_plain_file_is_its_bytes_whatever_it_is_called(tmp_path, name, data):
    path = written(tmp_path, data, name)

    with Content(path) as content:
        assert not content.compressed
        assert b"".join(content.pieces()) == data
        assert content.consumed == content.size == len(data)


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (gzip.compress(TEXT), TEXT),
        (gzip.compress(b""), b""),
        (gzip.compress(TEXT) + gzip.compress(b"more\n"), TEXT + b"more\n"),
        (gzip.compress(b"") + gzip.compress(b"more\n") + gzip.compress(b""), b"more\n"),
        (gzip.compress(TEXT) + b"\0" * 1000, TEXT),
        (gzip.compress(b"a") + b"\0" * 70_000 + gzip.compress(b"b"), b"ab"),
        (
            b"".join(gzip.compress(b"%d\n" % number) for number in range(5000)),
            b"".join(b"%d\n" % n for n in range(5000)),
        ),
    ],
    ids=["one", "nothing", "two", "empty members", "padded", "padded between", "many"],
)
def test_a_gzip_file_is_what_it_holds_whatever_it_is_called(tmp_path, name, data, expected):
    path = written(tmp_path, data, name)

    with Content(path) as content:
        assert content.compressed
        assert b"".join(content.pieces()) == expected
        assert content.consumed == len(data)


@pytest.mark.parametrize("cut", [2, 9, 11, 1000, -9, -8, -1])
def test_a_gzip_file_that_ends_in_the_middle_is_a_problem_with_its_path(tmp_path, cut):
    path = written(tmp_path, gzip.compress(TEXT)[:cut])

    with pytest.raises(FileProblem, match=r"a\.log: the gzip data ends in the middle"):
        whole(path)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        flipped(gzip.compress(TEXT), -5),
        flipped(gzip.compress(TEXT), -2),
        flipped(gzip.compress(random.Random(1).randbytes(1000)), 600),
        gzip.compress(TEXT) + b"plain text",
        b"\x1f\x8bnothing of the kind",
    ],
    ids=["crc", "length", "data", "garbage after it", "magic alone"],
)
def test_a_damaged_gzip_file_is_a_problem_with_its_path(tmp_path, data):
    path = written(tmp_path, data)

    with pytest.raises(FileProblem, match=r"a\.log: the gzip data is damaged after \d+ bytes"):
        whole(path)


def test_a_bomb_is_read_in_bounded_memory(tmp_path):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(squeeze.compress(b"\0" * (1 << 20)) for _ in range(200)) + squeeze.flush()
    path = written(tmp_path, data)

    tracemalloc.start()
    try:
        with Content(path) as content:
            sizes = [len(piece) for piece in content.pieces()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sum(sizes) == 200 << 20
    assert max(sizes) <= PIECE
    assert peak < 8 * PIECE


def test_what_grows_after_it_was_opened_is_left_out(tmp_path):
    path = written(tmp_path, b"before\n")

    with Content(path) as content, open(path, "ab") as more:
        more.write(b"after\n")
        more.flush()
        assert b"".join(content.pieces()) == b"before\n"


def test_a_file_that_becomes_shorter_while_it_is_read_is_a_problem(tmp_path):
    path = written(tmp_path, TEXT * 100)

    with Content(path) as content:
        pieces = content.pieces()
        next(pieces)
        os.truncate(path, 10)
        with pytest.raises(FileProblem, match="became shorter while it was read"):
            list(pieces)


def test_what_is_no_file_is_a_problem_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")

    for name in ("fifo", ".", "missing"):
        with pytest.raises(FileProblem, match=name):
            Content(str(tmp_path / name))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_the_head_is_as_long_as_the_longest_rung_or_all_there_is(tmp_path, compress):
    long = random.Random(2).randbytes(HEAD + 10)

    for data in (b"", b"x", long[:HEAD], long):
        with Content(written(tmp_path, compress(data))) as content:
            assert head_of(content) == data[:HEAD]


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_look_says_the_digests_at_all_positions_that_there_are(tmp_path, monkeypatch, compress, piece):
    monkeypatch.setattr(module, "PIECE", piece)
    data = TEXT[:300]
    with Content(written(tmp_path, compress(data))) as content:
        look = look_at(content, {0, 1, 7, 8, 299, 300, 301})

    assert look.length == 300
    assert look.digests == {at: digest(data[:at]) for at in (1, 7, 8, 299, 300)}


def test_a_look_reads_no_more_of_a_plain_file_than_it_must(tmp_path):
    with Content(written(tmp_path, b"x" * (3 * PIECE))) as content:
        look_at(content, {5, 4 * PIECE})
        assert content.consumed == PIECE
    with Content(written(tmp_path, b"x" * (3 * PIECE))) as content:
        assert look_at(content, ()).length == 3 * PIECE
        assert content.consumed == 0


def test_a_look_at_a_gzip_file_proves_that_it_is_whole(tmp_path):
    with Content(written(tmp_path, gzip.compress(TEXT)[:-1])) as content, pytest.raises(FileProblem):
        look_at(content, ())


def test_the_digest_of_a_whole_plain_file_is_what_sha256sum_prints(tmp_path):
    with Content(written(tmp_path, TEXT)) as content:
        assert look_at(content, {len(TEXT)}).digests == {len(TEXT): digest(TEXT)}
    assert digest(b"") == NOTHING
