"""Plays every case with every shipper, counts in Kafka, and says what was missing and what was there twice.

`python -m benchmarks.tail_faults.stage [CASE…] [--kills N] [--list]` plays some of the cases, or kills more often.
`python -m benchmarks.tail_faults.page` then puts the table into docs/tailing.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shutil
import sys
import time

from benchmarks.check import WrongResult
from benchmarks.report import machine
from benchmarks.rounds import Table
from benchmarks.tail_faults.cases import CASES, Play
from benchmarks.tail_faults.scene import PARTITIONS, Scene
from benchmarks.tail_faults.settings import Settings
from benchmarks.tail_faults.shippers import SHIPPERS, WHEN_KILLED, Shipper
from benchmarks.tail_faults.topic import Watch
from benchmarks.tail_faults.verdict import Result, judge, text
from benchmarks.world import World, arguments, choices, say

RESULT = "tail-faults.json"
KILLS = 10


def stage(world: World) -> list[Table]:
    """Play all cases; raises WrongResult where a promise of ours is not kept."""
    results = play_all(world, list(CASES), 2 if world.choices.quick else KILLS)
    print("\n" + "\n".join(map(text, results)), flush=True)
    if wrong := [f"{result.case} ({result.wrong})" for result in results if result.wrong]:
        raise WrongResult(", ".join(wrong))
    return []


def play_all(world: World, keys: list[str], kills: int) -> list[Result]:
    """Play cases, print and keep what was found; what earlier runs of the day found in other cases is kept too."""
    skipped = {shipper.name: reason for shipper in SHIPPERS if (reason := shipper.missing())}
    results = []
    for key in keys:
        settings, play = CASES[key]
        for shipper in WHEN_KILLED if settings.kills else SHIPPERS:
            if shipper.missing() is None:
                result = _play(world, settings, play, shipper, kills)
                say(f"  {text(result)}")
                results.append(result)
                _keep(world, result, skipped, kills)
    return results


def _play(world: World, settings: Settings, play: Play, kind: type[Shipper], kills: int) -> Result:
    directory = world.directory()
    topic = world.broker.new_topic(PARTITIONS, f"faults-{settings.key}")
    logs = directory / "logs"
    shipper = kind(directory, world.kafka.bootstrap, topic, str(logs / settings.glob), settings.files)
    watch = Watch(world.kafka.bootstrap, topic, PARTITIONS)
    began = time.monotonic()
    try:
        scene = Scene(settings, logs, shipper, watch, world.kafka, kills)
        play(scene)
        tally = scene.settle()
        result = judge(
            settings, shipper, tally, scene.unreadable(), watch.found.repeats, scene.written.count, scene.note
        )
        result = dataclasses.replace(result, seconds=time.monotonic() - began)
    finally:
        shipper.kill()
        watch.close()
    world.broker.delete(topic)
    shutil.rmtree(directory)
    return result


def _keep(world: World, result: Result, skipped: dict[str, str], kills: int) -> None:
    path = world.choices.cache / "results" / RESULT
    path.parent.mkdir(exist_ok=True)
    document = {
        **machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {shipper.name: shipper.release() for shipper in SHIPPERS if shipper.name not in skipped},
        "kills": kills,
        "skipped": skipped,
    }
    before = json.loads(path.read_text()) if path.exists() else {}
    kept = before.pop("results", [])
    if before != document:
        kept = []
    mine = (result.case, result.shipper)
    kept = [one for one in kept if (one["case"], one["shipper"]) != mine]
    found = sorted([*kept, dataclasses.asdict(result)], key=lambda one: list(CASES).index(one["case"]))
    path.write_text(json.dumps({**document, "results": found}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all of them when none is named")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often a shipper is killed in a case that kills")
    parser.add_argument("--list", action="store_true", help="name the cases")
    arguments(parser)
    options = parser.parse_args()
    if options.list:
        for key, (settings, _) in CASES.items():
            print(f"{key:14} {settings.title}")
        return 0
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"no case {', '.join(sorted(unknown))}; --list names them")
    with World(choices(options)) as world:
        results = play_all(world, options.cases or list(CASES), options.kills)
    for result in results:
        print(text(result))
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
