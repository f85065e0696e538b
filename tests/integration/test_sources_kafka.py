"""Sources that listen or run commands, with real senders, the real `ingest ship` and a real broker."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.builders.broker import make_topic, read_back
from tests.builders.waiting import until
from tests.crash.processes import Victim, run
from tests.servers.kafka import KafkaServer
from tests.servers.process import free_port

pytestmark = pytest.mark.kafka

JOURNAL_REMOTE = "/lib/systemd/systemd-journal-remote"


def configured(directory, server, topic, table):
    """Write a configuration with one source; return its path."""
    config = directory / "ingest.toml"
    config.write_text(f"""
[kafka]
bootstrap = ["{server.bootstrap}"]
[state]
dir = "{directory}/state"
[web]
listen = "127.0.0.1:0"
[[source]]
name = "it"
topic = "{topic}"
linger = "10ms"
{table}
""")
    return config


@pytest.fixture
def shipping(kafka, tmp_path):
    """Start `ingest ship` with one source; it is killed in the end."""
    made = []

    def start(table):
        topic = make_topic(kafka)
        config = configured(tmp_path, kafka, topic, table)
        made.append(Victim(["ship", "-c", str(config)], tmp_path / "ship.log"))
        made[-1].start()
        return made[-1], topic

    yield start
    for each in made:
        each.end()


def values(server, topic, count):
    """The values of the topic, once there are so many different positions."""

    def look():
        distinct = {}
        for record in read_back(server, topic):
            place = dict(record.headers)["ingest-pos"]
            assert distinct.setdefault(place, record.value) == record.value, "a repeat is identical"
        return len(distinct) >= count and list(distinct.values())

    return until(look)


def connected(port):
    """Return once somebody listens there."""

    def look():
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            return None

    until(look).close()


@pytest.mark.skipif(shutil.which("logger") is None, reason="logger of util-linux is not installed")
def test_what_logger_sends_in_all_its_ways_is_in_kafka(kafka, shipping, tmp_path):
    port = free_port()
    path = tmp_path / "log"
    listen = [f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}", f"unix://{path}"]
    shipper, topic = shipping(f'type = "syslog"\nlisten = {json.dumps(listen)}')
    connected(port)
    to_port = ["-n", "127.0.0.1", "-P", str(port)]
    ways = {
        "udp 5424": [*to_port, "-d", "--rfc5424"],
        "udp 3164": [*to_port, "-d", "--rfc3164"],
        "tcp 5424": [*to_port, "-T", "--rfc5424"],
        "tcp 3164": [*to_port, "-T", "--rfc3164"],
        "counted 5424": [*to_port, "-T", "--rfc5424", "--octet-count"],
        "counted 3164": [*to_port, "-T", "--rfc3164", "--octet-count"],
        "unix": ["-u", str(path)],
    }
    for name, way in ways.items():
        subprocess.run(["logger", *way, "-t", "test", "-p", "user.notice", f"message by {name}"], check=True)

    found = values(kafka, topic, len(ways))

    assert len(found) == len(ways)
    for name in ways:
        [value] = [value for value in found if value.endswith(f"message by {name}".encode())]
        assert value.startswith(b"<13>1 " if "5424" in name else b"<13>")
    assert shipper.stop() == 0


def test_messages_that_were_read_survive_kill_9(kafka, shipping):
    port = free_port()
    shipper, topic = shipping(f'type = "syslog"\nlisten = ["tcp://127.0.0.1:{port}"]')
    sent = []
    for life in range(4):
        connected(port)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            for number in range(2000):
                sent.append(b"<13>life %d message %d" % (life, number))
                sender.sendall(b"%d %s" % (len(sent[-1]), sent[-1]))
            sender.shutdown(socket.SHUT_WR)
            # Everything was read, and is on disk, when the other end hangs up.
            assert sender.recv(1) == b""
        values(kafka, topic, 1)
        shipper.kill()
        shipper.start()

    assert sorted(values(kafka, topic, len(sent))) == sorted(sent)


@pytest.mark.slow
def test_while_kafka_is_away_messages_are_kept_on_disk_and_kill_9_takes_none(tmp_path):
    port = free_port()
    sent = [b"<13>%d %s" % (number, b"x" * 1000) for number in range(40_000)]
    with KafkaServer(tmp_path / "kafka") as server:
        topic = make_topic(server)
        config = configured(tmp_path, server, topic, f'type = "syslog"\nlisten = ["tcp://127.0.0.1:{port}"]')
        shipper = Victim(["ship", "-c", str(config)], tmp_path / "ship.log")
        shipper.start()
        try:
            connected(port)
            with socket.create_connection(("127.0.0.1", port)) as sender:
                sender.sendall(sent[0] + b"\n")
                values(server, topic, 1)
                server.kill()
                sender.sendall(b"\n".join(sent[1:]) + b"\n")
                sender.shutdown(socket.SHUT_WR)
                assert sender.recv(1) == b"", "all of it is on disk, far more than may be in memory"
            shipper.kill()
            server.restart()
            shipper.start()
            found = values(server, topic, len(sent))
        finally:
            shipper.end()

    assert found == sent
    assert shipper.peak_bytes < 600 << 20


def test_a_port_that_is_taken_ends_ship_with_its_name(kafka, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        config = configured(tmp_path, kafka, make_topic(kafka), f'type = "syslog"\nlisten = ["{address}"]')

        done = run(["ship", "-c", str(config)])

    assert done.returncode == 1
    assert f"{address}: can't listen there: Address already in use" in done.stderr + done.stdout


def test_the_output_of_a_command_is_shipped_once(kafka, tmp_path):
    topic = make_topic(kafka)
    script = "for n in range(1000): print('line', n)"
    table = f'type = "exec"\ncommand = {json.dumps([sys.executable, "-c", script])}'
    config = configured(tmp_path, kafka, topic, table)

    done = run(["ship", "-c", str(config), "--once"])

    assert done.returncode == 0, done.stderr
    assert values(kafka, topic, 1000) == [b"line %d" % number for number in range(1000)]


def test_lines_of_a_command_that_were_read_survive_kill_9(kafka, shipping):
    # Each life of the command writes lines of its own.
    script = """
import os, time
life, n = time.time_ns(), 0
while True:
    os.write(1, b"%d %d\\n" % (life, n))
    n += 1
    time.sleep(0.001)
"""
    shipper, topic = shipping(
        f'type = "exec"\ncommand = {json.dumps([sys.executable, "-c", script])}\nrestart = "10ms"'
    )

    def by_life():
        lives = {}
        for value in values(kafka, topic, 1):
            life, _, number = value.partition(b" ")
            lives.setdefault(life, []).append(int(number))
        return lives

    for count in range(1, 5):
        until(lambda count=count: sum(len(life) > 200 for life in by_life().values()) >= count)
        if count < 4:
            shipper.kill()
            shipper.start()
    shipper.stop()

    for numbers in by_life().values():
        assert numbers == list(range(len(numbers))), "no hole, no repeat, in order"


@pytest.mark.parametrize("when_done", ["keep", "delete", "move"])
def test_spooled_files_survive_kill_9_and_each_line_is_there_once(kafka, shipping, tmp_path, when_done):
    for name in ("in", "done", "new"):
        (tmp_path / name).mkdir()
    done = f'done_dir = "{tmp_path}/done"' if when_done == "move" else ""
    table = f'type = "spool"\npaths = ["{tmp_path}/in/*"]\nwhen_done = "{when_done}"\nsettle = "0s"\n{done}'
    shipper, topic = shipping(table)
    expected = []
    for number in range(12):
        lines = [b"file %d line %d" % (number, line) for line in range(20_000)]
        expected += lines
        content = b"\n".join(lines)
        path = tmp_path / "new" / f"{number}"
        path.write_bytes(gzip.compress(content, 1) if number % 2 else content)
        path.rename(tmp_path / "in" / f"{number}")
        if number % 3 == 2:
            values(kafka, topic, 15_000 * number)
            shipper.kill()
            shipper.start()

    assert sorted(values(kafka, topic, len(expected))) == sorted(expected)
    until(lambda: len(list((tmp_path / "in").iterdir())) == (12 if when_done == "keep" else 0))
    assert len(list((tmp_path / "done").iterdir())) == (12 if when_done == "move" else 0)
    assert shipper.stop() == 0


def test_a_run_with_once_takes_away_what_it_shipped(kafka, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.gz").write_bytes(gzip.compress(b"1\n2"))
    topic = make_topic(kafka)
    table = f'type = "spool"\npaths = ["{tmp_path}/in/*"]\nwhen_done = "delete"\nsettle = "0s"'
    config = configured(tmp_path, kafka, topic, table)

    done = run(["ship", "-c", str(config), "--once"])

    assert done.returncode == 0, done.stderr
    assert values(kafka, topic, 2) == [b"1", b"2"]
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.skipif(
    shutil.which("journalctl") is None or not os.path.exists(JOURNAL_REMOTE),
    reason="journalctl and systemd-journal-remote are not installed",
)
def test_entries_of_a_journal_survive_kill_9(kafka, shipping, tmp_path):
    (tmp_path / "journal").mkdir()
    writer = subprocess.Popen([JOURNAL_REMOTE, "-o", tmp_path / "journal" / "x.journal", "-"], stdin=subprocess.PIPE)

    def write(begin, end):
        for number in range(begin, end):
            time = b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n" % (1_700_000_000_000_000 + number, number + 1)
            writer.stdin.write(time + b"_BOOT_ID=%032x\nPRIORITY=6\nMESSAGE=message %d\n\n" % (1, number))
        writer.stdin.flush()

    shipper, topic = shipping(f'type = "journald"\ndirectory = "{tmp_path}/journal"')
    for life in range(4):
        write(2000 * life, 2000 * (life + 1))
        values(kafka, topic, 2000 * life + 1000)
        shipper.kill()
        shipper.start()
    writer.communicate()

    found = [json.loads(value)["MESSAGE"] for value in values(kafka, topic, 8000)]
    assert found == [f"message {number}" for number in range(8000)]
    assert shipper.stop() == 0


def test_a_request_is_answered_once_its_lines_are_in_kafka(kafka, shipping):
    port = free_port()
    shipper, topic = shipping(f'type = "http"\nlisten = "127.0.0.1:{port}"')
    connected(port)
    lines = [b'{"n":%d}' % number for number in range(1000)]

    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", gzip.compress(b"\n".join(lines)), {"Content-Encoding": "gzip"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        assert [record.value for record in read_back(kafka, topic)] == lines

    assert shipper.stop() == 0
