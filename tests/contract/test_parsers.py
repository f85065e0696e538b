"""Every parser that is installed under the name of this distribution passes the contract."""

from __future__ import annotations

from importlib.metadata import entry_points

import msgspec
import pyarrow as pa
import pytest

from ingest.testing.parser_contract import ParserContract

OBJECTS = (
    b'{"ts":"2026-11-23T01:02:03Z","status":200,"latency_ms":1.5,"path":"/a","ok":true}',
    b'{"ts":1700000000,"status":1.5}',
    b'{"ts":1700000000.5,"status":7,"extra":{"a":[1]}}',
    b' {\n"status" : 1\r\n}\n',
    b'{"status":1}{"status":2}',
    b'{"status":1,"status":1}',
    b'{"path":"\\ud800"}',
    b'{"path":{"a":1}}',
    b"null",
    b"{}",
)
ACCESS = (
    b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326',
    b'::1 - - [10/Oct/2000:13:55:36 -0700] "-" 408 - "-" "curl/8.5.0" "x"',
    b'::1 - - [10/Oct/2000:13:55:36 -0700] "\\"" 408 - "-" "-"\r',
    b'::1 - - [31/Sep/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 0',
    b'::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 2e2 0x0',
)
DELIMITED = (
    b"a,1,",
    b'"x, y",007,true\r',
    b'"a ""b""",1,TRUE',
    b"a,1.5,true",
    b"a,b",
    b"a,1,true,",
    b'"a"b,1,',
    b"s,n,b",
    b"\r",
)
PAIRS = (
    b'ts=2026-11-23T01:02:03Z level=info msg="two words" status=200',
    b'level="say \\"hi\\"" user=bob flag',
    b"level= status=007\r",
    b"level=a level=b",
    b'level="a',
    b"status=1.5",
    b"just words",
)
MESSAGES = (
    b"<34>1 2026-11-23T01:02:03.003Z web-1 su 77 ID47 - \xef\xbb\xbfhello",
    b'<34>1 2026-11-23T01:02:03+01:00 web-1 su - - [a b="c \\"]"] hello',
    b"<34>1 2026-02-30T01:02:03Z web-1 su - - -",
    b"<34>1 - - - - -",
    b"<13>Nov 23 01:02:03 web-1 su[77]: hello\r",
    b"Feb 29 01:02:03 web-1 kernel: [1.5] hello",
    b"2026-11-23T01:02:03Z web-1 hello",
    b"<192>x",
)
SAMPLES = {
    "raw": (b"a line", b"\xff\xfe", b"caf\xc3\xa9\r", b"\0"),
    "json": OBJECTS,
    "clf": ACCESS,
    "csv": DELIMITED,
    "regex": DELIMITED,
    "logfmt": PAIRS,
    "syslog": MESSAGES,
}
OPTIONS = {
    "raw": [{}],
    "syslog": [{}, {"zone": "Europe/Berlin"}],
    "logfmt": [
        {},
        {"schema": {"ts": "timestamp", "level": "string", "status": "int32"}},
        {"schema": {"status": "double"}, "unknown": "drop"},
        {"schema": {"level": "string", "status": "int8"}, "unknown": "quarantine"},
    ],
    "regex": [{"pattern": r"^(?P<s>[^,]*),(?P<n>[^,]*)", "schema": {"n": "int64"}}],
    "csv": [
        {"fields": ["s", "n", "b"], "schema": {"n": "int64", "b": "bool"}},
        {"fields": ["s"], "delimiter": "\t", "nulls": ["a"]},
    ],
    "json": [
        {},
        {"schema": {"ts": "timestamp", "status": "int32", "latency_ms": "double", "path": "string"}},
        {"schema": {"status": "int64"}, "unknown": "drop"},
        {"schema": {"ts": "timestamp", "status": "decimal128(9, 1)"}, "unknown": "quarantine"},
        {"schema": {"extra": "map<string, list<int64>>", "path": "string"}},
    ],
}


def cases():
    for entry in entry_points(group="ingest.parsers"):
        if entry.dist is not None and entry.dist.name == "ingest":
            for number, options in enumerate(OPTIONS.get(entry.name, [{}])):
                yield pytest.param(entry, options, id=f"{entry.name}-{number}")


@pytest.mark.parametrize(("entry", "options"), list(cases()))
class TestEveryParser(ParserContract):
    @pytest.fixture(autouse=True)
    def choose(self, entry, options):
        kind = entry.load()
        # Shadows the class attributes for this test alone.
        self.parser = kind(msgspec.convert(options, kind.Options))
        self.samples = SAMPLES.get(entry.name, ())


def test_the_samples_are_mixed():
    parser = next(entry for entry in entry_points(group="ingest.parsers") if entry.name == "json").load()
    given = parser(msgspec.convert(OPTIONS["json"][1], parser.Options))
    parsed = given.parse(pa.array(OBJECTS, pa.binary()), given.schema())
    assert len(parsed.rows) >= 3
    assert len(parsed.rejects) >= 3
