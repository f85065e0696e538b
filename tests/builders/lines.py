"""Blocks of lines for tests."""

import numpy as np

from ingest.blocks import Flag, LineBlock, Stream


def stream(generation=0xFEDCBA9876543210, path="/var/log/app.log"):
    return Stream(generation, "web-1", path, "app", {"env": "test"})


def line_block(lines, *, begin=0, of=None, flags=None, boundary=False):
    """A block of `lines` (bytes without newlines) whose first one starts at position `begin`."""
    data = b"".join(line + b"\n" for line in lines)
    edges = np.concatenate(([0], np.cumsum([len(line) + 1 for line in lines]))).astype(np.int64)
    positions = edges + begin
    return LineBlock(
        of or stream(), data, edges[:-1], edges[1:] - 1, positions, int(positions[-1]), flags or {}, boundary
    )


def numbered(count, width=100, begin=0, of=None):
    """A block of `count` distinct lines of `width` bytes that no codec makes much smaller."""
    rng = np.random.default_rng(begin + count)
    letters = rng.integers(97, 123, (count, width), dtype=np.uint8)
    return line_block([b"%06d" % i + row.tobytes()[6:] for i, row in enumerate(letters)], begin=begin, of=of)


TRUNCATED = Flag(("truncated",), 5000)
