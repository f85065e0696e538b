"""The columns of each kind of line: what every contender must make of it."""

from __future__ import annotations

JSON_230 = {
    "ts": "timestamp",
    "level": "string",
    "service": "string",
    "host": "string",
    "path": "string",
    "status": "int32",
    "latency_ms": "double",
    "msg": "string",
    "trace": "string",
}
JSON_360 = {
    **JSON_230,
    "user_id": "int64",
    "region": "string",
    "bytes": "int64",
    "cached": "bool",
    "span": "string",
    "env": "string",
    "ver": "string",
}
FEW_VALUES = ["level", "service", "host", "status", "msg", "region", "cached", "env", "ver"]
"""Columns that a careful person would let Parquet write with a dictionary."""


def schema(kind: str) -> dict[str, str]:
    """Return column → type of a kind of JSON lines."""
    return JSON_360 if kind.startswith("j360") else JSON_230
