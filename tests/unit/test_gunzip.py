"""Decompressing in steps: what is proven, how it ends, and that no step is large."""

import gzip
import os
import zlib

import pytest

from ingest.connectors.tail.gunzip import Gunzip

TEXT = b"".join(b"line %d\n" % number for number in range(5000))
ONE, TWO = gzip.compress(TEXT), gzip.compress(b"more\n")
BAD_CRC = ONE[:-8] + bytes(4) + ONE[-4:]


@pytest.fixture
def gunzipped(tmp_path):
    """Decompress bytes as a file; return the reading and what it gave."""

    def run(data, limit=1 << 20):
        path = tmp_path / "file.gz"
        path.write_bytes(data)
        fd = os.open(path, os.O_RDONLY)
        reading, pieces = Gunzip(), []
        while reading.ending is None:
            pieces.append(reading.step(fd, limit))
        os.close(fd)
        return reading, pieces

    return run


@pytest.mark.parametrize(
    ("data", "content", "proven", "whole", "foreign"),
    [
        (ONE, TEXT, len(TEXT), True, False),
        (ONE + TWO, TEXT + b"more\n", len(TEXT) + 5, True, False),
        (ONE + bytes(700) + TWO + bytes(90), TEXT + b"more\n", len(TEXT) + 5, True, False),
        (gzip.compress(b""), b"", 0, True, False),
        (b"", b"", 0, False, False),
        (ONE[:1], b"", 0, False, False),
        (ONE[:-8], TEXT, 0, False, False),
        (ONE[:-1], TEXT, 0, False, False),
        (ONE + TWO[:-1], TEXT + b"more\n", len(TEXT), False, False),
        (ONE + b"\x1f", TEXT, len(TEXT), False, False),
        (ONE + b"rubbish", TEXT, len(TEXT), False, False),
        (BAD_CRC, None, 0, False, False),
        (TWO + BAD_CRC, None, 5, False, False),
        (b"plain text\n", b"", 0, False, True),
        (bytes(100), b"", 0, False, True),
    ],
    ids=[
        "one-member",
        "two-members",
        "padding",
        "no-content",
        "empty",
        "one-byte",
        "no-trailer",
        "half-a-trailer",
        "cut-in-the-second",
        "cut-in-the-second-header",
        "rubbish-after",
        "bad-crc",
        "bad-crc-in-the-second",
        "text",
        "zeros",
    ],
)
@pytest.mark.parametrize("limit", [1, 100, 1 << 20])
def test_only_whole_members_are_proven(gunzipped, data, content, proven, whole, foreign, limit):
    reading, pieces = gunzipped(data, limit)

    assert content is None or b"".join(pieces) == content
    assert all(len(piece) <= limit for piece in pieces)
    assert (reading.proven, reading.ending.whole, reading.ending.foreign) == (proven, whole, foreign)
    assert bool(reading.ending.reason) != whole


def test_what_expands_a_thousandfold_comes_in_pieces(gunzipped):
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(64)) + squeezed.flush()
    assert len(bomb) < 1 << 17

    reading, pieces = gunzipped(bomb, 10_000)

    assert (reading.proven, max(map(len, pieces))) == (64 << 20, 10_000)


def test_a_million_empty_members_are_many_small_steps(gunzipped):
    reading, pieces = gunzipped(gzip.compress(b"") * 50_000 + TWO)

    assert b"".join(pieces) == b"more\n"
    assert reading.ending.whole
    assert len(pieces) > 50_000
