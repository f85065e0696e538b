"""Blocks of records for tests."""

import json

import numpy as np
import pyarrow as pa

from ingest.blocks import Identity, RecordBlock

TOPIC, PARTITION = "logs", 3
LINES = [f"line {i}".encode() for i in range(30)]
# The generation's lines: line i covers [EDGES[i], EDGES[i + 1]).
EDGES = np.concatenate(([0], np.cumsum([len(line) + 1 for line in LINES])))


def source_header(generation, topic=TOPIC, partition=PARTITION):
    return json.dumps(
        {
            "generation": f"{generation:016x}",
            "host": "web-1",
            "path": "/var/log/app.log",
            "source": "app",
            "topic": topic,
            "partition": partition,
        }
    ).encode()


def block(rows, *, first_offset=0, introduce=True):
    """rows: (generation, first line, last line exclusive) each one record."""
    starts = np.array([EDGES[a] for _, a, _ in rows], np.int64)
    ends = np.array([EDGES[b] for _, _, b in rows], np.int64)
    seen: set[int] = set()
    sources = {}
    for row, (generation, _, _) in enumerate(rows):
        if introduce and generation not in seen:
            sources[row] = source_header(generation)
            seen.add(generation)
    return RecordBlock(
        TOPIC,
        PARTITION,
        np.arange(first_offset, first_offset + len(rows), dtype=np.int64),
        np.full(len(rows), 1_700_000_000_000, np.int64),
        pa.array([b"\n".join(LINES[a:b]) for _, a, b in rows], pa.binary()),
        None,
        Identity(np.ones(len(rows), np.bool_), np.array([g for g, _, _ in rows], np.uint64), starts, ends),
        sources,
        {},
        first_offset + len(rows),
    )
