"""What `ingest status` shows of a topic partition."""

from __future__ import annotations

from typing import Any

from ingest.sink.assignment import Assignment


def describe(assignment: Assignment) -> dict[str, Any]:
    """Return the state of a partition in words and numbers; on the loop's thread."""
    opened = assignment.range
    figures = None if opened is None else opened.figures()
    return {
        "topic": assignment.topic,
        "partition": assignment.partition,
        "phase": "committing" if assignment.committing else str(assignment.phase),
        "next_offset": assignment.committed_offset,
        "read_offset": None if opened is None else opened.next_offset,
        "open_rows": 0 if figures is None else figures.rows,
        "open_bytes": 0 if figures is None else figures.bytes,
        "stopped": None if assignment.stop is None else assignment.stop.message,
        "waiting": assignment.waiting,
    }
