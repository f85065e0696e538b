"""The main job with a live writer and SIGKILLs: log files → Kafka → Parquet, then the comparison.

python -m tests.crash.main_job --lines 1000000 --kills 5 --destination hdfs --partitions 4
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.cli.demo.samples import access_lines, application_lines
from tests.crash.processes import Victim, run
from tests.crash.proof import Comparison, compare, download
from tests.crash.writer import LiveLog
from tests.servers.hdfs import HdfsServer
from tests.servers.kafka import KafkaServer


@dataclass(frozen=True)
class Setup:
    """What a run is made of."""

    lines: int
    kills: int
    partitions: int
    per_second: int
    memory: str = "128MiB"
    seed: int = 1
    compress: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    comparisons: dict[str, Comparison]
    verify_exit: int
    verify_text: str
    ship_kills: int
    sink_kills: int
    ship_peak_mb: float
    sink_peak_mb: float
    rotations: int
    seconds: float

    @property
    def exact(self) -> bool:
        return all(each.exact for each in self.comparisons.values()) and self.verify_exit == 0


def configuration(
    directory: Path, bootstrap: str, destination: dict[str, object], setup: Setup, *, age: str = "3s"
) -> Path:
    """Write a configuration for two logs: an application's JSON and a web server's access log, both kept raw."""
    text = f"""
[kafka]
bootstrap = ["{bootstrap}"]
[state]
dir = "{directory}/state"
[[source]]
name = "app"
type = "file"
paths = ["{directory}/logs/app.jsonl*"]
topic = "app-{directory.name}"
create_topics = true
partitions = {setup.partitions}
[[source]]
name = "access"
type = "file"
paths = ["{directory}/logs/access.log*"]
topic = "access-{directory.name}"
create_topics = true
partitions = {setup.partitions}
[sink]
group = "warehouse-{directory.name}"
memory = "{setup.memory}"
topics = ["app-{directory.name}", "access-{directory.name}"]
[sink.destination]
{chr(10).join(f"{key} = {json.dumps(value)}" for key, value in destination.items())}
[sink.defaults]
parser = "raw"
partition_by = "dt=%Y-%m-%d/hour=%H"
rotate = {{ age = "{age}", idle = "1s" }}
"""
    path = directory / "ingest.toml"
    path.write_text(text)
    return path


def crash_run(directory: Path, config: Path, setup: Setup) -> tuple[list[LiveLog], Victim, Victim]:
    """Write, ship and sink at once, killing ship and sink in turn at random moments; ends with everything read."""
    chance = random.Random(setup.seed)
    (directory / "logs").mkdir()
    half = setup.lines // 2
    begin = time.time() - 3 * 3600
    step = 3 * 3600 / half
    logs = [
        LiveLog(
            directory / "logs" / name, lines(half, begin, step), setup.per_second // 2, half // parts, setup.compress
        )
        for name, lines, parts in (("app.jsonl", application_lines, 5), ("access.log", access_lines, 4))
    ]
    ship = Victim(["ship", "-c", str(config)], directory / "ship.log")
    sink = Victim(["sink", "-c", str(config)], directory / "sink.log")
    try:
        for victim in (ship, sink):
            victim.start()
        for log in logs:
            log.start()
        duration = setup.lines / setup.per_second
        for number in range(2 * setup.kills):
            time.sleep(duration / (2 * setup.kills + 1) * chance.uniform(0.5, 1.3))
            victim = (ship, sink)[number % 2]
            victim.kill()
            victim.start()
        for log in logs:
            log.join()
        for victim, name in ((ship, "ship"), (sink, "sink")):
            if code := victim.stop():
                raise RuntimeError(f"{name} ended with {code} on SIGTERM:\n{victim.tail()}")
    finally:
        ship.end()
        sink.end()
    for arguments in (["ship", "-c", str(config), "--once"], ["sink", "-c", str(config), "--once"]):
        done = run(arguments)
        if done.returncode:
            raise RuntimeError(f"ingest {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return logs, ship, sink


def prove(directory: Path, config: Path, setup: Setup, fetch: object = None, root: Path | None = None) -> Outcome:
    """Run and compare; `root` is the warehouse as a local directory, or `fetch()` brings a copy of it."""
    began = time.monotonic()
    logs, ship, sink = crash_run(directory, config, setup)
    warehouse = root if root is not None else fetch()  # type: ignore[operator]
    comparisons = {
        name: compare(log.files(), warehouse / f"{name}-{directory.name}")
        for name, log in zip(("app", "access"), logs, strict=True)
    }
    verified = run(["verify", "-c", str(config)])
    return Outcome(
        comparisons,
        verified.returncode,
        verified.stdout[-2000:] + verified.stderr[-2000:],
        ship.kills,
        sink.kills,
        ship.peak_bytes / 1e6,
        sink.peak_bytes / 1e6,
        sum(log.rotations for log in logs),
        time.monotonic() - began,
    )


def on_hdfs(directory: Path, kafka: KafkaServer, hdfs: HdfsServer, setup: Setup) -> Outcome:
    """Run against a real Kafka and a real HDFS."""
    root = f"/warehouse-{directory.name}"
    config = configuration(
        directory, kafka.bootstrap, {"type": "webhdfs", "urls": [hdfs.url], "root": root, "user": "ingest"}, setup
    )
    hdfs.call("PUT", root, op="MKDIRS")
    hdfs.call("PUT", root, op="SETOWNER", owner="ingest")
    return prove(directory, config, setup, fetch=lambda: download(hdfs.url, root, directory / "copy"))


def on_local(directory: Path, kafka: KafkaServer, setup: Setup) -> Outcome:
    """Run against a real Kafka and a local directory."""
    root = directory / "warehouse"
    config = configuration(directory, kafka.bootstrap, {"type": "local", "root": str(root)}, setup)
    return prove(directory, config, setup, root=root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--per-second", type=int, default=25_000)
    parser.add_argument("--memory", default="128MiB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--destination", choices=["hdfs", "local"], default="hdfs")
    options = parser.parse_args()
    given = vars(options)
    setup = Setup(**{name: given[name] for name in Setup.__dataclass_fields__})
    directory = Path(tempfile.mkdtemp(prefix="crash-"))
    with KafkaServer(directory / "kafka") as kafka:
        if options.destination == "hdfs":
            with HdfsServer(directory / "hdfs") as hdfs:
                outcome = on_hdfs(directory, kafka, hdfs, setup)
        else:
            outcome = on_local(directory, kafka, setup)
    shown = asdict(outcome)
    for comparison in shown["comparisons"].values():
        comparison["files"] = len(comparison.pop("rows_by_file"))
        comparison["examples"] = [repr(line) for line in comparison["examples"]]
    print(json.dumps(shown, indent=2))
    sys.exit(0 if outcome.exact else 4)


if __name__ == "__main__":
    main()
