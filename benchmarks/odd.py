"""What real applications do to a tidy stream of JSON: several shapes, and now and then a line like no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

ODD = 0.01
"""Part of the lines that have no shape at all; a tenth of these is no JSON object."""

Record = dict[str, Any]


def mixed(random: np.random.Generator, lines: list[str]) -> tuple[list[str], list[bool]]:
    """Return the lines in other shapes, and which of them are no JSON objects.

    Three in five stay; the others come from other places in the code: other members, another order, nested objects.
    """
    shapes = np.searchsorted([0.6, 0.85, 0.95], random.random(len(lines)), side="right").tolist()
    odds = (random.random(len(lines)) < ODD).tolist()
    made: list[str] = []
    bad = [False] * len(lines)
    for row, line in enumerate(lines):
        if not odds[row] and not shapes[row]:
            made.append(line)
            continue
        record = json.loads(line)
        if not odds[row]:
            made.append(_text(SHAPES[shapes[row]](record)))
            continue
        choice = int(random.integers(10 * len(LEGAL)))
        if choice % 10:
            made.append(LEGAL[choice // 10](record))
        else:
            made.append(ILLEGAL[choice // 10 % len(ILLEGAL)](line))
            bad[row] = True
    return made, bad


def _text(record: Record) -> str:
    return json.dumps(record, separators=(",", ":"))


def _without_latency(record: Record) -> Record:
    order = ["level", "ts", "host", "service", "trace", "msg"]
    return {name: record[name] for name in order}


def _audit(record: Record) -> Record:
    actor = {"id": record["status"] * 7919, "roles": ["admin", "ops"]}
    return {"ts": record["ts"], "level": "AUDIT", "service": record["service"], "actor": actor, "msg": record["msg"]}


def _heartbeat(record: Record) -> Record:
    return {"ts": record["ts"], "level": "DEBUG", "host": record["host"], "msg": "alive", "latency_ms": 0.5}


SHAPES: list[Callable[[Record], Record]] = [dict, _without_latency, _audit, _heartbeat]

LEGAL: list[Callable[[Record], str]] = [
    lambda record: _text({**record, "msg": 'said "no" in C:\\temp\n\tand left'}),
    lambda record: _text({**record, "msg": "café \u2603 \U0001f600"}),
    lambda record: json.dumps({**record, "msg": "Größe ☃ 😀"}, ensure_ascii=False, separators=(",", ":")),
    lambda record: json.dumps(record, separators=(", ", ": ")),
    lambda record: _text(dict(reversed(record.items()))),
    lambda record: _text({**record, "trace": None}),
    lambda record: _text({**record, "status": None, "latency_ms": 5}),
    lambda record: _text({**record, "error": {"type": "Timeout", "frames": [1, 2, 3]}}),
    lambda record: _text({name: value for name, value in record.items() if name != "path"}),
    lambda record: _text(record).replace('"latency_ms":', '"latency_ms":-0.0e-2,"unused":'),
]

ILLEGAL: list[Callable[[str], str]] = [
    lambda line: line[: len(line) // 2],
    lambda line: '  File "/srv/app/handler.py", line 118, in handle',
    lambda line: f"{line}{line}",
    lambda line: line.replace('"status":', '"status":"x",'),
    lambda line: "",
]
