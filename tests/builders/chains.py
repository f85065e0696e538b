"""Small chains for tests: a committer on a filesystem in memory, and real Parquet files to commit."""

import io
import itertools

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.commit import chain
from ingest.commit.committer import ChainKey, CommitDraft, Committer, StagedFile
from ingest.testing.clock import ManualClock

KEY = ChainKey("t", 0)
IDS = itertools.count()
CLOCK = ManualClock()


def committer(filesystem, worker="w", key=KEY, **more):
    return Committer(
        filesystem, key, worker=worker, version="1", now=CLOCK.now, new_id=lambda: f"id{next(IDS)}", **more
    )


def parquet(offsets, topic="t", partition=0, column="kafka_offset", **metadata):
    told = {
        "ingest.topic": topic,
        "ingest.partition": str(partition),
        "ingest.first_offset": str(min(offsets)),
        "ingest.last_offset": str(max(offsets)),
        "ingest.rows": str(len(offsets)),
        **metadata,
    }
    table = pa.table({column: pa.array(offsets, pa.int64()), "value": ["x"] * len(offsets)})
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(told), target)
    return target.getvalue()


def staged(offsets, kind="data", partition_path="dt=1", content=None, **more):
    content = parquet(offsets) if content is None else content
    ends = (min(offsets), max(offsets))
    return StagedFile(content, kind, partition_path, len(offsets), len(content), chain.crc32c(content), *ends, **more)


def draft(first, next_offset, **more):
    """One data file with every offset."""
    return CommitDraft(next_offset, [staged(range(first, next_offset))], **more)


def stream(*intervals, seen=0):
    crc = tuple(range(len(intervals)))
    return chain.StreamRecord(intervals=intervals, crc=crc, host="h", path="/p", source="s", seen=seen)


def generation(number):
    return f"{number:016x}"
