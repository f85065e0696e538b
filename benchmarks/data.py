"""Log lines with honest entropy: seeded, made once, kept on disk.

    j230        an application's JSON, 211 B a line       j230-mixed   the same from several places in the code:
    j360        with more members, 340 B                  j360-mixed   four shapes, 1 % odd lines, 0.1 % no JSON
    clf         Apache's combined format, 147 B           logfmt, syslog, csv: the facts of j230 in other clothes

Ids, addresses, paths, latencies and sizes are random, so that compression has as much to do as with real logs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import odd

FORMAT = 3
"""Raised when the same specification makes other lines."""

CHUNK = 20_000
BEGIN = 1_700_002_800_000  # 2023-11-14 23:00 UTC, in milliseconds: all lines of one hour have one hour's directory
HOUR = 3_600_000

SERVICES = ["checkout", "cart", "search", "auth", "catalog", "payments", "gateway", "inventory"]
LEVELS = ["INFO"] * 17 + ["WARN"] * 2 + ["ERROR"]
MESSAGES = [
    "request completed ok",
    "cache miss, falling back to origin",
    "user session refreshed",
    "retrying upstream call",
    "slow query detected in pool",
]
PATHS = ["/api/v1/items/%d", "/api/v1/users/%d/cart", "/api/v2/search?q=%d", "/static/img/%d.png", "/healthz?n=%d"]
STATUS = [200, 200, 200, 304, 404, 500]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/121.0",
    "curl/8.5.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2) Safari/604.1",
    "python-requests/2.31",
    "Googlebot/2.1",
]

Random = np.random.Generator
Times = npt.NDArray[np.int64]
Maker = Callable[[Random, Times], list[str]]


@dataclass(frozen=True, slots=True)
class Spec:
    """Which lines: everything that they depend on."""

    kind: str
    lines: int
    seed: int = 7
    parts: int = 4
    """Files: a stream goes to one partition, so that as many partitions are busy."""
    hours: int = 1
    """Event hours; more than one are interleaved line by line."""

    @property
    def name(self) -> str:
        """Return a name for directories and topics."""
        return f"{self.kind}-{self.lines}-h{self.hours}-p{self.parts}-s{self.seed}-v{FORMAT}"


@dataclass(frozen=True, slots=True)
class Lines:
    """What lies on disk. `crc` is the sum of the CRC-32 of all lines, without their newlines: order does not matter."""

    spec: Spec
    directory: Path
    lines: int
    bytes: int
    """Of the values: without newlines."""
    crc: int
    bad: int
    """Lines that no JSON parser may accept."""

    @property
    def glob(self) -> str:
        return str(self.directory / "*.log")

    @property
    def files(self) -> list[Path]:
        return sorted(self.directory.glob("*.log"))

    @property
    def good(self) -> list[Path]:
        """Return the files without the bad lines."""
        return [self.directory / "good.txt"] if self.bad else self.files


# ── kinds ────────────────────────────────────────────────────────────────────


def _picked(random: Random, choices: list[str], count: int) -> list[str]:
    return [choices[index] for index in random.integers(len(choices), size=count).tolist()]


def _request_paths(random: Random, count: int) -> list[str]:
    numbers = random.integers(100_000, size=count).tolist()
    return [path % number for path, number in zip(_picked(random, PATHS, count), numbers, strict=True)]


def _statuses(random: Random, count: int) -> list[int]:
    return [STATUS[index] for index in random.integers(len(STATUS), size=count).tolist()]


def _facts(random: Random, times: Times) -> Iterator[tuple[int, str, str, int, str, int, float, str, str]]:
    """Yield ts, level, service, host number, path, status, latency, message, trace."""
    count = len(times)
    traces = random.bytes(16 * count).hex()
    return zip(
        times.tolist(),
        _picked(random, LEVELS, count),
        _picked(random, SERVICES, count),
        random.integers(40, size=count).tolist(),
        _request_paths(random, count),
        _statuses(random, count),
        np.round(random.exponential(50, count), 3).tolist(),
        _picked(random, MESSAGES, count),
        [traces[start : start + 32] for start in range(0, 32 * count, 32)],
        strict=True,
    )


def j230(random: Random, times: Times) -> list[str]:
    return [
        f'{{"ts":{ts},"level":"{level}","service":"{service}","host":"web-{host:02d}","path":"{path}",'
        f'"status":{status},"latency_ms":{latency},"msg":"{message}","trace":"{trace}"}}'
        for ts, level, service, host, path, status, latency, message, trace in _facts(random, times)
    ]


def j360(random: Random, times: Times) -> list[str]:
    count = len(times)
    spans = random.bytes(8 * count).hex()
    more = zip(
        j230(random, times),
        random.integers(10**7, size=count).tolist(),
        random.integers(4, size=count).tolist(),
        random.integers(10**6, size=count).tolist(),
        (random.random(count) < 0.3).tolist(),
        [spans[start : start + 16] for start in range(0, 16 * count, 16)],
        random.integers(9, size=count).tolist(),
        random.integers(30, size=count).tolist(),
        strict=True,
    )
    return [
        f'{line[:-1]},"user_id":{user},"region":"eu-west-{region}","bytes":{size},'
        f'"cached":{"true" if cached else "false"},"span":"{span}","env":"production","ver":"2.{major}.{minor}"}}'
        for line, user, region, size, cached, span, major, minor in more
    ]


def clf(random: Random, times: Times) -> list[str]:
    count = len(times)
    stamps = _stamps(times, "%d/%b/%Y:%H:%M:%S +0000")
    octets = random.integers(1, 224, size=(count, 4)).tolist()
    users = random.integers(5000, size=count).tolist()
    known = (random.random(count) < 0.2).tolist()
    posts = (random.random(count) < 0.15).tolist()
    sizes = random.integers(200_000, size=count).tolist()
    pages = random.integers(9999, size=count).tolist()
    referred = (random.random(count) < 0.6).tolist()
    paths, statuses, agents = _request_paths(random, count), _statuses(random, count), _picked(random, AGENTS, count)
    return [
        f"{a}.{b}.{c}.{d} - {f'u{users[row]}' if known[row] else '-'} [{stamps[row]}] "
        f'"{"POST" if posts[row] else "GET"} {paths[row]} HTTP/1.1" {statuses[row]} {sizes[row]} '
        f'"{f"https://shop.example.com/p/{pages[row]}" if referred[row] else "-"}" "{agents[row]}"'
        for row, (a, b, c, d) in enumerate(octets)
    ]


def logfmt(random: Random, times: Times) -> list[str]:
    stamps = _iso(times)
    return [
        f"ts={stamps[row]} level={level} service={service} host=web-{host:02d} path={path} status={status} "
        f'latency_ms={latency} msg="{message}" trace={trace}'
        for row, (_, level, service, host, path, status, latency, message, trace) in enumerate(_facts(random, times))
    ]


def syslog(random: Random, times: Times) -> list[str]:
    stamps = _iso(times)
    return [
        f"<{134 if level == 'INFO' else 132}>1 {stamps[row]} web-{host:02d} {service} {1000 + host} ID{status} - "
        f"{message} path={path} latency_ms={latency} trace={trace}"
        for row, (_, level, service, host, path, status, latency, message, trace) in enumerate(_facts(random, times))
    ]


def csv(random: Random, times: Times) -> list[str]:
    return [
        f'{ts},{level},{service},web-{host:02d},{path},{status},{latency},"{message}",{trace}'
        for ts, level, service, host, path, status, latency, message, trace in _facts(random, times)
    ]


def _stamps(times: Times, form: str) -> list[str]:
    seconds, inverse = np.unique(times // 1000, return_inverse=True)
    texts = [time.strftime(form, time.gmtime(second)) for second in seconds.tolist()]
    return [texts[index] for index in inverse.tolist()]


def _iso(times: Times) -> list[str]:
    parts = zip(_stamps(times, "%Y-%m-%dT%H:%M:%S"), (times % 1000).tolist(), strict=True)
    return [f"{second}.{millisecond:03d}Z" for second, millisecond in parts]


MAKERS: dict[str, Maker] = {
    "j230": j230,
    "j360": j360,
    "clf": clf,
    "logfmt": logfmt,
    "syslog": syslog,
    "csv": csv,
}


# ── on disk ──────────────────────────────────────────────────────────────────


def lines_of(spec: Spec, part: int) -> Iterator[tuple[list[str], list[bool]]]:
    """Yield the lines of a part in chunks, each with which of them are bad."""
    base, mixed, _ = spec.kind.partition("-mixed")
    random = np.random.default_rng([spec.seed, zlib.crc32(spec.kind.encode()), spec.hours, part])
    first, last = spec.lines * part // spec.parts, spec.lines * (part + 1) // spec.parts
    for begin in range(first, last, CHUNK):
        rows = np.arange(begin, min(begin + CHUNK, last))
        times = BEGIN + rows * (HOUR - 1000) // spec.lines + random.integers(3, size=len(rows))
        if spec.hours > 1:
            times += random.integers(spec.hours, size=len(rows)) * HOUR
        lines = MAKERS[base](random, times)
        yield odd.mixed(random, lines) if mixed else (lines, [False] * len(lines))


def make(spec: Spec, cache: Path) -> Lines:
    """Return the lines, made now or before."""
    directory = cache / spec.name
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{spec.name}.") as temporary:
            work = Path(temporary) / "lines"
            work.mkdir()
            (work / "facts.json").write_text(json.dumps(_write(spec, work)) + "\n")
            work.rename(directory)
    facts = json.loads((directory / "facts.json").read_text())
    return Lines(spec, directory, facts["lines"], facts["bytes"], facts["crc"], facts["bad"])


def _write(spec: Spec, directory: Path) -> dict[str, object]:
    count = size = crc = bad = 0
    with (directory / "good.txt").open("wb") as good:
        for part in range(spec.parts):
            with (directory / f"part-{part:03d}.log").open("wb") as file:
                for lines, is_bad in lines_of(spec, part):
                    values = [line.encode() for line in lines]
                    count += len(values)
                    size += sum(map(len, values))
                    crc += sum(map(zlib.crc32, values))
                    bad += sum(is_bad)
                    file.write(b"\n".join(values) + b"\n")
                    if "-mixed" in spec.kind:
                        kept = [value + b"\n" for value, wrong in zip(values, is_bad, strict=True) if not wrong]
                        good.write(b"".join(kept))
    if not bad:
        (directory / "good.txt").unlink()
    return {"spec": asdict(spec), "lines": count, "bytes": size, "crc": crc, "bad": bad}


def forget(cache: Path) -> None:
    """Delete everything that was made."""
    shutil.rmtree(cache, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=[*MAKERS, "j230-mixed", "j360-mixed"])
    parser.add_argument("lines", type=int)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--hours", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path(".cache/bench/data"))
    options = parser.parse_args()
    made = make(Spec(options.kind, options.lines, options.seed, options.parts, options.hours), options.directory)
    print(f"{made.directory}: {made.lines} lines, {made.bytes / made.lines:.0f} B a line, {made.bad} bad")


if __name__ == "__main__":
    main()
