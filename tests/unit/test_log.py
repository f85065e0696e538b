import io
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
import structlog

from ingest.errors import Unavailable, UsageError
from ingest.options import Secret
from ingest.service import log, redaction
from ingest.service.stderr import Stderr


@pytest.fixture(autouse=True)
def as_before():
    """The log is the process's: put back what was there."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level, hook = list(root.handlers), root.level, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in log._NEVER_DEBUG}
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    threading.excepthook = hook


def configured(level="info", format="json"):
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own would raise where ours must not
    log.configure(level, format, stream)
    return stream


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_a_utc_time():
    stream = configured()
    log.logger(part="sink").info("published", rows=3, path="a\nb")

    (event,) = events(stream)
    assert event.pop("timestamp").endswith("Z")
    assert list(event) == ["level", "event", "part", "rows", "path"]
    assert event == {"level": "info", "event": "published", "part": "sink", "rows": 3, "path": "a\nb"}


def test_a_logger_made_before_configure_follows_it():
    early = log.logger(part="early")
    stream = configured()
    early.warning("now")

    assert events(stream)[0]["part"] == "early"


def test_before_configure_events_go_to_stderr():
    code = "from ingest.service.log import logger; logger().info('hello', n=1); logger().debug('not this')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert done.stderr.endswith("info     hello  n=1\n")
    assert done.stderr.count("\n") == 1


def test_levels_below_the_configured_one_are_not_written():
    stream = configured("warning")
    log.logger().info("no")
    log.logger().warning("yes")

    assert [event["event"] for event in events(stream)] == ["yes"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET /webhdfs/v1/x?op=OPEN&delegation=HAAE_1-x&user=me", "GET /webhdfs/v1/x?op=OPEN&delegation=***&user=me"),
        ("sasl_plain_password='hunter 2' next", "sasl_plain_password=*** next"),
        ('{"password": "a\\"b", "n": 1}', '{"password": ***, "n": 1}'),
        ("{'token': 'abc'}", "{'token': ***}"),
        ("Authorization: Negotiate YIIJvwYGKwYBBQ==", "Authorization: ***"),
        ("sent Bearer eyJhbGciOi.J9 to", "sent Bearer *** to"),
        ("http://me:pw@nn1:9870/x", "http://me:***@nn1:9870/x"),
        ("token=abc, next", "token=***, next"),
        ("tokens per second: 5", "tokens per second: 5"),
        ("the password is wrong for user bob", "the password is wrong for user bob"),
        ("http://nn1:9870/a@b", "http://nn1:9870/a@b"),
    ],
)
def test_credentials_in_a_text_are_hidden(text, clean):
    assert redaction.redact(text) == clean


def test_no_secret_is_written_wherever_it_hides():
    stream = configured("debug")
    try:
        raise UsageError("bad password=hunter2") from ValueError("token: hunter2")
    except UsageError:
        log.logger().error(
            f"key {Secret('hunter2')}",
            password="hunter2",
            kafka={"ssl_key_password": "hunter2", "list": [Secret("hunter2"), "password=hunter2"]},
            plain=Secret("hunter2"),
            error_object=ValueError("delegation=hunter2"),
            exc_info=True,
        )
    logging.getLogger("hdfs").warning("with delegation=%s", "hunter2")

    assert len(events(stream)) == 2
    assert "hunter2" not in stream.getvalue()


def test_libraries_are_heard_from_warning_on_in_the_same_form():
    stream = configured()
    logging.getLogger("kafka.client").info("chatter")
    logging.getLogger("kafka.client").warning("lost %s", "node 1")
    logging.getLogger("odd").warning("does not fit %d", "x")

    first, second = events(stream)
    assert (first["level"], first["event"], first["logger"]) == ("warning", "lost node 1", "kafka.client")
    assert second["event"] == "does not fit %d ('x',)"


def test_at_debug_libraries_are_heard_but_those_that_write_secrets():
    stream = configured("debug")
    for name in ("apscheduler", "urllib3.connectionpool", "kafka.conn"):
        logging.getLogger(name).debug("detail")

    assert [event["logger"] for event in events(stream)] == ["apscheduler"]


def test_configuring_twice_writes_once():
    configured()
    stream = configured()
    logging.getLogger("x").warning("one")

    assert len(events(stream)) == 1


def test_the_console_escapes_what_could_steer_a_terminal():
    stream = configured("info", "console")
    log.logger().info("bad \x1b[31m\nline", path="a\x9b\u202eb", **{"k\x1b": "with space"})

    (line,) = stream.getvalue().splitlines()
    assert line.split(" ", 1)[1] == "info     bad \\x1b[31m\\nline  path=a\\x9b\\u202eb k\\x1b='with space'"


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_error_of_ours_is_one_line_with_its_cause(format):
    stream = configured("info", format)
    try:
        raise Unavailable("nn1:9870 does not answer") from TimeoutError("timed out")
    except Unavailable:
        log.logger().warning("waiting", exc_info=True)

    (line,) = stream.getvalue().splitlines()
    assert "Unavailable: nn1:9870 does not answer" in line
    assert "timed out" in line
    assert "Traceback" not in line


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_bug_comes_with_its_traceback(format):
    stream = configured("info", format)
    try:
        {}["missing\x1b"]
    except KeyError:
        log.logger().exception("bug")

    assert "Traceback (most recent call last)" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == (1 if format == "json" else 6)


def test_a_thread_that_dies_is_told_with_its_traceback():
    stream = configured()
    thread = threading.Thread(target=lambda: 1 / 0, name="doomed")
    thread.start()
    thread.join()

    (event,) = events(stream)
    assert event["thread"] == "doomed"
    assert "ZeroDivisionError" in event["traceback"]


def test_values_that_json_does_not_know_are_written_all_the_same():
    stream = configured()
    log.logger().info("odd", path="bad \udcff name", ratio=float("nan"), pair=(1, b"x"), deep={"a": {1: {2}}}, it=...)

    (event,) = events(stream)
    assert event["ratio"] == "nan"
    assert event["pair"] == [1, "b'x'"]
    assert event["deep"] == {"a": {"1": [2]}}


def test_a_closed_or_full_stderr_stops_nothing():
    closed = io.StringIO()
    closed.close()
    writer = log.configure("info", "json", closed)
    log.logger().info("lost")
    logging.getLogger("x").warning("lost")
    assert writer.dropped == 2

    with open("/dev/full", "w") as full:
        writer = log.configure("info", "json", full)
        log.logger().info("lost")
        assert writer.dropped == 1


def test_a_process_started_without_stderr_goes_on():
    code = "from ingest.service.log import logger; logger().error('x'); print('alive')"
    done = subprocess.run(["sh", "-c", f'exec {sys.executable} -c "{code}" 2>&-'], stdout=subprocess.PIPE, check=True)

    assert done.stdout == b"alive\n"


def test_a_reader_that_stalls_stops_nothing_and_learns_what_it_missed(monkeypatch):
    monkeypatch.setattr(Stderr, "PATIENCE", 0.01)
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as read_end, open(writer, "w") as write_end:
        stderr = log.configure("info", "json", write_end)
        for _ in range(100):
            log.logger().info("x" * 3000)
        assert stderr.dropped > 0
        read_end.read(1 << 20)
        dropped = stderr.dropped
        log.logger().info("again")
        text = read_end.read(1 << 20).decode()

    assert stderr.dropped == dropped
    assert json.loads(text.splitlines()[-1])["lines"] == dropped
    assert json.loads(text.splitlines()[-2])["event"] == "again"


def test_a_line_that_broke_off_does_not_spoil_the_next(monkeypatch):
    monkeypatch.setattr(Stderr, "PATIENCE", 0.01)
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as read_end, open(writer, "w") as write_end:
        stderr = log.configure("info", "json", write_end)
        log.logger().info("x" * (1 << 20))
        read_end.read(1 << 20)
        log.logger().info("again")
        torn, *rest = read_end.read(1 << 20).splitlines()

    assert (stderr.dropped, torn) == (1, b"")
    assert json.loads(rest[0])["event"] == "again"


def test_a_long_line_reaches_a_pipe_whole():
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as read_end, open(writer, "w") as write_end:
        log.configure("info", "json", write_end)
        log.logger().info("x" * 20_000)
        line = read_end.read(1 << 20)

    assert json.loads(line)["event"] == "x" * 20_000


def test_lines_of_many_threads_do_not_mix():
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as read_end:
        lines = []
        collector = threading.Thread(target=lambda: lines.extend(read_end.readall().splitlines()))
        collector.start()
        with open(writer, "w") as write_end:
            log.configure("info", "json", write_end)
            threads = [threading.Thread(target=log.logger().info, args=("y" * 6000,)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        collector.join()

    assert [json.loads(line)["event"] for line in lines] == ["y" * 6000] * 20
