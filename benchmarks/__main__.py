"""The benchmarks: `scripts/bench [STAGE…] [--records N] [--pairs N] [--quick]`.

Stages: ship, fetch, parse, sink, hdfs, chain, scaling (all of them when none is named), spark, profile and tail_faults
(only when named). Most are programs too: `python -m benchmarks.ship`. Tables go to stdout, progress to stderr, JSON to
`results` in the cache.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import chain, fetch, floors, parse, profile, scaling, ship, sink
from benchmarks.check import WrongResult
from benchmarks.processes import ContenderFailed
from benchmarks.tail_faults.stage import stage as tail_faults
from benchmarks.world import World, arguments, choices, say

STAGES = {
    "ship": ship.stage,
    "fetch": fetch.stage,
    "parse": parse.stage,
    "sink": sink.stage,
    "hdfs": sink.hdfs,
    "chain": chain.stage,
    "scaling": scaling.stage,
    "spark": sink.spark,
    "profile": profile.stage,
    "tail_faults": tail_faults,
}
USUAL = [name for name in STAGES if name not in ("spark", "profile", "tail_faults")]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    arguments(parser)
    options = parser.parse_args()
    if unknown := set(options.stages) - STAGES.keys():
        parser.error(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    tables = {}
    failed = []
    began = time.perf_counter()
    with World(choices(options)) as world:
        for name in options.stages or USUAL:
            try:
                tables |= {table.key: table for table in STAGES[name](world)}
            except (ContenderFailed, WrongResult) as error:
                # The other stages have something to say all the same.
                failed.append(name)
                say(f"stage {name} failed: {error}")
    print("\n" + floors.text(tables))
    print(f"\n{time.perf_counter() - began:.0f} s in all" + (f"; FAILED: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
