"""Sources that listen or run commands, with real senders, the real `ingest ship` and a real broker."""

import gzip
import json
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
