"""A stand-in for journalctl, run as a program: a journal is a file with one JSON object a line.

Members come in another order in each run, as those of the real one do. What is written to the file `fails` beside the
journal is said to standard error, with exit code 1; as `says` it is said, and printing goes on.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

INTERVAL = 0.005


def main(directory, arguments):
    with (directory / "runs").open("a") as runs:
        runs.write(json.dumps(arguments) + "\n")
    if (directory / "fails").exists():
        sys.exit((directory / "fails").read_text())
    if (directory / "says").exists():
        sys.stderr.write((directory / "says").read_text())
        sys.stderr.flush()
    printed = start(entries(directory), arguments)
    while True:
        found = entries(directory)
        for entry in found[printed:]:
            show(entry)
        printed = max(printed, len(found))
        if "--follow" not in arguments or (directory / "ends").exists():
            return
        if os.getppid() == 1:
            return
        time.sleep(INTERVAL)


def entries(directory):
    lines = (directory / "journal").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def start(found, arguments):
    """Where printing begins: with a cursor at its entry, or at the oldest one where that is gone."""
    for argument in arguments:
        if argument.startswith("--cursor="):
            cursors = [entry["__CURSOR"] for entry in found]
            cursor = argument.removeprefix("--cursor=")
            return cursors.index(cursor) if cursor in cursors else 0
        if argument.startswith("--lines="):
            return max(0, len(found) - int(argument.removeprefix("--lines=")))
    return 0


def show(entry):
    members = list(entry.items())
    random.shuffle(members)
    print(json.dumps(dict(members)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
