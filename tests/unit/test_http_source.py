import gzip
import http.client
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.api import ConfigError, Refused, Secret, Unavailable
from ingest.connectors.http.body import NotTaken, Unpacking, check_length, check_token
from ingest.connectors.sources.http import HttpOptions, HttpSource
from tests.builders.sources import all_values, context
from tests.builders.waiting import until


def options(**others):
    return HttpOptions(**{"name": "web", "type": "http", "topic": "logs", "listen": "127.0.0.1:0", **others})


class Web:
    """An HTTP source, and senders that wait for their answers."""

    def __init__(self, directory, **others):
        self.source = HttpSource(options(**others), context(directory, max_line=1000))
        self.source.resume([])
        self.pool = ThreadPoolExecutor(8)

    def post(self, body, path="/", method="POST", **headers):
        """Return a future of (status, headers)."""

        def talk():
            client = http.client.HTTPConnection(*self.source.address, timeout=60)
            try:
                names = {name.replace("_", "-"): value for name, value in headers.items()}
                client.request(method, path, body, names)
                answer = client.getresponse()
                answer.read()
                return answer.status, answer.headers
            finally:
                client.close()

        return self.pool.submit(talk)

    def status(self, *args, **headers):
        return self.post(*args, **headers).result()[0]

    def blocks(self, count=1):
        found = []
        until(lambda: found.extend(self.source.poll(1 << 20)) or sum(block.rows for block in found) >= count)
        return found

    def acknowledge(self, blocks):
        for block in blocks:
            self.source.acknowledged(block.stream.generation, block.end)

    def close(self):
        self.source.close()
        self.pool.shutdown()


@pytest.fixture
def web(tmp_path):
    made = []

    def make(**others):
        made.append(Web(tmp_path, **others))
        return made[-1]

    yield make
    for each in made:
        each.close()


# ── decisions ──


def unpacked(*chunks, encoding="", most=100):
    unpacking = Unpacking(encoding, most)
    for chunk in chunks:
        unpacking.feed(chunk)
    return unpacking.finish()


@pytest.mark.parametrize(
    ("chunks", "encoding", "expected"),
    [
        ([b"a\nb"], "", b"a\nb\n"),
        ([b"a\n", b"b\n"], "identity", b"a\nb\n"),
        ([], "", b""),
        ([], "gzip", b""),
        ([gzip.compress(b"a\nb\n")], "gzip", b"a\nb\n"),
        ([bytes([byte]) for byte in gzip.compress(b"a\nb\n")], "gzip", b"a\nb\n"),
        ([gzip.compress(b"a\n") + gzip.compress(b"b\n")], "gzip", b"a\nb\n"),
        ([b"x" * 99 + b"\n"], "", b"x" * 99 + b"\n"),
    ],
)
def test_a_body_is_unpacked(chunks, encoding, expected):
    assert unpacked(*chunks, encoding=encoding) == expected


@pytest.mark.parametrize(
    ("chunks", "encoding", "status"),
    [
        ([b"x" * 101], "", 413),
        ([b"x" * 60, b"x" * 60], "", 413),
        ([gzip.compress(bytes(10_000_000))], "gzip", 413),
        ([b"no gzip"], "gzip", 400),
        ([gzip.compress(b"a\n")[:-1]], "gzip", 400),
        ([gzip.compress(b"a\n") + b"more"], "gzip", 400),
        ([b"a"], "br", 415),
    ],
)
def test_a_body_that_can_not_be_taken_is_refused(chunks, encoding, status):
    with pytest.raises(NotTaken) as refusal:
        unpacked(*chunks, encoding=encoding)

    assert refusal.value.status == status


def test_a_bomb_is_never_unpacked_into_memory():
    unpacking = Unpacking("gzip", 100)

    with pytest.raises(NotTaken):
        unpacking.feed(gzip.compress(bytes(10_000_000)))

    assert unpacking._size == 101


@pytest.mark.parametrize("header", ["Bearer right", "bearer right", "BEARER  right "])
def test_the_right_token_is_let_in(header):
    check_token(header, Secret("right"))


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "right", "Basic right", "Bearer \udcff"]
)
def test_any_other_token_is_not(header):
    with pytest.raises(NotTaken) as refusal:
        check_token(header, Secret("right"))

    assert refusal.value.status == 401


@pytest.mark.parametrize("header", [None, "100", "nonsense", "-1"])
def test_a_length_that_says_nothing_bad_is_let_through(header):
    check_length(header, 100)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"listen": "nowhere"}, "listen"),
        ({"path": "x"}, "path"),
        ({"max_body": 10, "max_pending": 9}, "max_pending"),
    ],
)
def test_options_that_contradict_are_refused(changes, key):
    with pytest.raises(ConfigError) as error:
        options(**changes)

    assert error.value.key == key


# ── answers ──


def test_a_request_is_answered_once_kafka_has_all_its_lines(web):
    made = web()
    first = made.post(b'{"a":1}\n{"b":2}')
    blocks = made.blocks(2)
    second = made.post(gzip.compress(b'{"c":3}\n'), Content_Encoding="gzip")
    more = made.blocks(1)
    generation = blocks[0].stream.generation

    assert all_values(blocks + more) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    made.source.acknowledged(generation, blocks[-1].end - 1)
    assert made.status(b"", method="GET") == 405, "the server answers others meanwhile"
    assert not first.done()
    made.source.acknowledged(generation, blocks[-1].end)
    assert first.result()[0] == 200
    assert not second.done()
    made.acknowledge(more)
    assert second.result()[0] == 200


def test_a_request_without_lines_is_answered_at_once(web):
    assert web().status(b"") == 200


def test_what_can_not_be_taken_is_told(web):
    made = web(max_body=10, path="/in", token=Secret("right"))
    right = {"path": "/in", "Authorization": "Bearer right"}

    assert made.status(b"x\n", path="/in") == 401
    assert made.status(b"x\n", path="/in", Authorization="Bearer wrong") == 401
    assert made.status(b"x\n", path="/", Authorization="Bearer right") == 404
    assert made.status(b"x" * 11, **right) == 413
    assert made.status(iter([b"x" * 11]), **right) == 413
    assert made.status(b"no gzip", Content_Encoding="gzip", **right) == 400
    assert made.status(b"x", Content_Encoding="br", **right) == 415
    assert made.source.poll(1 << 20) == []


def test_too_much_on_its_way_is_told_to_come_later(web):
    made = web(max_body=10, max_pending=15)
    first = made.post(b"123456789\n")
    blocks = made.blocks()

    status, headers = made.post(b"123456789\n").result()
    assert (status, headers["Retry-After"]) == (429, "1")

    made.acknowledge(blocks)
    assert first.result()[0] == 200
    third = made.post(b"123456789\n")
    made.acknowledge(made.blocks())
    assert third.result()[0] == 200


def test_where_kafka_takes_too_long_it_is_to_be_sent_again(web):
    made = web(answer_within=0.1)

    status, headers = made.post(b"line\n").result()
    made.acknowledge(made.blocks())

    assert (status, headers["Retry-After"]) == (503, "1")
    assert made.source.poll(1 << 20) == []


def test_when_it_ends_nobody_is_told_that_lines_are_safe(web):
    made = web()
    handed_out = made.post(b"one\n")
    made.blocks()
    arrived = made.post(b"two\n")
    until(lambda: made.source._server.arrived)

    made.source.close()

    assert handed_out.result()[0] == arrived.result()[0] == 503


def test_a_taken_port_is_named(web, tmp_path):
    _, port = web().source.address

    with pytest.raises(Refused, match=f"127.0.0.1:{port}: can't listen there"):
        HttpSource(options(listen=f"127.0.0.1:{port}"), context(tmp_path))


def test_a_server_that_died_is_noticed(web):
    made = web()
    made.source._server._server.should_exit = True
    until(lambda: not made.source._server.alive)

    with pytest.raises(Unavailable, match="ended by itself"):
        made.source.poll(1)
