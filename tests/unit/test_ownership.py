import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

from ingest.errors import UsageError
from ingest.service.ownership import StateLock, describe_owner, read_owner

OWNER = """
import sys, pathlib
from ingest.service.ownership import StateLock
lock = StateLock(pathlib.Path(sys.argv[1]), "sink", command="ingest sink")
print("owned", flush=True)
sys.stdin.read()
"""


class Noon:
    def now(self):
        return 1795435200.0


def test_an_owner_says_who_it_is_and_keeps_the_directory_to_itself(tmp_path):
    state = tmp_path / "a" / "state"
    with StateLock(state, "ship", command="ingest ship", clock=Noon()) as lock:
        owner = read_owner(lock.path)

    assert owner == {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": "2026-11-23T12:00:00+00:00",
        "command": "ingest ship",
    }
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_the_same_process_can_not_own_a_part_twice_but_each_part_once(tmp_path):
    named = rf"owns ship .*process {os.getpid()} on .* since .*\(ingest run\)"
    with (
        StateLock(tmp_path, "ship", command="ingest run"),
        StateLock(tmp_path, "sink"),
        pytest.raises(UsageError, match=named) as refused,
    ):
        StateLock(tmp_path, "ship")
    assert refused.value.exit_code == 2

    with StateLock(tmp_path, "ship"):
        pass


def test_a_released_lock_can_be_released_again(tmp_path):
    lock = StateLock(tmp_path, "ship")
    lock.release()
    lock.release()

    assert read_owner(lock.path) == {}


def test_a_second_process_is_refused_and_a_killed_one_leaves_nothing_in_the_way(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout.readline() == "owned\n"
        with pytest.raises(UsageError, match=f"process {first.pid} on .*ingest sink"):
            StateLock(tmp_path, "sink")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert read_owner(tmp_path / "sink.lock")["pid"] == first.pid

        with StateLock(tmp_path, "sink") as lock:
            assert read_owner(lock.path)["pid"] == os.getpid()


def test_a_directory_that_others_may_write_to_is_used_with_a_warning(tmp_path, capfd):
    tmp_path.chmod(0o777)
    with StateLock(tmp_path, "ship"):
        pass

    assert "others may write to the state directory" in capfd.readouterr().err
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_a_lock_file_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / "ship.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match=r"ship\.lock: can't be opened"):
        StateLock(tmp_path, "ship")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "state").touch()

    with pytest.raises(UsageError, match="can't be used as the state directory"):
        StateLock(tmp_path / "state", "ship")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_an_unreadable_owner_is_nobody_in_particular(tmp_path, content):
    (tmp_path / "x.lock").write_bytes(content)

    assert read_owner(tmp_path / "x.lock") == {}
    assert read_owner(tmp_path / "missing") == {}
    assert "not said" in describe_owner({})
