"""The life of a server process that the tests start."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import ServerProcess

REPOSITORY = Path(__file__).resolve().parents[2]


def gone(pid):
    """Return whether no process has `pid` (a zombie of init's counts as gone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(pid):
    for _ in range(10_000):
        if gone(pid):
            return
        subprocess.run(["sleep", "0.01"], check=True)
    raise AssertionError(f"process {pid} lives")


def wait_for(process, path):
    process.wait_ready(lambda: path.exists() and path.read_text().endswith("\n"), timeout=30)
    return int(path.read_text())


def test_stop_lets_the_server_shut_down_in_its_own_way(tmp_path):
    script = f"trap 'echo bye >{tmp_path}/bye; exit 0' TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.05; done"
    process = ServerProcess("obedient", ["sh", "-c", script], tmp_path / "log")
    pid = wait_for(process, tmp_path / "pid")
    process.stop()
    assert (tmp_path / "bye").exists()
    assert not process.alive
    assert gone(pid)


def test_stop_kills_a_server_that_does_not_obey(tmp_path):
    script = f"trap '' TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.05; done"
    process = ServerProcess("stubborn", ["sh", "-c", script], tmp_path / "log")
    pid = wait_for(process, tmp_path / "pid")
    process.stop(timeout=0.2)
    assert not process.alive
    assert gone(pid)


def test_kill_returns_when_the_last_process_of_the_server_is_dead(tmp_path):
    # Memory makes dying slow: the kernel takes it back before the process counts as dead.
    program = "import os, time; ballast = os.urandom(1) * (300 << 20); print(os.getpid(), flush=True); time.sleep(600)"
    process = ServerProcess("heavy", [sys.executable, "-c", program], tmp_path / "log")
    pid = wait_for(process, tmp_path / "log")
    process.kill()
    assert gone(pid)
    assert not process.alive


def test_a_suspended_server_can_be_killed(tmp_path):
    process = ServerProcess("frozen", ["sh", "-c", f"echo $$ >{tmp_path}/pid; sleep 600"], tmp_path / "log")
    pid = wait_for(process, tmp_path / "pid")
    process.suspend()
    process.kill()
    assert gone(pid)
    process.kill()  # a second time is fine


def test_a_server_dies_with_a_test_run_that_is_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from tests.servers.process import ServerProcess;"
        f"p = ServerProcess('x', ['sh', '-c', 'echo $$ >{tmp_path}/pid; sleep 600'], Path('{tmp_path}/log'));"
        f"p.wait_ready(lambda: Path('{tmp_path}/pid').exists(), 30); print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=REPOSITORY) as run:
        assert run.stdout.readline() == b"ready\n"
        run.kill()
    wait_gone(int((tmp_path / "pid").read_text()))


def test_a_server_that_ends_early_is_reported_with_its_last_words(tmp_path):
    process = ServerProcess("hasty", ["sh", "-c", "echo no such licence; exit 3"], tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"(?s)hasty ended before it was ready.*no such licence"):
        process.wait_ready(lambda: False, timeout=30)
