"""The columnar way of the JSON parser against reading value by value: equal on random and on hostile input."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.connectors.parsers.json import JsonParser
from ingest.connectors.parsers.json_columns import ColumnReader
from ingest.connectors.parsers.json_guard import look
from ingest.connectors.parsers.json_rows import RowReader

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
}

NUMBERS_TEXT = """
0 -0 1 -1 7.0 7e0 1.5 1e2 1E+2 -1.25 127 128 -128 255 16777217 9007199254740993 9223372036854775807
9223372036854775808 1180591620717411303424 1e400 1e-400 0.1 3.5e38 01 +1 1. .5 0x10 NaN Infinity -Infinity Inf -Inf nan
1700000000 1700000000.5 1700000000.1234567 1700000000123 1700000000123456 1700000000123456789 99999999999 100000000000
-5 0e99999 1e99999 12345678.90 12345678.905 123456789 99999999.99 99999999.999 100000000 1e8 1e37 1.5e37
1.000000000000000000000000000000 123456789012345678901234567890123456789012 99999999999999999999999999999999999999
"""
NUMBERS = st.sampled_from(NUMBERS_TEXT.split())
TIMES = st.sampled_from(
    [
        "2026-11-23",
        "2026-11-23T01:02:03Z",
        "2026-11-23 01:02:03.123456+05:45",
        "2026-11-23T01:02:03.1234567Z",
        "2026-11-23T01:02:03,123",
        "2026-11-23T01:02:03 +0100",
        "2026-11-23T01:02",
        "2026-11-23t01:02z",
        "2026-11-23T01",
        "2026-02-30",
        "0000-01-01",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-01:00",
        "2026-11-23T24:00:00Z",
        "2026-11-23T01:02:03.000000000Z",
        "1969-12-31T23:59:59.9999999",
    ]
).map(json.dumps)
STRINGS = st.one_of(
    st.text(max_size=6).map(json.dumps),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        ['"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"5"', '"NaN"', '"a\x01"', "'a'"]
    ),
    TIMES,
)
LEAVES = st.one_of(NUMBERS, STRINGS, st.sampled_from(["null", "true", "false", "True", "", "{", "}"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), inner), max_size=3).map(
            lambda items: "{" + ",".join(f'"{name}":{value}' for name, value in items) + "}"
        ),
    ),
    max_leaves=4,
)
FITTING = {
    "i": st.sampled_from(["0", "-7", "9223372036854775807"]),
    "s": st.sampled_from(["1", "-128"]),
    "d": st.sampled_from(["1.5", "2", "-0", "1e-400"]),
    "f": st.sampled_from(["0.1", "3", "1.00000005960464477540"]),
    "b": st.sampled_from(["true", "false"]),
    "t": st.text(max_size=4).map(json.dumps),
    "y": st.text(max_size=4).map(json.dumps),
    "at": st.one_of(TIMES, st.sampled_from(["1700000000", "1700000000.25", "1700000000123"])),
    "on": st.just('"2026-11-23"'),
    "m": st.sampled_from(["1.5", "12345678.90", "1e2", "0"]),
    "l": st.sampled_from(["[]", "[1.5,null,2]", "[null]"]),
    "o": st.sampled_from(["{}", '{"x":1}', '{"y":["a",null],"x":null}']),
}
NAMES = st.sampled_from([*SCHEMA, "unknown", "", "rest", "\\u0069", "m\\u0000", "\\u006d"])
MEMBERS = st.one_of(
    st.sampled_from(list(SCHEMA)).flatmap(lambda name: st.tuples(st.just(name), FITTING[name])),
    st.tuples(NAMES, VALUES),
)
SPACES = st.sampled_from(["", "", " ", "\n", "\r\n", "\t"])


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    space = draw(SPACES)
    members = draw(st.lists(MEMBERS, max_size=4))
    body = f",{space}".join(f'"{name}":{space}{value}' for name, value in members)
    return f"{draw(SPACES)}{{{body}{space}}}{draw(SPACES)}".encode()


@st.composite
def good_objects(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(st.sampled_from(list(SCHEMA)), unique=True, max_size=6))
    return ("{" + ",".join(f'"{name}":{draw(FITTING[name])}' for name in names) + "}").encode()


HOSTILE = st.one_of(
    st.sampled_from(
        [
            b"",
            b" ",
            b"null",
            b"[]",
            b"{}{}",
            b'{"i":1}{"i":2}',
            b'{"i":1}\n{"i":2}',
            b'{"i":1},{"i":2}',
            b'{"i":1}\x00{"i":2}',
            b'{"i":1}\x00}',
            b'\xef\xbb\xbf{"i":1}',
            b'{"t":"\xff"}',
            b'{"t":"\xed\xa0\x80"}',
            b'{"o":{}',
            b'"b":1},"c":2}',
            b'{"t":"',
            b'"}',
            b"{" * 200 + b"}" * 200,
            b'{"z":' + b"[" * 130 + b"]" * 130 + b"}",
            b'{"z":NaN}',
            b'{"z":[1,-Infinity]}',
            b'{"t":": NaN"}',
            b'{"z":1,"z":2}',
            b'{"z":{"q":1,"q":2}}',
            b'{"o":{"x":1,"x":2}}',
            b'{"o":{"x":1,"n":2}}',
            b'{"i":null,"i":1}',
            b'{"i":1}//',
            b'{"i":1}/**/}',
        ]
    ),
    st.binary(max_size=12),
    st.binary(max_size=12).map(lambda raw: b"{" + raw + b"}"),
)
BLOCKS = st.lists(st.one_of(good_objects(), good_objects(), objects(), HOSTILE, st.none()), max_size=12)


def by_value(parser: JsonParser, values: pa.BinaryArray, schema: pa.Schema):
    reader = RowReader(schema, parser.rules)
    for row, value in enumerate(values.to_pylist()):
        if value is not None:
            reader.add(row, value)
    return reader


def cells(batch: pa.RecordBatch) -> list[tuple]:
    """Every row as texts that tell 0.0 from -0.0."""
    return [tuple(map(repr, row.values())) for row in batch.to_pylist()]


def assert_equal(parser: JsonParser, block: list[bytes | None], schema: pa.Schema) -> None:
    values = pa.array(block, pa.binary())
    parsed = parser.parse(values, schema)
    reader = by_value(parser, values, schema)
    if reader.result.found or reader.result.lacks_rest:
        assert parsed.new_columns
        return
    rows, batch = reader.batch()
    nulls = [row for row, value in enumerate(block) if value is None]
    assert parsed.table.schema.equals(schema)
    assert parsed.table.num_rows == len(parsed.rows)
    parsed.table.validate(full=True)
    assert parsed.rows.tolist() == sorted([*rows.tolist(), *nulls])
    assert dict(zip(parsed.rejects.tolist(), parsed.reasons, strict=True)) == reader.result.rejects
    assert sum(parsed.counted.values()) == reader.result.cut
    expected = dict(zip(rows.tolist(), cells(batch), strict=True)) | {row: ("None",) * len(schema) for row in nulls}
    assert cells(parsed.table) == [expected[row] for row in parsed.rows.tolist()]


@settings(max_examples=300, deadline=None)
@given(BLOCKS, st.sampled_from(["rest", "drop", "quarantine"]))
@example([b'{"i":1}{"i":2}', b"", b'{"i":3}'], "drop")
@example([b'{"o":{}', b'"b":1},"c":2}'], "drop")
@example([b'{"m":"5"}', b'{"\\u006d":"5"}'], "drop")
@example([b'{"at":1.5}', b'{"at":"5"}'], "drop")
def test_columns_and_single_values_agree(block, unknown):
    parser = JsonParser(JsonParser.Options(schema=SCHEMA, unknown=unknown))
    assert_equal(parser, block, parser.schema())


@settings(max_examples=150, deadline=None)
@given(BLOCKS, st.lists(st.sampled_from(list(SCHEMA)), unique=True, min_size=1, max_size=2))
def test_columns_and_single_values_agree_on_few_columns(block, names):
    parser = JsonParser(JsonParser.Options(schema={name: SCHEMA[name] for name in names}, unknown="drop"))
    assert_equal(parser, block, parser.schema())


@settings(max_examples=150, deadline=None)
@given(BLOCKS)
def test_inference_ends_and_agrees(block):
    parser = JsonParser(JsonParser.Options())
    schema = pa.schema([])
    for _ in range(3):
        assert_equal(parser, block, schema)
        new = parser.parse(pa.array(block, pa.binary()), schema).new_columns
        if not new:
            break
        schema = pa.schema([*schema, *new])
    else:
        raise AssertionError("new columns without end")


@settings(max_examples=200, deadline=None)
@given(st.lists(objects() | good_objects() | HOSTILE, min_size=1, max_size=8))
def test_what_columns_accept_alone_the_reference_accepts(block):
    """One value at a time through pyarrow, so that no neighbour sends it to the reference."""
    parser = JsonParser(JsonParser.Options(schema=SCHEMA, unknown="drop"))
    schema = parser.schema()
    for value in block:
        seen = look(pa.array([value], pa.binary()))
        pieces, _ = ColumnReader(schema, parser.rules).read(seen.text)
        if pieces:
            _, batch = by_value(parser, pa.array([value], pa.binary()), schema).batch()
            assert cells(pieces[0].batch) == cells(batch)


def test_a_bad_value_in_a_large_block_is_isolated():
    block = [b'{"i":%d,"m":1.25}' % i for i in range(5000)]
    bad = [0, 1, 700, 701, 4998, 4999]
    for row in bad:
        block[row] = b'{"i":"x"}'
    parser = JsonParser(JsonParser.Options(schema=SCHEMA))
    parsed = parser.parse(pa.array(block, pa.binary()), parser.schema())
    assert parsed.rejects.tolist() == bad
    assert parsed.rows.tolist() == sorted(set(range(5000)) - set(bad))
    assert np.array_equal(parsed.table["i"].to_numpy(), parsed.rows)
    assert parsed.table["m"][0].as_py() == Decimal("1.25")
