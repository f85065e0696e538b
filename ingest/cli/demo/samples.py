"""Sample logs shaped like real ones: an application's JSON lines and a web server's combined access log.

Seeded, so that two runs write the same lines; random where real logs are (trace ids, paths, latencies, addresses), so
that they compress like real ones. Every line is unique, so that a lost and a repeated line can't hide each other.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

_SERVICES = ("checkout", "cart", "search", "auth", "catalog", "payments", "gateway", "inventory")
_LEVELS = ("INFO",) * 17 + ("WARN",) * 2 + ("ERROR",)
_MESSAGES = (
    "request completed",
    "cache miss, falling back to origin",
    "user session refreshed",
    "retrying upstream call",
    "slow query detected in pool",
)
_PATHS = ("/api/v1/items/%d", "/api/v1/users/%d/cart", "/api/v2/search?q=%d", "/static/img/%d.png", "/healthz?n=%d")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/121.0",
    "curl/8.5.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2) Safari/604.1",
    "python-requests/2.31",
)
_STATUS = (200, 200, 200, 304, 404, 500)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def application_lines(count: int, begin: float, step: float, seed: int = 7) -> Iterator[str]:
    """Yield JSON lines of about 210 bytes; `begin` is the first one's time in seconds, `step` what lies between two."""
    chance = random.Random(seed)
    for number in range(count):
        yield json.dumps(
            {
                "ts": int((begin + number * step) * 1000),
                "level": _LEVELS[chance.randrange(20)],
                "service": _SERVICES[chance.randrange(8)],
                "host": f"web-{chance.randrange(40):02d}",
                "path": _PATHS[chance.randrange(5)] % chance.randrange(100_000),
                "status": _STATUS[chance.randrange(6)],
                "latency_ms": round(chance.expovariate(0.02), 3),
                "msg": _MESSAGES[chance.randrange(5)],
                "trace": f"{chance.getrandbits(96):024x}{number:08x}",
            },
            separators=(",", ":"),
        )


def access_lines(count: int, begin: float, step: float, seed: int = 11) -> Iterator[str]:
    """Yield lines in Apache's combined format, about 190 bytes."""
    chance = random.Random(seed)
    for number in range(count):
        at = time.gmtime(begin + number * step)
        stamp = (
            f"{at.tm_mday:02d}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}"
            f":{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"
        )
        address = ".".join(str(chance.randrange(1, 224)) for _ in range(4))
        path = _PATHS[chance.randrange(5)] % chance.randrange(100_000)
        yield (
            f'{address} - - [{stamp}] "GET {path} HTTP/1.1" {_STATUS[chance.randrange(6)]} {chance.randrange(200_000)} '
            f'"https://shop.example.com/p/{number}" "{_AGENTS[chance.randrange(4)]}"'
        )


@dataclass(slots=True)
class LogWriter:
    """Appends lines to a log as an application does: in small bursts, with the file open, rotated by rename.

    `half_lines` bursts end in the middle of a line, as a buffered writer's do.
    """

    path: Path
    lines: Iterator[str]
    rotate_after: int
    written: int = 0
    size: int = 0
    rotations: int = 0

    def run(self, burst: int, pause: Callable[[], None]) -> None:
        """Write all lines, `burst` at a time, each burst ending with half of the next one's first line."""
        file = self.path.open("ab", buffering=0)
        rest = b""
        try:
            while lines := [line for _, line in zip(range(burst), self.lines, strict=False)]:
                data = rest + "".join(f"{line}\n" for line in lines).encode()
                half = len(data) - 40
                file.write(data[:half])
                rest = data[half:]
                self.written += len(lines)
                self.size += half
                pause()
                if self.written // self.rotate_after > self.rotations:
                    file.write(rest)
                    self.size += len(rest)
                    rest = b""
                    file.close()
                    file = self._rotate()
            file.write(rest)
            self.size += len(rest)
        finally:
            file.close()

    def _rotate(self) -> FileIO:
        self.rotations += 1
        self.path.rename(self.path.with_name(f"{self.path.name}.{self.rotations}"))
        return self.path.open("ab", buffering=0)
