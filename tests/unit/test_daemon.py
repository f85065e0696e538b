import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from ingest.errors import DataLoss, Fatal, IngestError, Unavailable, UsageError
from ingest.service import daemon
from ingest.service.daemon import Part, Service, exit_code
from ingest.service.health import Health
from ingest.service.systemd import Notifier

LOSS = DataLoss("lost", kind="retention")


class Manager:
    """What systemd would hear."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)
        self.environ = {"NOTIFY_SOCKET": address}

    def next(self):
        return self.socket.recv(4096).decode()

    def wait_for(self, state):
        while self.next() != state:
            pass

    def rest(self):
        self.socket.setblocking(False)
        heard = []
        try:
            while True:
                heard.append(self.next())
        except BlockingIOError:
            return heard


@pytest.fixture
def manager(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.socket.close()


@pytest.fixture
def health():
    return Health()


def waits(stop):
    assert stop.wait(20)


def fails(error):
    def run(_stop):
        raise error

    return run


def drains_into(error):
    def run(stop):
        waits(stop)
        raise error

    return run


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([], 0),
        ([None, None], 0),
        ([None, LOSS], 3),
        ([LOSS, Fatal("x")], 1),
        ([Fatal("x"), LOSS], 1),
        ([KeyError("a bug"), LOSS], 1),
        ([Unavailable("x")], 1),
        ([LOSS, UsageError("x"), Fatal("y")], 2),
        ([SystemExit(0)], 1),
    ],
)
def test_the_gravest_failure_decides_the_exit_code(failures, code):
    assert exit_code(failures) == code


def test_parts_that_end_without_error_end_the_service_with_0(health):
    ran = []
    parts = [Part(name, lambda _stop, name=name: ran.append(name)) for name in ("ship", "sink")]

    assert Service(parts, health).run() == 0
    assert sorted(ran) == ["ship", "sink"]


def test_a_part_that_ends_leaves_the_others_running(health):
    first = threading.Event()

    def second(stop):
        assert first.wait(10)
        assert not stop.wait(0.05)

    assert Service([Part("ship", lambda _: first.set()), Part("sink", second)], health).run() == 0


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("no"), 2), (LOSS, 3), (Fatal("no"), 1), (ValueError("bug"), 1)]
)
def test_a_part_that_fails_makes_the_others_drain_and_decides_the_exit_code(health, error, code, capfd):
    drained = []
    other = Part("ship", lambda stop: (waits(stop), drained.append(True)))

    assert Service([Part("sink", fails(error)), other], health).run() == code
    assert drained == [True]
    said = capfd.readouterr().err
    assert "a part failed" in said
    assert ("Traceback" in said) == (not isinstance(error, IngestError))


def test_a_failure_while_draining_counts_by_its_gravity(health):
    parts = [Part("sink", fails(LOSS)), Part("ship", drains_into(Unavailable("kafka is away")))]

    assert Service(parts, health).run() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_handlers_are_put_back(health, number):
    before = [signal.getsignal(known) for known in (signal.SIGTERM, signal.SIGINT)]
    drained = []

    def run(stop):
        os.kill(os.getpid(), number)
        waits(stop)
        drained.append(True)

    assert Service([Part("sink", run)], health).run() == 0
    assert drained == [True]
    assert [signal.getsignal(known) for known in (signal.SIGTERM, signal.SIGINT)] == before


STUBBORN = """
import sys, threading
from ingest.service.daemon import Part, Service
from ingest.service.health import Health

def run(stop):
    print("running", flush=True)
    stop.wait()
    print("draining", flush=True)
    if sys.argv[1] == "stuck":
        threading.Event().wait()

sys.exit(Service([Part("sink", run)], Health(), drain=float(sys.argv[2])).run())
"""


def stubborn(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", STUBBORN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_process_drains_on_sigterm_and_exits_with_0():
    with stubborn("drains", "60") as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0
        assert process.stdout.read() == "draining\n"


def test_a_second_signal_ends_at_once():
    with stubborn("stuck", "60") as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 1


def test_a_part_that_does_not_drain_in_time_is_left_behind_with_1():
    with stubborn("stuck", "0.05") as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 1
        assert "were left behind; nothing is lost" in process.stderr.read()


def test_stop_can_be_asked_for_from_a_thread_and_run_off_the_main_thread(health):
    up, codes = threading.Event(), []

    def run(stop):
        up.set()
        waits(stop)

    service = Service([Part("sink", run)], health)
    thread = threading.Thread(target=lambda: codes.append(service.run()))
    thread.start()
    assert up.wait(10)
    service.stop.set()
    thread.join(10)

    assert codes == [0]


def test_out_of_threads_there_is_no_partial_service(health, monkeypatch):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "sink":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert Service([Part("ship", waits), Part("sink", waits)], health).run() == 1


def test_systemd_hears_ready_once_every_part_is_up(health, manager, monkeypatch):
    monkeypatch.setattr(daemon, "_STARTING", 0.01)
    up, go_on = threading.Event(), threading.Event()

    def slow(stop):
        assert go_on.wait(10)
        up.set()
        waits(stop)

    service = Service(
        [Part("sink", slow, up), Part("ship", waits)],
        health,
        status=lambda: f"ship\nup, sink {up.is_set()}",
        notifier=Notifier(manager.environ),
    )

    def watch():
        assert manager.next() == "STATUS=ship up, sink False"
        go_on.set()
        heard.extend(manager.next() for _ in range(2))
        service.stop.set()

    heard = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    assert service.run() == 0
    watcher.join()

    assert sorted(heard) == ["READY=1", "STATUS=ship up, sink True"]


def test_systemd_hears_of_the_drain_and_never_ready_when_a_part_failed_to_start(health, manager):
    parts = [Part("sink", fails(Fatal("no")), threading.Event()), Part("ship", waits, threading.Event())]
    stopped = threading.Event()
    parts[1].run = lambda stop: (waits(stop), manager.wait_for("STOPPING=1"), stopped.set())

    assert Service(parts, health, notifier=Notifier(manager.environ)).run() == 1
    assert stopped.is_set()
    assert "READY=1" not in manager.rest()


def test_the_watchdog_is_fed_only_while_the_parts_move(health, manager, capfd):
    looks = threading.Semaphore(0)

    def status():
        looks.release()
        return ""

    def run(_stop):
        manager.wait_for("WATCHDOG=1")
        health.beat("sink", within=-1)
        while "a part hangs" not in capfd.readouterr().err:
            assert looks.acquire(timeout=10)
        manager.rest()
        while looks.acquire(blocking=False):
            pass
        for _ in range(5):
            assert looks.acquire(timeout=10)
        still.extend(manager.rest())
        manager.socket.setblocking(True)
        health.beat("sink", within=60)
        manager.wait_for("WATCHDOG=1")

    still = []
    health.beat("sink", within=60)
    notifier = Notifier(manager.environ | {"WATCHDOG_USEC": "30000"})

    assert Service([Part("sink", run)], health, status=status, notifier=notifier).run() == 0
    assert still == []


def test_a_part_that_ended_is_expected_to_beat_no_more(health):
    assert Service([Part("sink", lambda _: health.beat("sink", within=-1))], health).run() == 0
    assert health.alive() == {"alive": True, "parts": {}}


# ── the protocol ─────────────────────────────────────────────────────────────


def test_an_abstract_socket_is_understood():
    manager = Manager(f"@ingest-test-{os.getpid()}")
    Notifier(manager.environ).status("two\nlines  here")

    assert manager.next() == "STATUS=two lines here"
    manager.socket.close()


def test_without_a_manager_nothing_is_sent():
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    notifier.ready()

    assert notifier.watchdog is None


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_names_us(environ, watchdog):
    assert Notifier({"NOTIFY_SOCKET": "/run/notify"} | environ).watchdog == watchdog


@pytest.mark.parametrize("address", ["/no/such/socket", "vsock:2:1234"])
def test_a_manager_that_can_not_be_told_stops_nothing_and_is_said_once(address, capfd):
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.stopping()

    assert capfd.readouterr().err.count("warning") == 1
