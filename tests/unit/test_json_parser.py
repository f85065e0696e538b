import datetime
import json
import struct
from decimal import Decimal

import pyarrow as pa
import pytest

from ingest.api import ConfigError
from ingest.connectors.parsers.json import CUT, JsonParser
from ingest.connectors.parsers.json_rows import RowReader


def parser(schema=None, **options):
    return JsonParser(JsonParser.Options(schema=schema or {}, **options))


def parse(given, values, schema=None):
    values = [value.encode() if isinstance(value, str) else value for value in values]
    return given.parse(pa.array(values, pa.binary()), given.schema() if schema is None else schema)


def cell(kind, text):
    """Return what a member becomes in a column of this type, or the reason it is refused."""
    parsed = parse(parser({"a": kind}), [f'{{"a":{text}}}'])
    return parsed.reasons[0] if parsed.reasons else parsed.table["a"][0].as_py()


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("int64", "9223372036854775807", 2**63 - 1),
        ("int64", "9223372036854775808", "does not fit int64"),
        ("int64", "1180591620717411303424", "does not fit int64"),
        ("int64", "7.0", 7),
        ("int64", "7e2", 700),
        ("int64", "1.5", "does not fit int64"),
        ("int64", '"5"', "does not fit int64"),
        ("int64", "true", "does not fit int64"),
        ("int64", "NaN", "not JSON"),
        ("int64", "0x10", "not JSON"),
        ("int64", "01", "not JSON"),
        ("int64", "-0", 0),
        ("int64", "1e999999999", "does not fit int64"),
        ("int8", "128", "does not fit int8"),
        ("int8", "-128", -128),
        ("double", "5", 5.0),
        ("double", '"5"', "does not fit double"),
        ("double", "9007199254740992", 2.0**53),
        ("double", "9007199254740993", "does not fit double"),
        ("double", "1e400", "does not fit double"),
        ("double", "1e300", 1e300),
        ("double", "Infinity", "not JSON"),
        ("double", "Inf", "not JSON"),
        ("double", "-NaN", "not JSON"),
        ("float", "16777217", "does not fit float"),
        ("float", "0.1", struct.unpack("f", struct.pack("f", 0.1))[0]),
        ("float", "3.5e38", "does not fit float"),
        ("bool", "true", True),
        ("bool", "1", "does not fit bool"),
        ("bool", '"true"', "does not fit bool"),
        ("string", '"a\\nb"', "a\nb"),
        ("string", "5", "does not fit string"),
        ("string", "{}", "does not fit string"),
        ("string", '"\\u0000"', "\0"),
        ("string", '"\\ud83d\\ude00"', "😀"),
        ("string", '"\\ud800"', "lone surrogate"),
        ("string", '"\\udc00"', "lone surrogate"),
        ("binary", '"é"', "é".encode()),
        ("date32", '"2026-11-23"', datetime.date(2026, 11, 23)),
        ("date32", '"2026-02-30"', "does not fit date32"),
        ("date32", '"0000-01-01"', "does not fit date32"),
        ("date32", "5", "does not fit date32"),
        ("decimal128(10, 2)", "1.50", Decimal("1.50")),
        ("decimal128(10, 2)", "1e2", Decimal("100.00")),
        ("decimal128(10, 2)", "1.555", "does not fit decimal128(10, 2)"),
        ("decimal128(10, 2)", "123456789", "does not fit decimal128(10, 2)"),
        ("decimal128(10, 2)", '"1.5"', "does not fit decimal128(10, 2)"),
        ("list<int64>", "[1,null]", [1, None]),
        ("list<int64>", "[1.5]", "does not fit list<int64>"),
        ("list<timestamp>", '["2026-11-23T01:02:03Z"]', [utc(2026, 11, 23, 1, 2, 3)]),
        ("struct<x: int64, y: string>", '{"x":1}', {"x": 1, "y": None}),
        ("map<string, int64>", '{"k":1,"l":null}', [("k", 1), ("l", None)]),
        ("timestamp", '"2026-11-23T01:02:03+05:45"', utc(2026, 11, 22, 19, 17, 3)),
        ("timestamp", '"2026-11-23 01:02:03,123"', utc(2026, 11, 23, 1, 2, 3, 123000)),
        ("timestamp", '"2026-11-23"', utc(2026, 11, 23)),
        ("timestamp", '"yesterday"', "does not fit timestamp"),
        ("timestamp", "1700000000", utc(2023, 11, 14, 22, 13, 20)),
        ("timestamp", "1700000000123", utc(2023, 11, 14, 22, 13, 20, 123000)),
        ("timestamp", "1700000000123456", utc(2023, 11, 14, 22, 13, 20, 123456)),
        ("timestamp", "1700000000123456789", utc(2023, 11, 14, 22, 13, 20, 123456)),
        ("timestamp", "1700000000.123456", utc(2023, 11, 14, 22, 13, 20, 123456)),
        ("timestamp", "-1", utc(1969, 12, 31, 23, 59, 59)),
        ("timestamp", "true", "does not fit timestamp"),
    ],
)
def test_a_value_fits_its_type_without_loss_or_is_refused(kind, text, expected):
    assert cell(kind, text) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty value"),
        (b" \n", "empty value"),
        (b"null", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"plain text", "not a JSON object"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1}{"a":2}', "data after the object"),
        (b'{"a":1}\n{"a":2}', "data after the object"),
        (b'{"a":1}//', "data after the object"),
        (b'{"a":1,"a":1}', "duplicate key"),
        (b'{"a":null,"a":1}', "duplicate key"),
        (b'{"a":1,"\\u0061":1}', "duplicate key"),
        (b'{"z":{"q":1,"q":1}}', "duplicate key"),
        (b'{"z":"\xff"}', "not UTF-8"),
        (b'{"z":"\xed\xa0\x80"}', "not UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":1\x00}', "NUL byte"),
        (b'{"z":"a\x01"}', "not JSON"),
        (b'{"z":' + b"[" * 128 + b"]" * 128 + b"}", "nested too deeply"),
        (b'{"z":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_one_object_is_refused_and_its_neighbours_are_not(value, reason):
    good = [b'{"a":%d}' % number for number in range(100)]
    parsed = parse(parser({"a": "int64"}), [*good[:50], value, *good[50:]])
    assert parsed.reasons == [reason]
    assert parsed.rejects.tolist() == [50]
    assert parsed.table["a"].to_pylist() == list(range(100))
    assert parsed.rows.tolist() == [*range(50), *range(51, 101)]


@pytest.mark.timeout(30)
def test_quotes_in_a_string_without_an_end_are_passed_over_once():
    value = b'{"z":' + b"[" * 128 + b'"' + b'\\"' * 500_000

    assert parse(parser({"a": "string"}), [value]).reasons == ["nested too deeply"]


def test_an_empty_value_and_a_double_object_do_not_make_up_for_each_other():
    parsed = parse(parser({"a": "int64"}), ["", '{"a":1}', '{"a":2}{"a":3}', '{"a":4}'])
    assert parsed.rows.tolist() == [1, 3]
    assert parsed.table["a"].to_pylist() == [1, 4]


def test_whitespace_and_newlines_inside_and_around_an_object_do_not_matter():
    given = parser({"a": "int64", "b": "string"})
    parsed = parse(given, [' {\n  "a": 1,\r\n\t"b": "x"\n}\r\n', '{"a":1,"b":"x"}\r'])
    assert parsed.table.to_pylist() == [{"a": 1, "b": "x", "rest": None}] * 2


def test_missing_is_null_and_null_is_missing():
    parsed = parse(parser({"a": "int64"}), ["{}", '{"a":null}', '{"b":null}', None])
    assert parsed.table.to_pylist() == [{"a": None, "rest": None}] * 4


def test_unknown_members_go_to_rest_as_they_were_written():
    line = '{"a":1,"big":1180591620717411303424,"n":1.10,"s":"é\\u00e9\\n","o":{ "k" : [1, null] },"rest":2}'
    parsed = parse(parser({"a": "int64"}), [line])
    assert parsed.table["rest"][0].as_py() == (
        '{"big":1180591620717411303424,"n":1.10,"s":"éé\\n","o":{"k":[1,null]},"rest":2}'
    )


def test_rest_is_the_last_column_and_may_have_another_name():
    given = parser({"a": "int64"}, rest_column="more")
    assert given.schema().names == ["a", "more"]
    assert parse(given, ['{"b":1}']).table["more"][0].as_py() == '{"b":1}'


def test_members_of_a_struct_that_has_no_place_for_them_go_to_rest_with_it():
    parsed = parse(parser({"o": "struct<x: int64>"}), ['{"o":{"x":1,"y":2}}'])
    assert parsed.table.to_pylist() == [{"o": {"x": 1}, "rest": '{"o":{"x":1,"y":2}}'}]


def test_dropped_members_are_not_looked_into():
    given = parser({"a": "int64"}, unknown="drop")
    parsed = parse(given, ['{"a":1,"z":1,"z":2}', '{"a":2,"z":{"q":1,"q":2}}', '{"a":3,"z":NaN}', '{"a":4,"a":4}'])
    assert parsed.table["a"].to_pylist() == [1, 2]
    assert parsed.table.schema.names == ["a"]
    assert parsed.reasons == ["not JSON", "duplicate key"]


def test_unknown_members_may_be_refused():
    given = parser({"a": "int64", "o": "struct<x: int64>"}, unknown="quarantine")
    parsed = parse(given, ['{"a":1}', '{"a":1,"b":2}', '{"b":null}', '{"o":{"y":1}}'])
    assert parsed.rows.tolist() == [0]
    assert set(parsed.reasons) == {"unknown member"}


def test_cut_digits_of_a_timestamp_are_counted_once_a_row():
    given = parser({"a": "timestamp", "b": "timestamp"})
    both = '{"a":"2026-11-23T01:02:03.1234567Z","b":1700000000000000001}'
    zeros = '{"a":"2026-11-23T01:02:03.123456000Z"}'
    parsed = parse(given, [both, zeros, '{"a":1700000000.0000001}'])
    assert parsed.counted == {CUT: 2}
    assert len(parsed.rows) == 3


def test_times_written_in_several_ways_share_a_column():
    lines = ['{"t":"2026-11-23T01:02:03Z"}', '{"t":"2026-11-23T01:02:03"}', '{"t":1795395723}', '{"t":1795395723.0}']
    assert len(set(parse(parser({"t": "timestamp"}), lines * 40).table["t"].to_pylist())) == 1


# ── inference ────────────────────────────────────────────────────────────────


def agreed(values):
    """Parse as workers do: agree on what is proposed, parse again."""
    given, schema = parser(), pa.schema([])
    parsed = parse(given, values, schema)
    while parsed.new_columns:
        schema = pa.schema([*schema, *parsed.new_columns])
        parsed = parse(given, values, schema)
    return parsed


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (["1", "2"], "int64"),
        (["1", "2.5"], "double"),
        (["1.0"], "double"),
        (["1", "1180591620717411303424"], "double"),
        (["null", "true"], "bool"),
        (['"a"', '"2026-11-23T01:02:03Z"'], "string"),
        (['"2026-11-23T01:02:03Z"', '"2026-11-23 01:02"'], "timestamp[us, tz=UTC]"),
        (['"2026-11-23"'], "string"),
        (['{"x":1}'], "string"),
        (["[1,2]", '"text"'], "string"),
        (['"a"', "1"], "string"),
    ],
)
def test_a_type_is_inferred_from_all_values_of_a_block(members, kind):
    parsed = parse(parser(), [f'{{"a":{member}}}' for member in members], pa.schema([]))
    assert [(column.name, str(column.type)) for column in parsed.new_columns] == [("a", kind)]


def test_a_member_that_is_null_everywhere_proposes_nothing():
    parsed = parse(parser(), ['{"a":null}', "{}", None], pa.schema([]))
    assert parsed.new_columns == ()
    assert parsed.rows.tolist() == [0, 1, 2]
    assert parsed.table.num_rows == 3


def test_new_members_become_new_columns_in_order():
    schema = pa.schema([("a", pa.int64())])
    parsed = parse(parser(), ['{"a":1}'] * 100 + ['{"c":"x","a":1,"b":true}'], schema)
    assert [column.name for column in parsed.new_columns] == ["c", "b"]
    assert parsed.table.num_rows == 0


def test_what_does_not_fit_an_inferred_column_goes_to_rest_and_the_row_stays():
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    lines = ['{"n":1}', '{"n":1.5,"s":"x"}', '{"s":5}', '{"n":2}']
    first = parse(parser(), lines, schema)
    assert [column.name for column in first.new_columns] == ["rest"]
    parsed = parse(parser(), lines, pa.schema([*schema, *first.new_columns]))
    assert parsed.table.to_pylist() == [
        {"n": 1, "s": None, "rest": None},
        {"n": None, "s": "x", "rest": '{"n":1.5}'},
        {"n": None, "s": None, "rest": '{"s":5}'},
        {"n": 2, "s": None, "rest": None},
    ]


def test_nested_members_are_inferred_as_json_text():
    parsed = agreed(['{"o":{ "a" : [1.10, null] }}', '{"o":[]}', '{"o":"text"}'])
    assert parsed.table["o"].to_pylist() == ['{"a":[1.10,null]}', "[]", "text"]


def test_names_that_readers_could_not_tell_apart_stay_in_rest():
    parsed = agreed(['{"Status":1,"status":2,"":3,"REST":4}'])
    assert parsed.table.to_pylist() == [{"Status": 1, "rest": '{"status":2,"":3,"REST":4}'}]


def test_the_number_of_inferred_columns_is_bounded():
    given = parser(max_columns=10)
    line = json.dumps({f"f{number}": number for number in range(10_000)})
    new = parse(given, [line], pa.schema([])).new_columns
    assert [column.name for column in new] == [*(f"f{number}" for number in range(10)), "rest"]
    parsed = parse(given, [line], pa.schema(list(new)))
    assert len(json.loads(parsed.table["rest"][0].as_py())) == 9_990


def test_the_last_places_are_kept_when_rest_takes_none():
    given = parser(max_columns=2)
    schema = pa.schema([("a", pa.int64()), ("rest", pa.string()), ("b", pa.int64())])
    assert parse(given, ['{"c":1}'], schema).table["rest"][0].as_py() == '{"c":1}'


# ── options ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"schema": {"a": "number"}}, "schema.a"),
        ({"schema": {"a": "map<int64, string>"}}, "keys of a map"),
        ({"schema": {"rest": "string"}}, "rest_column"),
        ({"schema": {"a": "string", "A": "string"}}, "differ only in case"),
        ({"unknown": "drop"}, "needs a schema"),
        ({"schema": {"": "string"}}, "needs a name"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        JsonParser.Options(**options)


# ── the columnar way ─────────────────────────────────────────────────────────

LINE = {"ts": "2026-11-23T01:02:03.123456Z", "status": 200, "ms": 1.5, "path": "/a", "ok": True, "tags": ["x"]}
COLUMNS = {
    "ts": "timestamp",
    "status": "int32",
    "ms": "double",
    "path": "string",
    "ok": "bool",
    "tags": "list<string>",
    "price": "decimal128(10, 2)",
}


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        LINE | {"path": None},
        LINE | {"unknown": None},
        LINE | {"ts": 1795395723},
        LINE | {"ts": 1795395723.25},
        LINE | {"ts": "2026-11-23 01:02:03,123"},
        LINE | {"ts": "2026-11-23T01:02:03.123456789Z"},
        LINE | {"price": 12.25},
        dict(reversed(LINE.items())),
    ],
)
@pytest.mark.parametrize("written", [json.dumps, lambda line: json.dumps(line, indent=2) + "\r\n"])
def test_a_block_that_conforms_is_never_read_value_by_value(monkeypatch, line, written):
    def fail(reader, row, value):
        raise AssertionError(f"read alone: {value!r}")

    monkeypatch.setattr("ingest.connectors.parsers.json_rows.RowReader.add", fail)
    parsed = parse(parser(COLUMNS), [written(line)] * 1000)
    assert len(parsed.rows) == 1000
    assert parsed.table["status"].to_pylist() == [200] * 1000


def test_few_values_with_unknown_members_do_not_hold_up_the_others(monkeypatch):
    read = []
    add = RowReader.add
    monkeypatch.setattr(RowReader, "add", lambda reader, row, value: (read.append(row), add(reader, row, value)))
    lines = ['{"status":1}'] * 2000
    lines[700] = lines[1999] = '{"status":1,"more":{"a":[null,1]}}'
    parsed = parse(parser(COLUMNS), lines)
    assert read == [700, 1999]
    assert [row for row, rest in enumerate(parsed.table["rest"].to_pylist()) if rest] == read
