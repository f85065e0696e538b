"""The benchmarks run from a fresh clone, and find every result right; what they measure on few lines means nothing."""

import json
import os
import subprocess

import pytest

from tests.builders.tree import ROOT
from tests.servers.plugin import require_servers

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = ["ship", "fetch", "parse", "sink", "chain"]


def test_every_stage_runs_and_prints_the_floors(tmp_path):
    require_servers()
    command = [ROOT / "scripts/bench", *STAGES, "--quick", "--records", "4000", "--cache", tmp_path]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "CI": ""}, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    printed = done.stdout.splitlines()
    header = next(number for number, line in enumerate(printed) if line.split() == ["floor", "aim", "found"])
    assert json.loads((tmp_path / "results/sink-j360.json").read_text())["contenders"]["ingest"]["lines"] == 4000
    floors = [line for line in printed[header + 1 :] if line.strip()]
    for what in ("ship, Apache lines, vs librdkafka", "fetch + all columns", "sink j360", "whole chain", "RSS of sink"):
        assert any(line.startswith(what) for line in floors), what


def test_faults_are_played_counted_and_judged(tmp_path):
    require_servers()
    subprocess.run([ROOT / "scripts/install", ".venv-bench", "bench"], cwd=ROOT, check=True, timeout=400)
    command = [
        ROOT / ".venv-bench/bin/python",
        "-m",
        "benchmarks.tail_faults.stage",
        "s1b",
        "s3-out",
        "--cache",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results/tail-faults.json").read_text())["results"]
    ours = {result["case"]: result for result in results if result["shipper"] == "ingest"}
    assert {case: result["wrong"] for case, result in ours.items()} == {"s1b": "", "s3-out": ""}
    assert {case: result["tally"]["missing"] for case, result in ours.items()} == {"s1b": 0, "s3-out": 0}
