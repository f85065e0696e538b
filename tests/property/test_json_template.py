"""What templates accept, the reference accepts with the same result: on lines of few shapes, good and damaged."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.api import arrow_type
from ingest.connectors.parsers.json import JsonParser
from ingest.connectors.parsers.json_guard import look
from ingest.connectors.parsers.json_rows import RowReader
from ingest.connectors.parsers.json_template_match import Shapes
from ingest.connectors.parsers.json_template_reader import TemplateReader
from ingest.connectors.parsers.number_columns import numbers

SCHEMA = {
    "i": "int64",
    "s": "int8",
    "d": "double",
    "f": "float",
    "b": "bool",
    "t": "string",
    "y": "binary",
    "at": "timestamp",
    "on": "date32",
    "m": "decimal128(10, 2)",
    "l": "list<double>",
    "o": "struct<x: int64, y: list<string>>",
    "p": "map<string, timestamp>",
}
INFERRED = {"i": "int64", "d": "double", "b": "bool", "t": "string", "at": "timestamp", "o": "string", "rest": "string"}
UNKNOWN = ["u", "rest", "I", "x y", "é"]

NUMBERS = """
0 -0 1 -1 7.0 7e0 1.5 1e2 1E+2 -1.25 127 128 -128 255 16777217 9007199254740993 9223372036854775807 0.0 -0.0 00 -01 0.
9223372036854775808 1180591620717411303424 1e400 1e-400 0.1 3.5e38 01 +1 1. .5 0x10 NaN Infinity -Infinity nan 0x 1_0
1700000000 1700000000.5 1700000000.1234567 1700000000123 1700000000123456 1700000000123456789 99999999999 100000000000
-5 0e99999 1e99999 12345678.90 12345678.905 123456789 99999999.99 99999999.999 1e8 1e37 1.5e37 1e99 1e+9 1e-9 1e1000
8999999999999999999 9000000000000000000 -8999999999999999999 -9223372036854775808 -9223372036854775809 1.5.5 1e5e5
1e5.5 1-1 - -- -.5 1e 1e+ 1.e5 5.e 1.5e+ 1e+-5 ٣ 1000000000000000000000000000000000000000 9999999999.5 8999999999.5
1.000000000000000000000000000000 1700000000.1234567891 99999999999.5 inf 1,5 1:5 16777215 16777216.0 9007199254740992
"""
TIMES = """
2026-11-23 2026-11-23T01:02:03Z 2026-11-23T01:02:03.123456+05:45 2026-11-23T01:02:03.1234567Z 2026-11-23T01:02:03,123
2026-11-23T01:02 2026-11-23t01:02z 2026-11-23T01 2026-02-30 0000-01-01 0001-01-01T00:00:00+23:00 2026-11-23T01:02:03.1Z
9999-12-31T23:59:59-01:00 2026-11-23T24:00:00Z 2026-11-23T01:02:03.000000000Z 1969-12-31T23:59:59.9999999Z
1969-12-31T23:59:59.999999999Z 2026-11-23T01:02:03 2026-11-23T23:59:60Z 0000-12-31T23:59:59Z 1600-01-01T00:00:00.1Z
2262-04-12T00:00:00.123456789Z 1600-01-01T00:00:00.123456789Z
"""


def quoted(texts):
    return st.sampled_from([json.dumps(text) for text in texts])


SCALARS = st.one_of(
    st.sampled_from(NUMBERS.split()),
    quoted(TIMES.split()),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(max_size=6).map(json.dumps),
    st.sampled_from(
        ["null", "true", "false", "nul", "nulL", "True", "", '"', '""', '"""', '"a"b"', "'a'", "{}", "[]", "{ }", "[ ]"]
    ),
    st.sampled_from(
        ['"\\ud800"', '"\\""', '"\\\\"', '"a\tb"', '"a\x00"', '"a\x7f"', '"5"', '"":"', '":"', '"," "', '"x":1', "}{"]
    ),
)
LISTS = st.one_of(
    st.lists(SCALARS, max_size=2).map(lambda items: "[" + ",".join(items) + "]"),
    st.sampled_from(['["a"]', '["a", "b"]', "[1.5,null]", "[[[]]]", '[{"x":1}]', "[{}]", "[1", "]", '["a"', "[" * 200]),
)
OBJECTS = st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), st.one_of(SCALARS, LISTS)), max_size=2).map(
    lambda members: "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"
)
PIECES = ["a", ":", ",", "x", r"\\", r"\"", r"\/", r"\n", r"\u00e9", r"\u20ac", r"\u0000", r"\u0041"]
PIECES += [r"\ud800", r"\ud83d\ude00", r"\u12", r"\x"]
FITTING = {
    "i": st.sampled_from(["0", "-7", "12", "9223372036854775807", "1000000000000000000"]),
    "s": st.sampled_from(["1", "-128", "127"]),
    "d": st.sampled_from(["1.5", "2", "-0", "0.125", "1e-05"]),
    "f": st.sampled_from(["0.1", "3", "1.00000005960464477540"]),
    "b": st.sampled_from(["true", "false"]),
    "t": st.one_of(
        st.text(st.characters(exclude_characters='"\\', min_codepoint=32), max_size=4).map(lambda text: f'"{text}"'),
        st.text(st.characters(codec="utf-8"), max_size=6).map(json.dumps),
        st.lists(st.sampled_from(PIECES), max_size=4).map(lambda pieces: f'"{"".join(pieces)}"'),
    ),
    "y": st.sampled_from(['""', '"a"', '"é"', '"\\u00e9\\n"']),
    "at": st.one_of(
        quoted(["2026-11-23T01:02:03Z", "2026-11-23T01:02:03.25Z", "1969-12-31T23:59:59.123456789Z"]),
        st.sampled_from(["1700000000", "1700000000.25", "1700000000123"]),
    ),
    "on": st.just('"2026-11-23"'),
    "m": st.sampled_from(["1.5", "12345678.90", "0", "-1"]),
    "l": st.sampled_from(["[]", "[1.5,null,2]", "[null]"]),
    "o": st.sampled_from(["{}", '{"x":1}', '{"y":["a",null],"x":null}', '{"x":2,"z":"a"}']),
    "p": st.sampled_from(["{}", '{"k":1}', '{"k":1700000000000000001}']),
    "u": st.one_of(
        st.just("null"), st.sampled_from(["null", "1.50", '"é"', "[]", '{"k":[1,"a"],"l":{"m":null}}', '{"k": 1}'])
    ),
    "x y": st.sampled_from(["null", '"v"']),
}
SPACES = ["", "", "", "", "", "", " ", "\n"]


@st.composite
def blocks(draw: st.DrawFn, columns=tuple(SCHEMA)) -> list[bytes]:
    """Lines of a few shapes, most of them good, some damaged."""
    shapes = draw(st.lists(shape(columns), min_size=1, max_size=3))
    return draw(st.lists(st.sampled_from(shapes).flatmap(lambda kind: line(*kind)), min_size=1, max_size=10))


def shape(columns):
    known = st.lists(st.sampled_from(columns), max_size=5, unique=True)
    more = st.lists(st.sampled_from([*columns, *UNKNOWN]), max_size=5, unique=True)
    names = st.one_of(known, known, more, st.lists(st.sampled_from([*columns, *UNKNOWN]), max_size=5))
    return st.tuples(names, st.sampled_from(SPACES), st.sampled_from(SPACES), st.sampled_from(SPACES))


@st.composite
def line(draw: st.DrawFn, names: list[str], after_colon: str, after_comma: str, inside: str) -> bytes:
    wild = draw(st.integers(0, 19))
    values = [
        draw(st.one_of(SCALARS, LISTS, OBJECTS) if wild == number else FITTING.get(name, st.just("null")))
        for number, name in enumerate(names)
    ]
    members = [f'"{name}":{after_colon}{value}' for name, value in zip(names, values, strict=True)]
    text = f"{{{inside}{f',{after_comma}'.join(members)}{inside}}}".encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 11)):
        return text
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(DAMAGE)) + text[at + draw(st.integers(0, 2)) :]


DAMAGE = [
    b"",
    b"",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"\xc3",
    b" ",
    b",",
    b":",
    b"}",
    b"{",
    b"\r",
    b"\t",
    b'":',
    b'","',
    b"0",
]


def assert_accepted_alike(block: list[bytes], parser: JsonParser, schema: pa.Schema) -> int:
    """Return how many lines templates accepted."""
    seen = look(pa.array(block, pa.binary()))
    pieces, left = TemplateReader(schema, parser.rules, Shapes(least=1, few=1)).read(seen.text)
    assert sorted([*left.tolist(), *(row for piece in pieces for row in piece.rows.tolist())]) == list(
        range(len(seen.text))
    )
    for piece in pieces:
        piece.batch.validate(full=True)
        reader = RowReader(schema, parser.rules)
        for row in seen.rows[piece.rows].tolist():
            reader.add(row, block[row])
        assert reader.result.rejects == {}
        assert not reader.result.found
        assert not reader.result.lacks_rest
        _, batch = reader.batch()
        assert [tuple(map(repr, row.values())) for row in piece.batch.to_pylist()] == [
            tuple(map(repr, row.values())) for row in batch.to_pylist()
        ]
        assert piece.cut == reader.result.cut
    return len(seen.text) - len(left)


@settings(max_examples=400, deadline=None)
@given(blocks(), st.sampled_from(["rest", "drop", "quarantine"]))
@example([b'{"t":"a"b"}', b'{"t":}'], "rest")
@example([b'{"t":"a""}', b'{"t":"}', b'{"t":"b"}'], "rest")
@example([b'{"t":"a"b"}', b'{"t":"}'], "drop")
@example([b'{"t":"","i":1}', b'{"t":"a","i":1}', b'{"t":"b":"c","i":2}'], "drop")
@example([b'{"i":1}{"i":2}', b'{"i":1}'], "drop")
def test_what_templates_accept_the_reference_accepts(block, unknown):
    parser = JsonParser(JsonParser.Options(schema=SCHEMA, unknown=unknown))
    assert_accepted_alike(block, parser, parser.schema())


@settings(max_examples=300, deadline=None)
@given(blocks(tuple(INFERRED)))
def test_what_templates_accept_for_agreed_columns_the_reference_accepts(block):
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in INFERRED.items()])
    assert_accepted_alike(block, JsonParser(JsonParser.Options()), schema)


@settings(max_examples=200, deadline=None)
@given(st.lists(blocks(), min_size=2, max_size=3), st.sampled_from(["rest", "drop", "quarantine"]))
def test_what_was_learned_before_changes_nothing(several, unknown):
    options = JsonParser.Options(schema=SCHEMA, unknown=unknown)
    learned = JsonParser(options)
    learned.shapes = Shapes(least=1, few=1)
    for block in several:
        values = pa.array(block, pa.binary())
        fresh = JsonParser(options)
        fresh.shapes = Shapes(least=10_000)
        expected, parsed = (each.parse(values, each.schema()) for each in (fresh, learned))
        assert parsed.rows.tolist() == expected.rows.tolist()
        assert parsed.rejects.tolist() == expected.rejects.tolist()
        assert parsed.reasons == expected.reasons
        assert parsed.counted == expected.counted
        assert list(map(repr, parsed.table.to_pylist())) == list(map(repr, expected.table.to_pylist()))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([text for text in NUMBERS.split() if text[0] in "-0123456789"]),
            st.from_regex(r"[-0-9][-+.eE0-9]{0,8}", fullmatch=True),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 8),
)
def test_numbers_are_what_the_grammar_says(block, cut):
    cut = min(cut, len(block))
    parts = [part for part in (block[:cut], block[cut:]) if part]
    found = numbers(pa.array(block, pa.string()), [len(part) for part in parts])
    for part, each in zip(parts, found, strict=True):
        for at, text in enumerate(part):
            try:
                value = json.loads(text, parse_constant=int)
            except ValueError:
                assert not each.valid[at]
                continue
            if not each.valid[at]:
                assert len(text) > 40 or "e" in text.lower()
                continue
            assert each.whole[at] == isinstance(value, int)
            if each.plain[at]:
                whole, _, fraction = text.lstrip("-").partition(".")
                assert (each.before[at], each.after[at]) == (len(whole), len(fraction))
                assert chr(each.leading[at]) == whole[0]
