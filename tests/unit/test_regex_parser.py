from datetime import UTC, datetime

import pytest

from ingest.api import ConfigError
from ingest.connectors.parsers.regex import NO_MATCH, RegexParser
from tests.builders.parsing import facts, parse, read, slow

PATTERN = r"^(?P<time>\S+) (?P<level>[A-Z]+)(?: \[(?P<worker>\d+)\])? (?P<message>.*)$"


def parser(pattern=PATTERN, **schema):
    return RegexParser(RegexParser.Options(pattern=pattern, schema=schema))


def test_groups_are_columns():
    made = parser(time="timestamp", worker="int32")
    time = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)

    assert made.schema().names == ["time", "level", "worker", "message"]
    assert read(made, b"2026-11-23T01:02:03Z INFO [7] started") == {
        "time": time,
        "level": "INFO",
        "worker": 7,
        "message": "started",
    }
    assert read(made, b"2026-11-23T01:02:03Z INFO ") == {"time": time, "level": "INFO"}
    assert read(made, b"yesterday INFO x") == "does not fit timestamp"
    assert read(made, b"2026-11-23T01:02:03Z info x") == NO_MATCH
    assert read(made, b"") == "empty value"
    assert read(made, b"\xff") == "not UTF-8"


def test_the_first_match_anywhere_counts():
    made = parser(r"(?P<key>\w+)=(?P<value>\w*)")

    assert read(made, "é x=1 y=2".encode()) == {"key": "x", "value": "1"}
    assert read(made, b"x= y=2") == {"key": "x"}


def test_lines_are_not_read_alone_and_what_does_not_match_is_not_either(monkeypatch):
    made = parser(worker="int32")
    lines = [b"t INFO [7] a", b"nothing", b"t WARN b", b"t WARN [7000000000] b"] * 200
    expected = facts(parse(slow(made), lines))
    monkeypatch.setattr(made, "read", None)

    assert facts(parse(made, lines)) == expected
    assert expected["rejects"][1] == NO_MATCH
    assert expected["rejects"][3] == "does not fit int32"


@pytest.mark.parametrize(
    ("options", "key", "problem"),
    [
        ({"pattern": "(?P<a>"}, "pattern", "missing )"),
        ({"pattern": "(?P<a>x)(y)"}, "pattern", "a group has no name"),
        ({"pattern": "xy"}, "pattern", "no named group"),
        ({"pattern": "(?P<a>x)(?P<a>y)"}, "pattern", "twice"),
        ({"pattern": "(?P<a>x)(?P<A>y)"}, "pattern", "differ only in case"),
        ({"pattern": r"(?P<a>\C)"}, "pattern", "cut characters"),
        ({"pattern": r"(?P<a>(?=x))"}, "pattern", "invalid perl operator"),
        ({"pattern": "(?P<a>x)", "schema": {"b": "int64"}}, "schema.b", "not among the groups a"),
        ({"pattern": "(?P<a>x)", "schema": {"a": "map<string, string>"}}, "schema.a", "no text has the type"),
    ],
)
def test_options_that_are_refused(options, key, problem):
    with pytest.raises(ConfigError, match=problem.replace(")", r"\)")) as refused:
        RegexParser.Options(**options)
    assert refused.value.key == key


def test_a_backslash_before_a_letter_c_is_no_byte():
    assert read(parser(r"(?P<a>\\C)"), rb"\C") == {"a": r"\C"}
