from datetime import UTC, datetime

import pytest

from ingest.api import ConfigError
from ingest.connectors.parsers.csv import BAD_QUOTING, HEADER, LINE_BREAK, TOO_FEW, TOO_MANY, CsvParser
from tests.builders.parsing import facts, parse, read, slow


def parser(*fields, **options):
    return CsvParser(CsvParser.Options(fields=list(fields), **options))


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b"1,2,3", {"a": "1", "b": "2", "c": "3"}),
        (b",2,", {"b": "2"}),
        (b"1,2,3\r", {"a": "1", "b": "2", "c": "3"}),
        (b'"1","2","3"\r', {"a": "1", "b": "2", "c": "3"}),
        (b' 1,"x, y",3 ', {"a": " 1", "b": "x, y", "c": "3 "}),
        (b'"say ""hi""","",""""', {"a": 'say "hi"', "c": '"'}),
        (b'a"b", "c",""', {"a": 'a"b"', "b": ' "c"'}),
        (b'"two\nlines","a\r\nb","\r"', {"a": "two\nlines", "b": "a\r\nb", "c": "\r"}),
        ("ż,ó,\0".encode(), {"a": "ż", "b": "ó", "c": "\0"}),
        ("\ufeffa,b,d".encode(), {"a": "\ufeffa", "b": "b", "c": "d"}),
        ('\ufeff"a"x,b,d'.encode(), {"a": '\ufeff"a"x', "b": "b", "c": "d"}),
        (b"A,b,c", {"a": "A", "b": "b", "c": "c"}),
        (b"a" * 300_000 + b",,", {"a": "a" * 300_000}),
    ],
)
def test_fields_of_a_line(line, fields):
    assert read(parser("a", "b", "c"), line) == fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty value"),
        (b"\xff,,", "not UTF-8"),
        (b"1,2", TOO_FEW),
        (b"\r", TOO_FEW),
        (b"1,2,3,", TOO_MANY),
        (b'"a"b,c,d', BAD_QUOTING),
        (b'a,b,"c', BAD_QUOTING),
        (b'a,"b,c', BAD_QUOTING),
        (b'"a" ,b,c', BAD_QUOTING),
        (b"a,b\nc,d", LINE_BREAK),
        (b"a\rb,1,2", LINE_BREAK),
        (b'a,"b"\rc,2', LINE_BREAK),
        (b"a,b,c", HEADER),
        (b'a,"b",c\r', HEADER),
        ("\ufeffa,b,c".encode(), HEADER),
        ('\ufeff"a","b",c\r'.encode(), HEADER),
    ],
)
def test_lines_that_are_refused(line, reason):
    assert read(parser("a", "b", "c"), line) == reason


def test_a_schema_types_some_columns_or_names_all():
    some = parser("t", "n", "s", schema={"n": "int32", "t": "timestamp"})
    every = CsvParser(CsvParser.Options(schema={"t": "timestamp", "n": "int32", "s": "string"}))
    expected = {"t": datetime(2026, 11, 23, tzinfo=UTC), "n": 7, "s": "x"}

    assert some.schema() == every.schema()
    for made in (some, every):
        assert read(made, b"2026-11-23,7.0,x") == expected
        assert read(made, b"2026-11-23,7.5,x") == "does not fit int32"
        assert read(made, b',"",""') == {}


def test_one_column_may_be_empty_where_the_line_is_not():
    assert read(parser("a", nulls=("NULL",)), b"\r") == {"a": ""}
    assert read(parser("a"), b'""') == {}


def test_nulls_are_texts_of_whole_fields():
    made = parser("a", "b", "n", nulls=("-", "NULL"), schema={"n": "int64"})

    assert read(made, b"-,NULL,") == {}
    assert read(made, b'"-",NULLS,-') == {"b": "NULLS"}
    assert read(made, b",--,5") == {"a": "", "b": "--", "n": 5}


def test_delimiter_and_quote():
    made = parser("a", "b", delimiter="\t", quote="'")

    assert read(made, b"x,y\t'a\tb'") == {"a": "x,y", "b": "a\tb"}
    assert read(made, b'"a\tb"') == {"a": '"a', "b": 'b"'}


def test_usual_lines_are_not_read_alone(monkeypatch):
    made = parser("a", "b", "n", schema={"n": "int64"}, nulls=("-",))
    lines = [b'x,"a, b",007', b",-,-\r", b'"","",""', b"x,y,1"] * 200
    expected = facts(parse(slow(made), lines))
    seen = []
    monkeypatch.setattr(made, "read", lambda text, moment, counted: seen.append(text) or {})

    assert facts(parse(made, lines)) == expected
    odd = ['a,"b,1', "a,b,1\n", 'a"b",c,1', "a,b,n", "1,2,3,4", 'a,"b""c",1', "a,b,1.5"]
    parse(made, [line for each in odd for line in (b"x,y,1", each.encode())])
    assert seen == odd


@pytest.mark.parametrize(
    ("options", "key", "problem"),
    [
        ({}, "fields", "missing"),
        ({"fields": ["a", ""]}, "fields", "needs a name"),
        ({"fields": ["a", "a"]}, "fields", "twice"),
        ({"fields": ["a", "A"]}, "fields", "differ only in case"),
        ({"fields": ["a"], "schema": {"b": "string"}}, "schema.b", "not among the fields a"),
        ({"fields": ["a"], "schema": {"a": "text"}}, "schema.a", "no type"),
        ({"fields": ["a"], "schema": {"a": "list<string>"}}, "schema.a", "no text has the type"),
        ({"fields": ["a"], "delimiter": ""}, "delimiter", "one ASCII character"),
        ({"fields": ["a"], "delimiter": "||"}, "delimiter", "one ASCII character"),
        ({"fields": ["a"], "quote": "”"}, "quote", "one ASCII character"),
        ({"fields": ["a"], "quote": ","}, "quote", "must differ"),
    ],
)
def test_options_that_are_refused(options, key, problem):
    with pytest.raises(ConfigError, match=problem) as refused:
        CsvParser.Options(**options)
    assert refused.value.key == key
