"""`ingest status` and `ingest flush`, without Kafka: services that answer, and the disk where none runs."""

import json

import pytest

from ingest.cli.main import main
from ingest.errors import Unavailable
from ingest.service.control import ControlServer
from ingest.service.ownership import StateLock
from ingest.ship.checkpoint_file import Content, encode
from ingest.ship.entry import Entry
from ingest.ship.recovery import NAME
from ingest.sink.stops import Stop, StoppedPartition, write_stops

CONFIG = """
[kafka]
bootstrap = ["localhost:1"]
[state]
dir = "{state}"
[[source]]
name = "web"
type = "file"
paths = ["/var/log/app/*.log"]
topic = "logs"
"""
SINK = """
[sink]
group = "g"
topics = ["logs"]
destination = {{ type = "local", root = "{root}" }}
defaults = {{ parser = "raw" }}
"""
STREAM = {
    "source": "web",
    "path": "/var/log/app/a.log",
    "generation": "00000000000000ff",
    "position": 70,
    "acknowledged": 50,
    "size": 90,
    "behind": 40,
    "decision": "",
}
PARTITION = {
    "topic": "logs",
    "partition": 3,
    "phase": "open",
    "next_offset": 5,
    "read_offset": 9,
    "open_rows": 4,
    "open_bytes": 100,
    "stopped": None,
}


@pytest.fixture
def box(tmp_path):
    """The configuration of a ship and a sink; the state directory is there."""
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "ingest.toml"
    path.write_text((CONFIG + SINK).format(state=tmp_path / "state", root=tmp_path / "warehouse"))
    return path


def ingest(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def words(text):
    return [line.split() for line in text.splitlines()]


def test_running_services_are_asked(box, capsys):
    state = box.parent / "state"
    with (
        StateLock(state, "sink", "ingest run"),
        ControlServer(state, "ship", {"status": lambda _: [STREAM]}),
        ControlServer(state, "sink", {"status": lambda _: [PARTITION]}),
    ):
        code, out, _ = ingest(capsys, "status", "-c", box)
        document = json.loads(ingest(capsys, "status", "-c", box, "--json")[1])

    assert code == 0
    assert ["web", "/var/log/app/a.log", "00000000000000ff", "50", "90", "40", "-"] in words(out)
    assert ["logs", "3", "open", "5", "9", "4", "-"] in words(out)
    assert document["state"] == str(state)
    assert document["ship"]["running"] is document["sink"]["running"] is True
    assert document["ship"]["streams"] == [STREAM]
    assert document["sink"]["partitions"] == [PARTITION]
    assert document["sink"]["owner"]["command"] == "ingest run"
    assert document["sink"]["problem"] is None


def test_where_nothing_runs_the_disk_says_where_it_left_off(box, capsys):
    state = box.parent / "state"
    (state / "ship").mkdir()
    (state / "sink").mkdir()
    entry = Entry("00000000000000ff", "web", "logs", "/var/log/app/a.log", 3, 0, 50, 50)
    (state / "ship" / NAME).write_bytes(encode(Content("machine", [entry])))
    write_stops(state / "sink" / "stopped.json", [StoppedPartition("logs", 3, 5, Stop("retention", "gone", 3, 5, 9))])

    code, out, _ = ingest(capsys, "status", "-c", box)
    document = json.loads(ingest(capsys, "status", "-c", box, "--json")[1])

    assert code == 0
    assert "ship: not running; what it noted last:" in out
    assert ["web", "/var/log/app/a.log", "00000000000000ff", "50", "in", "the", "checkpoint"] in words(out)
    assert ["logs", "3", "stopped", "5", "0", "gone"] in words(out)
    assert document["ship"]["running"] is document["sink"]["running"] is False
    assert document["ship"]["streams"][0].keys() == STREAM.keys()
    assert document["ship"]["streams"][0]["acknowledged"] == 50
    assert document["ship"]["streams"][0]["behind"] is None
    assert document["sink"]["partitions"][0].keys() == PARTITION.keys()


def test_a_state_directory_that_was_never_used_is_no_trouble(box, capsys):
    (box.parent / "state").rmdir()

    code, out, _ = ingest(capsys, "status", "-c", box)

    assert (code, out.split()) == (0, ["ship:", "not", "running", "sink:", "not", "running"])


def test_a_part_that_is_not_configured_is_left_out(tmp_path, capsys):
    path = tmp_path / "ingest.toml"
    path.write_text(CONFIG.format(state=tmp_path))

    assert "sink" not in ingest(capsys, "status", "-c", path)[1]
    assert json.loads(ingest(capsys, "status", "-c", path, "--json")[1])["sink"] is None


def test_a_damaged_checkpoint_is_named_and_the_rest_still_shown(box, capsys):
    state = box.parent / "state"
    (state / "ship").mkdir()
    (state / "ship" / NAME).write_bytes(b"rubbish")

    code, out, _ = ingest(capsys, "status", "-c", box)

    assert code == 1
    assert "checkpoint.json is damaged" in out
    assert "sink: not running" in out
    document = json.loads(ingest(capsys, "status", "-c", box, "--json")[1])
    assert "damaged" in document["ship"]["problem"]


def test_a_service_that_hangs_is_a_problem_of_its_own(box, capsys, monkeypatch):
    def hang(state, part, command):
        raise Unavailable("no answer")

    monkeypatch.setattr("ingest.wiring.status.call", hang)

    code, out, _ = ingest(capsys, "status", "-c", box)

    assert code == 1
    assert out.count("no answer") == 2


def test_on_a_terminal_the_tables_are_ruled(box, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with ControlServer(box.parent / "state", "sink", {"status": lambda _: [PARTITION | {"stopped": "\x1b[31mred"}]}):
        _, out, _ = ingest(capsys, "status", "-c", box)

    assert "─" in out
    assert "\x1b[31m" not in out


def test_flush_shows_what_is_committed_when_it_is(box, capsys):
    asked = []
    rows = [PARTITION | {"next_offset": 9}, PARTITION | {"partition": 4, "stopped": "lost"}]
    with ControlServer(box.parent / "state", "sink", {"flush": lambda arguments: asked.append(arguments) or rows}):
        code, out, _ = ingest(capsys, "flush", "-c", box)

    assert code == 0
    assert asked == [{}]
    assert words(out)[1:] == [["logs", "3", "9", "-"], ["logs", "4", "5", "lost"]]


def test_flush_before_anything_was_assigned_says_so(box, capsys):
    with ControlServer(box.parent / "state", "sink", {"flush": lambda _: []}):
        assert "no partitions yet" in ingest(capsys, "flush", "-c", box)[1]


def test_flush_that_does_not_end_fails(box, capsys):
    def flush(_):
        raise Unavailable("not everything was committed within 600 s; it goes on in the background")

    with ControlServer(box.parent / "state", "sink", {"flush": flush}):
        code, out, err = ingest(capsys, "flush", "-c", box)

    assert (code, out) == (1, "")
    assert err == "error: not everything was committed within 600 s; it goes on in the background\n"


def test_flush_where_no_sink_runs_is_wrong_usage(box, capsys, tmp_path):
    code, _, err = ingest(capsys, "flush", "-c", box)

    assert code == 2
    assert "no ingest service runs on this state directory (sink)" in err

    with ControlServer(box.parent / "state", "ship", {}):
        assert ingest(capsys, "flush", "-c", box)[0] == 2

    (tmp_path / "ship.toml").write_text(CONFIG.format(state=tmp_path))
    code, _, err = ingest(capsys, "flush", "-c", tmp_path / "ship.toml")
    assert code == 2
    assert "sink: missing" in err
