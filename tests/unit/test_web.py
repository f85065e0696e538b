import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from html.parser import HTMLParser

import pytest

from ingest.errors import UsageError
from ingest.service.health import Health
from ingest.service.metrics import Metrics
from ingest.service.status_page import page
from ingest.service.web import WebServer, parse_listen


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def serve(health):
    started = []

    def start(status=dict, listen="127.0.0.1:0", metrics=None):
        server = WebServer(listen, metrics or Metrics(), health, status)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
    assert "web" not in {thread.name for thread in threading.enumerate()}


def get(server, path, method="GET"):
    request = urllib.request.Request(f"http://{server.address}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(listen, expected):
    assert parse_listen(listen) == expected


@pytest.mark.parametrize(
    "listen", ["", ":", "9464", ":9464", "host:", "host:http", "::1:80", "[host]:1x", "h:65536", "h:-1", "h:٣"]
)
def test_anything_else_is_refused(listen):
    with pytest.raises(UsageError, match="is no address to listen on"):
        parse_listen(listen)


def test_metrics_are_served_in_prometheus_format(serve):
    metrics = Metrics()
    metrics.sink_rows.labels("app-logs").inc(7)
    status, headers, body = get(serve(metrics=metrics), "/metrics")

    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'ingest_sink_rows_total{topic="app-logs"} 7.0' in body


def test_readiness_follows_the_parts(serve, health):
    server = serve()
    assert get(server, "/readyz")[0] == 503
    health.report("kafka", True)
    assert get(server, "/readyz")[0] == 200
    health.report("destination", False, "safe mode")
    status, headers, body = get(server, "/readyz")

    assert status == 503
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["parts"]["destination"]["why"] == "safe mode"


def test_liveness_follows_the_beats(serve, health):
    server = serve()
    assert get(server, "/healthz")[0] == 200
    health.beat("sink", within=-1)
    status, _, body = get(server, "/healthz")

    assert status == 503
    assert "has not moved" in json.loads(body)["parts"]["sink"]["why"]


class Page(HTMLParser):
    """Collects tags and text; fails on what is not closed."""

    VOID = {"meta", "link", "br", "img"}

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts, self.links = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"href", "src"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)


def test_the_status_page_shows_what_it_is_given_and_fetches_nothing(serve, health):
    health.report("destination", False, "nn1 <down>")
    health.beat("sink", within=60)
    status = {
        "Partitions": [{"topic": "a", "lag": 1234567}, {"topic": "b", "stopped": True}],
        "Ship": {"source": "web", "inflight": 0.5, "paths": ["/x", "/y"], "none": None, "empty": []},
        "Note": "all <b>well</b> \x1b[31m",
        "Nothing": {},
    }
    code, headers, body = get(serve(lambda: status), "/")
    seen = Page(body)

    assert code == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert {"nn1 <down>", "1234567", "all <b>well</b> \\x1b[31m", "not ready", "alive", "/y", "none"} <= set(seen.texts)
    assert "b" not in seen.tags
    assert "script" not in seen.tags
    assert set(seen.links) == {"/metrics", "/readyz", "/healthz"}


def test_the_page_escapes_every_place_a_name_can_stand():
    evil = "<script>alert(1)</script>"
    parts = {evil: {"ok": True, "why": evil, "age": 1.0}}
    status = {evil: {evil: evil}, "t": [{evil: evil}], "l": [evil, {evil: [evil]}]}
    html = page({"ready": True, "parts": parts}, {"alive": True, "parts": parts}, status)

    assert "script" not in Page(html).tags


@pytest.mark.parametrize(
    ("path", "method", "expected"), [("/nothing", "GET", 404), ("/", "POST", 405), ("/readyz", "HEAD", 503)]
)
def test_only_what_is_offered_is_answered(serve, path, method, expected):
    assert get(serve(), path, method)[0] == expected


def test_health_is_answered_while_the_status_page_waits(serve, health):
    asked, go_on = threading.Event(), threading.Event()

    def status():
        asked.set()
        assert go_on.wait(10)
        return {}

    server = serve(status)
    viewer = threading.Thread(target=get, args=[server, "/"])
    viewer.start()
    assert asked.wait(10)
    assert get(server, "/healthz")[0] == 200
    go_on.set()
    viewer.join()


def test_a_status_that_hangs_does_not_hold_up_the_end(serve, monkeypatch):
    monkeypatch.setattr("ingest.service.web._LAST_ANSWERS", 0.1)
    asked, go_on = threading.Event(), threading.Event()

    def status():
        asked.set()
        assert go_on.wait(20)
        return {}

    server = serve(status)
    answers = []
    viewer = threading.Thread(target=lambda: answers.append(get(server, "/")[0]))
    viewer.start()
    assert asked.wait(10)
    server.stop()
    assert not go_on.is_set()
    go_on.set()
    viewer.join()

    assert answers == [500]


def test_a_taken_port_is_named(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port}: can't listen there: .*--listen"):
            serve(listen=f"127.0.0.1:{port}")


@pytest.mark.parametrize("listen", ["203.0.113.7:0", "no-such-host.invalid:0"])
def test_an_address_that_is_not_this_machines_is_refused(serve, listen):
    with pytest.raises(UsageError, match="can't listen there"):
        serve(listen=listen)


def test_a_port_is_free_again_after_stop(serve):
    first = serve()
    assert get(first, "/healthz")[0] == 200
    first.stop()
    first.stop()

    assert get(serve(listen=first.address), "/healthz")[0] == 200


def test_listening_to_other_machines_is_said(serve, capfd):
    serve(listen="0.0.0.0:0")

    assert "can be read from other machines" in capfd.readouterr().err


def test_signals_stay_with_the_program(serve):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with WebServer("127.0.0.1:0", Metrics(), Health(), dict) as server:
        get(server, "/healthz")

        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
