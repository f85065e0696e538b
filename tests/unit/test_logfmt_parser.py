from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ingest.api import ConfigError
from ingest.connectors.parsers import text_parser
from ingest.connectors.parsers.logfmt import UNKNOWN, LogfmtParser
from ingest.connectors.parsers.logfmt_pairs import (
    AFTER_QUOTE,
    BYTES,
    ESCAPE,
    NO_KEY,
    NO_PAIR,
    QUOTE_IN_KEY,
    SURROGATE,
    UNTERMINATED,
)
from ingest.connectors.parsers.logfmt_template import MOST_MARKS, LogfmtShapes
from ingest.connectors.parsers.text_parser import Columns
from tests.builders.parsing import facts, parse, read, slow

SCHEMA = {"ts": "timestamp", "level": "string", "status": "int32", "ok": "bool"}
LINE = "ts=2026-11-23T01:02:03Z level=info status=200 ok=true"
FIELDS = {"ts": datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC), "level": "info", "status": 200, "ok": True}


def parser(schema=SCHEMA, **options):
    made = LogfmtParser(LogfmtParser.Options(schema=schema, **options))
    made.shapes = LogfmtShapes(1, 1)
    return made


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (LINE, FIELDS),
        (f"  {LINE}\t \r", FIELDS),
        ("status=7", {"status": 7}),
        ('level="two words"', {"level": "two words"}),
        (r'level="say \"hi\" \\ \n\t\r\u00e9\ud83d\ude00"', {"level": 'say "hi" \\ \n\t\ré😀'}),
        (r'level="\a\b\f\n\r\t\v\\\"\/"', {"level": '\a\b\f\n\r\t\v\\"/'}),
        (r'level="\x00\x7F \x22 \x5cn"', {"level": '\0\x7f " \\n'}),
        (r'level="caf\xc3\xA9 \u00e9"', {"level": "café é"}),
        (r'level="\\x41 \\\x41 \\a"', {"level": r"\x41 \A \a"}),
        (r'level="\U0001F600 \ud83d\ude00\x41"', {"level": "😀 😀A"}),
        (r'level=\x41 user="\x41\a"', {"level": r"\x41", "rest": r'{"user":"A\u0007"}'}),
        ('level="a\tb\nc"', {"level": "a\tb\nc"}),
        ('level=a"b=c"', {"level": 'a"b=c"'}),
        ("level=C:\\dir\\", {"level": "C:\\dir\\"}),
        ("level==", {"level": "="}),
        ("level= status= ok=", {"level": ""}),
        ('level="" status=""', {"level": ""}),
        ("level=a ok", {"level": "a", "ok": True}),
        ("level ok=true", {"level": "true", "ok": True}),
        ("level=a user=bob flag n=1", {"level": "a", "rest": '{"user":"bob","flag":"true","n":"1"}'}),
        (r'level=a q="\"é\"" p=C:\a" rest=x', {"level": "a", "rest": r'{"q":"\"é\"","p":"C:\\a\"","rest":"x"}'}),
        ("level=a Level=b", {"level": "a", "rest": '{"Level":"b"}'}),
    ],
)
def test_fields_of_a_line(line, fields):
    assert read(parser(), line.encode()) == fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty value"),
        (" ", NO_PAIR),
        ("level", NO_PAIR),
        ("just some words", NO_PAIR),
        ("level=a level=b", "duplicate key"),
        ("level=a level", "duplicate key"),
        ("user=a user=b", "duplicate key"),
        ("=a", NO_KEY),
        ("level=a =b", NO_KEY),
        ('level=a "b"', NO_KEY),
        ('le"vel=a', QUOTE_IN_KEY),
        ('"msg"=x', QUOTE_IN_KEY),
        ('level=a "a \\" b"="x"', QUOTE_IN_KEY),
        ('level=a "b" =c', NO_KEY),
        ('level="a', UNTERMINATED),
        ('level="a\\"', UNTERMINATED),
        ('level="a"b', AFTER_QUOTE),
        ('level="a"status=1', AFTER_QUOTE),
        (r'level="\x4"', ESCAPE),
        (r'level="\xé9"', ESCAPE),
        (r'level="\101"', ESCAPE),
        (r'level="\q"', ESCAPE),
        (r'level="\U0001f60"', ESCAPE),
        (r'level="\U00110000"', ESCAPE),
        (r'level="\Uffffffff"', ESCAPE),
        (r'level="\U0000d83d\ude00"', ESCAPE),
        (r'level="\xff"', BYTES),
        (r'level="a\xc3"', BYTES),
        (r'level="\xc3a\xa9"', BYTES),
        (r'level="\xed\xa0\x80"', BYTES),
        (r'level="\u12"', ESCAPE),
        (r'level="\ud800"', SURROGATE),
        ("level=a status=1.5", "does not fit int32"),
        ("level=a ts=yesterday", "does not fit timestamp"),
    ],
)
def test_lines_that_are_refused(line, reason):
    assert read(parser(), line.encode()) == reason


def test_unknown_pairs_go_where_the_options_say():
    line = b"level=a user=bob"

    assert read(parser(unknown="drop"), line) == {"level": "a"}
    assert read(parser(unknown="quarantine"), line) == UNKNOWN
    assert read(parser(rest_column="more"), line) == {"level": "a", "more": '{"user":"bob"}'}


def agreed(made, lines):
    schema = pa.schema([])
    while new := parse(made, lines, schema=schema).new_columns:
        schema = pa.schema([*schema, *new])
    return schema


def test_without_a_schema_keys_become_columns_of_strings():
    made = parser({}, max_columns=3)
    lines = [b"a=1 flag", b"b=x A=2 a=3", b"c=y d=z flag=true b="]
    schema = agreed(made, lines)
    parsed = parse(made, lines, schema=schema)

    assert made.schema() is None
    assert schema == pa.schema([(name, pa.string()) for name in ("a", "b", "c", "rest")])
    assert parsed.table.to_pylist() == [
        {"a": "1", "b": None, "c": None, "rest": '{"flag":"true"}'},
        {"a": "3", "b": "x", "c": None, "rest": '{"A":"2"}'},
        {"a": None, "b": "", "c": "y", "rest": '{"d":"z","flag":"true"}'},
    ]


def test_the_names_of_columns_are_looked_at_once_however_many_lines_are_read_alone(monkeypatch):
    made, seen = slow(parser({})), []
    monkeypatch.setattr(text_parser, "Columns", lambda schema: seen.append(schema) or Columns(schema))
    lines = [f"a=1 k{number}=2 A=3 flag".encode() for number in range(50)]

    new = parse(made, lines, schema=pa.schema([])).new_columns

    assert [column.name for column in new] == ["a", *(f"k{number}" for number in range(50)), "rest"]
    assert len(seen) == 1


CONFORMING = {
    "one shape": ([LINE, LINE.replace("200", "404")], SCHEMA),
    "quoted and bare": (['level="a b" status=1', "level=a status=2", 'level="" status="3"'], SCHEMA),
    "equals in values": (["level=/x?a=1&b=2 status=1", 'level="x a=b" status=2', "level=/y status=3"], SCHEMA),
    "empty values": (["level= status=1", "level=a status=", "level=b status=2"], SCHEMA),
    "escapes": ([r'level="\"a\" \u00e9" status=1', r'level="\\" status=2', "level=x status=3"], SCHEMA),
    "quotes in bare values": (['level=a"b status=1', 'level=c" status=2'], SCHEMA),
    "shapes": (["level=a status=1", "status=2 level=b", "ok=true", LINE], SCHEMA),
    "carriage returns": (["level=a status=1\r", "level=b status=2\r"], SCHEMA),
    "rest": (['level=a user=bob q="x y"', "level=b user=é q=", "level=c"], SCHEMA),
    "escapes in rest": ([r'level=a err="\"x\" \\ \n"', 'level=b err="x"', 'level=c err=""'], SCHEMA),
    "more keys than columns": (["a=1 b=2 A=3", "a=2 b=3 A=4"], {}),
    "agreed columns": (["a=1 b=2", 'a="x y" b='], {}),
}


@pytest.mark.parametrize(("lines", "schema"), CONFORMING.values(), ids=CONFORMING)
def test_lines_of_few_shapes_are_not_read_alone(lines, schema, monkeypatch):
    made = parser(schema)
    lines = [line.encode() for line in lines] * 3
    columns = made.schema() or agreed(made, lines)
    expected = facts(parse(slow(made), lines, schema=columns))
    monkeypatch.setattr(made, "read", None)

    assert facts(parse(made, lines, schema=columns)) == expected
    assert expected["rejects"] == {}


@pytest.mark.parametrize(
    "line",
    [
        "level=a b status=1",
        'level="a"b" status=1',
        'level="a status=1',
        'level=" status=1',
        "level=a\tb status=1",
        "level=a\\ status=1",
        r'level="\q" status=1',
        "level=a  status=1",
        "level=a status=1 level=b",
        "status=1 level",
        "level=a status=1\\",
    ],
)
def test_what_templates_can_not_prove_is_read_alone_and_its_neighbours_are_not(line, monkeypatch):
    made, seen = parser(), []
    good = [f"level=a status={number}".encode() for number in range(20)]
    parse(made, good)
    monkeypatch.setattr(made, "read", lambda text, moment, counted: seen.append(text) or {})
    made.shapes.few = 2

    parse(made, [*good[:10], line.encode(), *good[10:]])

    assert seen == [line]


def test_rest_is_read_alone_where_its_text_needs_escapes(monkeypatch):
    made, seen = parser(), []
    monkeypatch.setattr(made, "read", lambda text, moment, counted: seen.append(text) or {})
    odd = ['level=a user=b"c', r'level=a user="\/"', r'level=a user="\u00e9"', r"level=a user=C:\n"]

    parse(made, [line.encode() for line in [*odd, *["level=a user=bob"] * 9]])

    assert seen == odd


def test_nothing_is_learned_from_lines_without_a_constant_shape():
    shapes = LogfmtShapes(1, 1)
    many = " ".join(f"k{number}=1" for number in range(MOST_MARKS + 1))

    for line in ("", "word", "a=1 word", "a=1 a=2", 'a="1', "a\\b=1", "a=1\tb=2", many):
        assert shapes.learn(line.encode()) is None
    assert [leaf.before for leaf in shapes.learn(' é=1  b="x y=z" c= '.encode()).leaves] == [
        " é=".encode(),
        b"  b=",
        b" c=",
    ]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"schema": {"a": "list<string>"}}, "schema.a"),
        ({"schema": {"a": "text"}}, "schema.a"),
        ({"schema": {"a": "string", "A": "string"}}, "schema"),
        ({"schema": {"rest": "string"}}, "rest_column"),
        ({"unknown": "drop"}, "unknown"),
        ({"rest_column": ""}, "rest_column"),
    ],
)
def test_options_that_are_refused(options, key):
    with pytest.raises(ConfigError) as refused:
        LogfmtParser.Options(**options)
    assert refused.value.key == key
