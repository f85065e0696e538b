import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ingest.errors import DataLoss, UsageError

UNITS = Path(__file__).parents[2] / "conf" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
DAEMONS = ["ingest-run.service", "ingest-ship.service", "ingest-sink.service"]
EXPOSURE = 2.0
"""What `systemd-analyze security` may say at most, of 10."""

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def unit(name):
    """Section → key → values, in order."""
    sections, section = {}, None
    for line in (UNITS / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(heading[1], {})
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        section.setdefault(key, []).append(value)
    return sections


def test_there_is_a_unit_for_each_way_to_run():
    assert sorted([*DAEMONS, "ingest-sink-once.service"]) == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_checks_its_configuration_and_then_runs_the_installed_program(name):
    service = unit(name)["Service"]
    (check,), (start,) = service["ExecStartPre"], service["ExecStart"]
    command = {"ship": "ship", "sink": "sink", "run": "run"}[name.removesuffix(".service").split("-")[1]]

    assert check == "/opt/ingest/bin/ingest check -c /etc/ingest/ingest.toml"
    assert start.startswith(f"/opt/ingest/bin/ingest {command} ")
    assert "-c /etc/ingest/ingest.toml" in start
    assert ("--once" in start) == (service["Type"] == ["oneshot"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_keeps_its_state_to_itself_and_runs_unprivileged(name):
    service = unit(name)["Service"]

    assert service["User"] == ["ingest"]
    assert service["StateDirectory"] == ["ingest"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["NoNewPrivileges"] == ["yes"]
    assert {"MemoryMax", "TasksMax", "LimitNOFILE"} <= set(service)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_is_restarted_but_not_where_a_person_must_look(name):
    service = unit(name)["Service"]

    assert service["Type"] == ["notify"]
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == [f"{UsageError.exit_code} {DataLoss.exit_code}"]
    assert service["KillSignal"] == ["SIGTERM"]
    assert int(service["WatchdogSec"][0]) > 0
    assert int(service["TimeoutStopSec"][0]) > 0


def test_ship_and_sink_may_run_side_by_side_and_run_replaces_both():
    listens = {name: re.findall(r"--listen (\S+)", unit(name)["Service"]["ExecStart"][0]) for name in DAEMONS}

    assert listens == {
        "ingest-run.service": [],
        "ingest-ship.service": [],  # what the file says, by default port 9464
        "ingest-sink.service": ["127.0.0.1:9465"],
    }
    assert unit("ingest-run.service")["Unit"]["Conflicts"] == ["ingest-ship.service ingest-sink.service"]


def test_the_hardening_is_the_same_everywhere():
    block = re.compile(r"# What it may do.*?\n\n", re.DOTALL)

    assert len({block.search((UNITS / name).read_text())[0] for name in SERVICES}) == 1


@pytest.fixture
def root(tmp_path):
    """A file system with our units, systemd's own targets, and a program to start."""
    units = tmp_path / "etc/systemd/system"
    shutil.copytree(UNITS, units)
    program = tmp_path / "opt/ingest/bin/ingest"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    targets = ["sysinit", "basic", "shutdown", "multi-user", "timers", "network-online", "time-sync", "time-set"]
    for target in targets:
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    for slice_ in ("system", "-"):
        (units / f"{slice_}.slice").write_text("[Unit]\nDescription=slice\n")
    return tmp_path


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@needs_analyze
@pytest.mark.parametrize("name", [*SERVICES, "ingest-sink-once.timer"])
def test_systemd_finds_nothing_wrong_with_a_unit(root, name):
    found = analyze("verify", "--man=no", f"--root={root}", f"/etc/systemd/system/{name}")

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_exposed_no_more_than_it_must_be(root, name):
    found = analyze("security", "--offline=true", "--no-pager", f"--root={root}", name)
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", found.stdout)[1])

    assert exposure <= EXPOSURE, found.stdout


@needs_analyze
def test_the_timer_means_a_time_that_exists():
    found = analyze("calendar", unit("ingest-sink-once.timer")["Timer"]["OnCalendar"][0])

    assert found.returncode == 0
