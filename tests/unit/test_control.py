import json
import os
import socket
import stat
import threading

import pytest

from ingest.errors import DataLoss, Fatal, IngestError, Unavailable, UsageError
from ingest.service import control
from ingest.service.control import ControlServer, call


@pytest.fixture
def serve(tmp_path):
    """Start servers on the state directory; all are stopped at the end."""
    started = []

    def start(part="sink", state=tmp_path, **handlers):
        server = ControlServer(state, part, handlers)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
    for thread in threading.enumerate():
        if thread.name.startswith("control"):
            thread.join(10)
            assert not thread.is_alive()


def connect(server):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(server.path))
    return connection


def test_a_command_is_answered_by_its_handler(serve, tmp_path):
    serve(status=lambda arguments: {"lag": 3, "asked": arguments}, flush=lambda _: None)

    assert call(tmp_path, "sink", "status", full=True) == {"lag": 3, "asked": {"full": True}}
    assert call(tmp_path, "sink", "flush") is None


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(serve, tmp_path):
    server = serve()
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    server.stop()
    server.stop()

    assert list(tmp_path.iterdir()) == []


def test_nobody_listening_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match=r"no ingest service runs on this state directory \(sink\)") as refused:
        call(tmp_path, "sink", "status")
    assert refused.value.exit_code == 2
    with pytest.raises(UsageError, match="no ingest service runs"):
        call(tmp_path / "missing", "sink", "status")


def test_a_dead_process_leaves_a_socket_that_is_replaced(serve, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "sink.sock"))
    with pytest.raises(UsageError, match="no ingest service runs"):
        call(tmp_path, "sink", "status")
    serve(status=lambda _: "new")

    assert call(tmp_path, "sink", "status") == "new"


@pytest.mark.parametrize("length", [107, 108, 300])
def test_long_state_directories_work(serve, tmp_path, length):
    state = tmp_path
    while (missing := length - len(os.fsencode(state / "sink.sock"))) > 0:
        state /= "d" * max(1, min(missing - 1, 100))
    state.mkdir(parents=True, exist_ok=True)
    serve(state=state, status=lambda _: "far")

    assert (state / "sink.sock").is_socket()
    assert call(state, "sink", "status") == "far"


def test_a_directory_that_is_missing_makes_no_server(tmp_path):
    with pytest.raises(UsageError, match="can't make the control socket"):
        ControlServer(tmp_path / "missing", "sink", {}).start()
    with pytest.raises(UsageError, match="can't make the control socket"):
        ControlServer(tmp_path / ("d" * 120), "sink", {}).start()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(UsageError("which?"), UsageError), (DataLoss("lost", kind="retention"), IngestError), (Fatal("no"), IngestError)],
)
def test_a_handlers_error_is_the_callers(serve, tmp_path, raised, expected):
    def fail(_):
        raise raised

    serve(flush=fail)
    with pytest.raises(expected, match=str(raised)) as refused:
        call(tmp_path, "sink", "flush")

    assert refused.value.exit_code == raised.exit_code


def test_a_bug_in_a_handler_leaves_the_caller_with_a_word_and_the_server_running(serve, tmp_path, monkeypatch):
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda details: died.set())
    serve(flush=lambda _: 1 / 0, status=lambda _: "fine")
    with pytest.raises(Unavailable, match="without an answer; see its log"):
        call(tmp_path, "sink", "flush")
    assert died.wait(10)

    assert call(tmp_path, "sink", "status") == "fine"


@pytest.mark.parametrize(
    "request_line", [b"\n", b"{}\n", b"[]\n", b'{"command": "x"}\n', b'{"command": []}\n', b"\xff\n"]
)
def test_what_is_no_request_is_refused_and_the_next_one_heard(serve, request_line):
    server = serve(status=lambda _: 1)
    with connect(server) as connection, connection.makefile("rb") as answers:
        connection.sendall(request_line)
        assert json.loads(answers.readline()) == {
            "ok": False,
            "error": 'not a request: expected {"command": …} with one of status',
            "exit_code": 2,
        }
        connection.sendall(b'{"command": "status"}\n')

        assert json.loads(answers.readline()) == {"ok": True, "result": 1}


def test_a_request_without_end_is_cut_off(serve):
    server = serve()
    with connect(server) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"x" * (control.REQUEST_LIMIT + 1))

        assert answers.read() == b""


def test_a_long_command_does_not_hold_up_another(serve, tmp_path):
    working, go_on, answers = threading.Event(), threading.Event(), []

    def flush(_):
        working.set()
        assert go_on.wait(10)
        return "flushed"

    serve(flush=flush, status=lambda _: "fine")
    caller = threading.Thread(target=lambda: answers.append(call(tmp_path, "sink", "flush")))
    caller.start()
    assert working.wait(10)
    assert call(tmp_path, "sink", "status") == "fine"
    go_on.set()
    caller.join()

    assert answers == ["flushed"]


def test_a_caller_that_waited_long_enough_is_told_and_the_work_goes_on(serve, tmp_path):
    go_on, done = threading.Event(), threading.Event()

    def flush(_):
        assert go_on.wait(10)
        done.set()

    serve(flush=flush)
    with pytest.raises(Unavailable, match=r"no answer to flush within 0\.01 s"):
        call(tmp_path, "sink", "flush", timeout=0.01)
    go_on.set()

    assert done.wait(10)


def test_one_caller_too_many_is_told_to_come_again(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "CONNECTIONS", 1)
    server = serve(status=lambda _: "fine")
    with connect(server) as idle, idle.makefile("rb") as answers:
        idle.sendall(b'{"command": "status"}\n')
        answers.readline()
        with connect(server) as second, second.makefile("rb") as refused:
            assert "busy" in json.loads(refused.readline())["error"]


def test_out_of_threads_a_caller_is_told_to_come_again(serve, monkeypatch):
    server = serve(status=lambda _: "fine")

    def start(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with connect(server) as caller, caller.makefile("rb") as refused:
        assert "busy" in json.loads(refused.readline())["error"]


def test_a_caller_that_says_nothing_is_let_go(serve, monkeypatch):
    monkeypatch.setattr(control, "PATIENCE", 0.01)
    server = serve()
    with connect(server) as idle:
        assert idle.recv(1) == b""


def test_a_caller_that_left_is_no_trouble(serve, tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def flush(_):
        asked.set()
        assert go_on.wait(10)
        return "x" * (1 << 20)

    server = serve(flush=flush, status=lambda _: "fine")
    with connect(server) as connection:
        connection.sendall(b'{"command": "flush"}\n')
        assert asked.wait(10)
    go_on.set()

    assert call(tmp_path, "sink", "status") == "fine"


def test_a_caller_with_nothing_to_ask_does_not_hold_up_the_end(serve):
    server = serve(status=lambda _: 1)
    with connect(server) as idle, idle.makefile("rb") as answers:
        idle.sendall(b'{"command": "status"}\n')
        answers.readline()
        server.stop(timeout=10)

        assert answers.read() == b""


def test_parts_have_a_socket_each(serve, tmp_path):
    serve("ship", status=lambda _: "ship")
    with ControlServer(tmp_path, "sink", {"status": lambda _: "sink"}):
        assert [call(tmp_path, part, "status") for part in ("ship", "sink")] == ["ship", "sink"]
