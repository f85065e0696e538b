"""`ingest backfill files` as a person runs it: real processes, a local warehouse, rows read by another program."""

import gzip
import json
import os
import shutil
import signal
import subprocess

import duckdb
import pytest

from tests.crash.processes import INGEST, run
from tests.crash.proof import compare

CONFIG = """
[state]
dir = "{directory}/state"
[[source]]
name = "web"
type = "file"
paths = ["{directory}/live/*.log"]
topic = "logs"
[sink]
group = "g"
topics = ["logs"]
[sink.destination]
type = "local"
root = "{directory}/warehouse"
[sink.defaults]
parser = "raw"
rotate = {{ rows = 20_000 }}
"""


class Machine:
    """A directory with a configuration, files, and the warehouse that they go to."""

    def __init__(self, directory, config=CONFIG):
        self.directory = directory
        self.warehouse = directory / "warehouse"
        self.config = directory / "ingest.toml"
        self.config.write_text(config.format(directory=directory))
        (directory / "live").mkdir()
        (directory / "old").mkdir()

    def write(self, name, content, modified=1_700_000_000):
        path = self.directory / name
        path.write_bytes(content)
        os.utime(path, (modified, modified))
        return path

    def arguments(self, *arguments, source="web"):
        command = ["backfill", "files", "-c", str(self.config), "--source", source]
        return [*command, *map(str, arguments)]

    def backfill(self, *arguments, code=0, source="web"):
        done = run(self.arguments(*arguments, source=source))
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def decisions(self, done):
        """name → (lines, rows, decision)"""
        found = {}
        for line in done.stdout.splitlines()[1:-1]:
            name, lines, rows, _, _, decision = line.split(None, 5)
            found[os.path.basename(name)] = (int(lines.replace("_", "")), int(rows.replace("_", "")), decision)
        return found

    def rows(self, *paths):
        """Every line of the files is a row, once; anything else is shown."""
        found = compare(paths, self.warehouse / "logs")
        assert (found.missing, found.extra) == (0, 0), found
        assert found.rows == found.lines
        return found.rows

    def verify(self):
        done = run(["verify", "--json", "--deep", str(self.warehouse)])
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def numbered(count, start=0):
    return b"".join(b"%08d %s\n" % (number, b"x" * (number % 120)) for number in range(start, start + count))


def test_a_content_is_taken_once_plain_or_packed_and_a_second_run_adds_nothing(machine):
    plain = machine.write("old/a.log", numbered(1000), 1_700_000_000)
    packed = machine.write("old/a.log.1.gz", gzip.compress(numbered(1000)), 1_700_000_001)
    other = machine.write("old/other.gz", gzip.compress(numbered(500, 5000)), 1_700_000_002)

    first = machine.backfill(plain, packed, other)
    second = machine.backfill(other, packed, plain)

    same = f"same as {plain}"
    assert machine.decisions(first) == {
        "a.log": (1000, 1000, "new"),
        "a.log.1.gz": (0, 0, same),
        "other.gz": (500, 500, "new"),
    }
    assert machine.decisions(second) == {
        "a.log": (0, 0, "already there"),
        "a.log.1.gz": (0, 0, same),
        "other.gz": (0, 0, "already there"),
    }
    assert machine.rows(plain, machine.write("other", numbered(500, 5000))) == 1500
    report = machine.verify()
    assert report["counts"]["chains"] == 2
    assert not (machine.warehouse / "_ingest" / "root.json").exists()
    assert [path.name for path in (machine.directory / "state" / "backfill").iterdir()] == ["lock"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_that_is_killed_after_its_first_commit_is_completed_by_the_next(machine, packed):
    content = numbered(300_000)
    plain = machine.write("plain", content)
    path = machine.write("old/a.log", gzip.compress(content, 1)) if packed else plain
    process = subprocess.Popen([*INGEST, *machine.arguments(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        chains = machine.warehouse / "_ingest" / "logs" / "backfill"
        while not list(chains.glob("*/0/commits/*.json")):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    committed = sum(json.loads(record.read_text())["rows"] for record in chains.glob("*/0/commits/*.json"))
    assert 0 < committed < 300_000

    done = machine.backfill(path)

    (lines, rows, decision) = machine.decisions(done)[path.name]
    assert decision.startswith("resume at ")
    assert lines == rows == 300_000 - committed
    assert machine.rows(plain) == 300_000
    report = machine.verify()
    assert report["counts"].get("staged", 0) == 0
    assert machine.decisions(machine.backfill(path))[path.name] == (0, 0, "already there")
    assert [path.name for path in (machine.directory / "state" / "backfill").iterdir()] == ["lock"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_commits_and_says_how_to_go_on(machine, number):
    path = machine.write("old/a.log", numbered(300_000))
    process = subprocess.Popen(
        [*INGEST, *machine.arguments(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not list(machine.warehouse.glob("_ingest/logs/backfill/*/0/commits/*.json")):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == (130 if number == signal.SIGINT else 1)
    assert "run again to go on there" in err
    assert "Traceback" not in err
    (_, rows, decision) = machine.decisions(subprocess.CompletedProcess([], 0, out, err))["a.log"]
    assert decision == "stopped"
    assert 0 < rows < 300_000
    machine.verify()
    assert machine.decisions(machine.backfill(path))["a.log"][1] == 300_000 - rows
    assert machine.rows(path) == 300_000


def test_two_runs_at_once_write_every_line_once(machine):
    path = machine.write("old/a.log", numbered(100_000))
    processes = [
        subprocess.Popen([*INGEST, *machine.arguments(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        ended = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()

    assert 0 in [process.returncode for process in processes], ended
    assert all(process.returncode in (0, 1) for process in processes)
    for process, (_, err) in zip(processes, ended, strict=True):
        assert "Traceback" not in err
        assert process.returncode == 0 or "another backfill is at work" in err
    machine.backfill(path)
    assert machine.rows(path) == 100_000
    machine.verify()


def test_a_grown_file_goes_on_where_it_ended_also_packed(machine):
    content = numbered(2000)
    path = machine.write("old/a.log", content[:20_000])
    machine.backfill(path)
    machine.write("old/a.log", content[:50_000])
    assert machine.decisions(machine.backfill(path))["a.log"][2] == "resume at 20_000".replace("_", "")
    path.unlink()
    packed = machine.write("old/a.log.1.gz", gzip.compress(content))

    done = machine.backfill(packed)

    assert machine.decisions(done)["a.log.1.gz"][2] == f"resume at 50000, begun as {path}"
    kept = duckdb.sql(f"select value from '{machine.warehouse}/logs/**/*.parquet' order by source_position").fetchall()
    assert "".join(value for (value,) in kept).encode() == content.replace(b"\n", b"")
    machine.verify()


def test_files_of_a_live_source_are_refused_and_nothing_is_written(machine):
    live = machine.write("live/a.log", numbered(10))
    old = machine.write("old/b.log", numbered(10, 50))

    done = machine.backfill(live, old, code=2)

    assert f'{live} is matched by its paths: the source "web" ships it' in done.stderr
    assert str(old) not in done.stderr
    assert sorted(path.name for path in machine.directory.iterdir()) == ["ingest.toml", "live", "old"]
    planned = machine.backfill(live, old, "--dry-run", code=2)
    assert [line.split()[-1] for line in planned.stdout.splitlines()[1:]] == ["refused", "new"]


def test_a_dry_run_writes_nothing_at_all(machine):
    paths = [
        machine.write("old/a.log", numbered(10)),
        machine.write("old/b.gz", gzip.compress(numbered(10)), 1_700_000_001),
    ]
    before = sorted(path for path in machine.directory.rglob("*"))

    done = machine.backfill(*paths, "--dry-run")

    first, second = (line.split()[1:] for line in done.stdout.splitlines()[1:])
    assert [first[0], first[1], first[3]] == [f"{paths[0].stat().st_size:_}", "10", "new"]
    assert second[1:] == ["0", first[2], "same", "as", str(paths[0])]
    assert "The plan is for an empty warehouse" in done.stderr
    assert sorted(path for path in machine.directory.rglob("*")) == before
    machine.backfill(paths[0])
    before = {path: path.stat().st_mtime_ns for path in machine.directory.rglob("*")}
    assert "already there" in machine.backfill(*paths, "--dry-run").stdout
    assert {path: path.stat().st_mtime_ns for path in machine.directory.rglob("*")} == before


def test_what_is_wrong_with_the_arguments_is_said_and_nothing_is_written(machine):
    old = machine.write("old/a.log", numbered(10))

    assert "is a directory" in machine.backfill(machine.directory / "old", code=2).stderr
    assert "No such file" in machine.backfill(old, machine.directory / "none", code=2).stderr
    assert 'no source is called "wbe"' in machine.backfill(old, source="wbe", code=2).stderr
    assert not machine.warehouse.exists()
    assert not (machine.directory / "state").exists()


def test_damaged_files_are_named_and_the_others_are_taken(machine):
    good = machine.write("old/a.log", numbered(10))
    bad = machine.write("old/b.gz", gzip.compress(numbered(1000))[:-4])
    worse = machine.write("old/c.gz", b"\x1f\x8bplainly not")

    done = machine.backfill(bad, good, worse, code=1)

    assert f"error: {bad}: the gzip data ends in the middle" in done.stderr
    assert f"error: {worse}: the gzip data is damaged" in done.stderr
    assert machine.rows(good) == 10


def test_columns_are_inferred_bad_lines_kept_and_the_event_time_is_the_files(tmp_path):
    options = 'parser = "json"\nevent_time = {{ field = "ts" }}\ncolumns = {{ source_position = "at" }}'
    config = CONFIG.replace('parser = "raw"', options)
    machine = Machine(tmp_path, config)
    lines = [b'{"ts":"2026-11-23T03:48:00Z","n":1}', b"not JSON", b'{"n":2,"more":"x"}', b'{"n":3}']
    path = machine.write("old/a.log", b"\n".join(lines), 1_700_000_000)

    done = machine.backfill(path)

    assert machine.decisions(done)["a.log"] == (4, 3, "new")
    table = duckdb.sql(
        'select n, dt, hour, source_flags, kafka_offset, "at" from '
        f"read_parquet('{machine.warehouse}/logs/**/*.parquet', union_by_name = true, hive_types_autocast = false) "
        "order by n"
    )
    assert table.fetchall() == [
        (1, "2026-11-23", "03", None, None, 0),
        (2, "2023-11-14", "22", None, None, 45),
        (3, "2023-11-14", "22", "partial", None, 64),
    ]
    reject = duckdb.sql(
        f"select raw, source_position from '{machine.warehouse}/_quarantine/logs/**/*.parquet'"
    ).fetchall()
    assert reject == [(b"not JSON", 36)]
    assert machine.verify()["counts"]["quarantined"] == 1


def test_too_many_bad_lines_stop_a_file_until_they_are_accepted(tmp_path):
    config = CONFIG.replace('parser = "raw"', 'parser = "json"\nquarantine = {{ max_ratio = 0.1, window = 100 }}')
    machine = Machine(tmp_path, config)
    bad = machine.write("old/bad.log", b"not JSON\n" * 50 + b'{"n":1}\n' * 300_000)

    stopped = machine.backfill(bad, code=1)
    again = machine.backfill(bad, code=1)
    accepted = machine.backfill(bad, "--accept-quarantine")

    assert "--accept-quarantine" in stopped.stderr
    assert "--accept-quarantine" in again.stderr
    assert machine.decisions(accepted)["bad.log"][2].startswith("resume at ")
    counts = machine.verify()["counts"]
    assert (counts["quarantined"], counts["rows"]) == (50, 300_000)


def test_a_warehouse_whose_disk_is_not_mounted_is_not_begun_anew(machine):
    path = machine.write("old/a.log", numbered(10))
    machine.backfill(path)
    known = machine.directory / "state" / "sink" / "root.json"
    known.parent.mkdir()
    known.write_text(json.dumps({"root": str(machine.warehouse), "type": "local"}))
    shutil.rmtree(machine.warehouse)
    machine.warehouse.mkdir()

    done = machine.backfill(path, code=1)

    assert "is the disk mounted?" in done.stderr
    assert list(machine.warehouse.iterdir()) == []


def test_the_command_is_explained():
    done = run(["backfill", "files", "--help"])

    assert done.returncode == 0
    for word in ("--source", "--dry-run", "--again", "--accept-quarantine", "PATH"):
        assert word in done.stdout
