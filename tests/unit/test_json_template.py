import json
import threading
from string import ascii_lowercase

import pyarrow as pa
import pytest

from ingest.connectors.parsers import json_template_reader
from ingest.connectors.parsers.json import CUT, JsonParser
from ingest.connectors.parsers.json_columns import ColumnReader
from ingest.connectors.parsers.json_guard import hides_something, look
from ingest.connectors.parsers.json_rows import RowReader
from ingest.connectors.parsers.json_template import MOST_MARKS, TELLING, learn, marks_in
from ingest.connectors.parsers.json_template_judge import MOST_DISTINCT
from ingest.connectors.parsers.json_template_match import Shapes
from ingest.connectors.parsers.json_template_reader import TemplateReader
from ingest.connectors.parsers.template_scan import scan

LINE = '{"at":"2026-11-23T01:02:03.123456Z","level":"INFO","status":200,"ms":1.5,"ok":true,"path":"/é"}'
SCHEMA = {"at": "timestamp", "level": "string", "status": "int32", "ms": "double", "ok": "bool", "path": "string"}


def parser(schema=None, **options):
    made = JsonParser(JsonParser.Options(schema=schema or {}, **options))
    made.shapes = Shapes(least=1, few=1)
    return made


def read(given, lines, schema=None):
    """Return what templates alone read: rows as dictionaries by number, and the numbers of the lines left over."""
    text = look(pa.array([line.encode() for line in lines], pa.binary())).text
    assert len(text) == len(lines)
    reader = TemplateReader(given.schema() if schema is None else schema, given.rules, given.shapes)
    pieces, left = reader.read(text)
    rows = {}
    for piece in pieces:
        rows |= dict(zip(piece.rows.tolist(), piece.batch.to_pylist(), strict=True))
    return rows, left.tolist()


def as_reference(given, lines, schema=None):
    """Return what the reference makes of the lines, all of which it accepts."""
    reader = RowReader(given.schema() if schema is None else schema, given.rules)
    for row, line in enumerate(lines):
        reader.add(row, line.encode())
    assert not reader.result.rejects
    rows, batch = reader.batch()
    return dict(zip(rows.tolist(), batch.to_pylist(), strict=True))


# ── learning ─────────────────────────────────────────────────────────────────


def test_a_template_is_what_stands_between_the_values():
    template = learn(b'{"a": 1, "o": {"x":"y","z":[]},"b":null}')
    assert template is not None
    assert [(leaf.path, leaf.mark, leaf.lead, leaf.before) for leaf in template.leaves] == [
        (("a",), 0, 3, b'{"a": '),
        (("o", "x"), 2, 2, b', "o": {"x":'),
        (("o", "z"), 3, 2, b',"z":'),
        (("b",), 4, 2, b'},"b":'),
    ]
    assert (template.marks, template.after, template.quotes) == (5, b"}", 10)
    assert [
        (member.name, member.first, member.last, member.opening, member.closing) for member in template.members
    ] == [
        ("a", 0, 0, 0, 0),
        ("o", 1, 2, 5, 1),
        ("b", 3, 3, 0, 0),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"a":1',
        b'{"a":1,"a":2}',
        b'{"a":01}',
        b'{"a" :1}',
        b'{"a":[{"b":1}]}',
        b'{"a":[[{"b":1},{"b":2}]]}',
        b'{"a":"\xff"}',
        b"[1]",
        ("{" + ",".join(f'"{name}":1' for name in range(MOST_MARKS + 1)) + "}").encode(),
        b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)
def test_nothing_is_learned_from_lines_that_have_no_constant_shape(line):
    assert learn(line) is None


def test_nested_text_is_canonical_only_without_spaces():
    assert [member.canonical for member in learn(b'{"a":{"x": 1},"b":{"x y":1},"c": 5}').members] == [False, True, True]


# ── what templates read ──────────────────────────────────────────────────────

ESCAPED = [
    "/é",
    r"a\nb",
    r"\"",
    r"\\",
    r"\\\\",
    r"\\\"\\",
    r"\/\b\f\r\t",
    r"\u0041\u00e9\u20AC\uFFFF\u0000",
    r"\":\",\"level\":\"x",
    "",
    r"\u000a",
]
CONFORMING = {
    "one shape": ([LINE], SCHEMA),
    "a null in each column": ([LINE, '{"at":null,"level":null,"status":null,"ms":null,"ok":null,"path":null}'], SCHEMA),
    "spaces": (['{"level": "a", "status": 1}', '{"level": "", "status": 22}'], SCHEMA),
    "escapes": ([LINE.replace("/é", text) for text in ESCAPED], SCHEMA),
    "escapes in several columns": (
        [r'{"level":"\\","path":"\n"}', r'{"level":"a","path":"\""}', r'{"level":null,"path":"\u00e9\u20ac\u0041"}'],
        SCHEMA,
    ),
    "escapes in binary": (['{"y":"\\u00e9"}', '{"y":"\\u0000"}'], {"y": "binary"}),
    "escapes in other types": (['{"d":"2026\\u002d11-23"}', '{"d":"2026-11-23"}'], {"d": "date32"}),
    "two shapes": ([LINE, '{"status":7,"level":"a"}', '{"level":"b","status":8}'], SCHEMA),
    "missing members": (['{"level":"a"}', '{"status":5}', LINE], SCHEMA),
    "any number": (['{"ms":-1.5}', '{"ms":1e-05}', '{"ms":2}', '{"ms":0.0}', '{"ms":1.5E+2}', '{"ms":-0}'], SCHEMA),
    "long ints": (['{"n":-999999999999999999}', '{"n":8999999999999999999}', '{"n":0}'], {"n": "int64"}),
    "floats": (['{"f":0.1}', '{"f":16777215}'], {"f": "float"}),
    "decimals": (['{"d":-12.5}', '{"d":7}', '{"d":99999999.99}'], {"d": "decimal128(10, 2)"}),
    "dates": (['{"d":"2026-11-23"}', '{"d":null}'], {"d": "date32"}),
    "binary": (['{"y":"é"}', '{"y":null}'], {"y": "binary"}),
    "lists": (['{"l":[1,null]}', '{"l":[]}', '{"l": [1, 2]}'], {"l": "list<int64>"}),
    "structs": (['{"o":{"x":1}}', '{"o":{"x":null}}', '{"o":{}}', '{"o":null}'], {"o": "struct<x: int64>"}),
    "seconds": (['{"at":1700000000}', '{"at":1700000000.25}', '{"at":1700000001}'], SCHEMA),
    "units": (['{"at":1700000000}', '{"at":1700000000123}', '{"at":1700000000123456789}'], SCHEMA),
    "nanoseconds": (['{"at":"2026-11-23T01:02:03.123456789Z"}', '{"at":"1969-12-31T23:59:59.1234567Z"}'], SCHEMA),
    "commas": (['{"at":"2026-11-23 01:02:03,123"}', '{"at":"2026-11-23 01:02:04,5"}'], SCHEMA),
    "text and numbers": (['{"at":"2026-11-23T01:02:03Z"}', '{"at":1700000000}'], SCHEMA),
    "unknown nulls": (['{"status":1,"more":null}', '{"status":2,"more":null}'], SCHEMA),
    "unknown members": (
        ['{"a":[1],"status":1,"b":"x","o":{"k":1.50}}', '{"a":null,"status":2,"b":null,"o":{"k":"é"}}', '{"b":null}'],
        SCHEMA,
    ),
    "spaced unknown members": (['{"status": 1, "b": "x", "c": 2}', '{"status": 1, "b": null, "c": 5}'], SCHEMA),
}


@pytest.mark.parametrize(("lines", "schema"), CONFORMING.values(), ids=CONFORMING)
def test_lines_that_conform_are_read_by_templates_as_the_reference_reads_them(lines, schema):
    given, lines = parser(schema), lines * 3
    rows, left = read(given, lines)
    assert left == []
    assert rows == as_reference(given, lines)


def test_nested_members_keep_their_text_in_agreed_columns():
    schema = pa.schema([("o", pa.string()), ("n", pa.int64())])
    lines = ['{"o":{"x":1.50,"y":["a"]},"n":1}', '{"o":[1,{}],"n":2}', '{"o":"t","n":3}', '{"o":{},"n":4}']
    rows, left = read(parser(), lines, schema)
    assert left == []
    assert [rows[row]["o"] for row in range(4)] == ['{"x":1.50,"y":["a"]}', "[1,{}]", "t", "{}"]


def test_dropped_members_are_checked_and_not_kept():
    lines = ['{"a":1,"z":{"q":[1,2]}}', '{"a":2,"z":{"q":01}}', '{"a":3,"z":{"q":NaN}}', '{"a":4,"z":{"q":"a"b"}}']
    rows, left = read(parser({"a": "int64"}, unknown="drop"), lines)
    assert rows == {0: {"a": 1}}
    assert left == [1, 2, 3]


def test_digits_cut_from_times_are_counted_once_a_line():
    lines = ['{"a":"2026-11-23T01:02:03.1234567Z","b":1700000000000000001}', '{"a":"2026-11-23T01:02:03.100000000Z"}']
    given = parser({"a": "timestamp", "b": "timestamp"})
    parsed = given.parse(pa.array([line.encode() for line in lines], pa.binary()), given.schema())
    assert read(given, lines)[1] == []
    assert parsed.counted == {CUT: 1}


# ── what templates leave ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"\\ud83d\\ude00","status":1}',
        '{"level":"\\ud800","status":1}',
        '{"level":"\\x41","status":1}',
        '{"level":"\\u00g0","status":1}',
        '{"level":"\\u12","status":1}',
        '{"level":"a\\","status":1}',
        '{"level":"a\\\\"b","status":1}',
        '{"level":"a","status":\\u0031}',
        '{"level":"a","status":1\\n}',
        '{"level":"a","status":1}\\}',
        '{"l\\u0065vel":"a","status":1}',
        '{"more":{"k":"\\n"}}',
        '{"more":["\\n"]}',
        '{"level":"a\tb","status":1}',
        '{"level":"a"b","status":1}',
        '{"level":","status":1}',
        '{"level":a,"status":1}',
        '{"level":5,"status":1}',
        '{"level":"a","status":1.5}',
        '{"level":"a","status":0x10}',
        '{"level":"a","status":+1}',
        '{"level":"a","status":01}',
        '{"level":"a","status":-}',
        '{"level":"a","status":"1"}',
        '{"level":"a","status":nul}',
        '{"level":"a","status":nulll}',
        '{"level":"a","status":2147483648}',
        '{"level":"a","status":}',
        '{"level":"a","status":1 }',
        '{"level":"a","status":1,}',
        '{"level":"a","ms":NaN}',
        '{"level":"a","ms":1e400}',
        '{"level":"a","ms":9007199254740993}',
        '{"level":"a","at":"2026-02-30T00:00:00Z"}',
        '{"level":"a","at":"0000-01-01T00:00:00Z"}',
        '{"level":"a","ok":1}',
        '{"level":"a","ok":"true"}',
        '{"level":["a"],"status":1}',
        '{"level":"a","status":1}{"level":"b","status":2}',
        '{"level":"a","level":"b"}',
        '{"more":{"k": 1}}',
    ],
)
def test_what_templates_can_not_prove_is_left_and_its_neighbours_are_read(line):
    good = [f'{{"level":"a","status":{number}}}' for number in range(20)]
    rows, left = read(parser(SCHEMA), [*good[:10], line, *good[10:]])
    assert left == [10]
    assert [rows[row]["status"] for row in sorted(rows)] == list(range(20))


def test_a_quote_too_many_and_a_quote_too_few_do_not_make_up_for_each_other():
    lines = ['{"t":"a"b"}', '{"t":"}', '{"t":"c"}']
    rows, left = read(parser({"t": "string"}), lines)
    assert left == [0, 1]
    assert rows == {2: {"t": "c", "rest": None}}


def test_many_distinct_lists_are_left():
    lines = [f'{{"l":[{number}]}}' for number in range(MOST_DISTINCT + 1)]
    rows, left = read(parser({"l": "list<int64>"}), lines)
    assert rows == {}
    assert len(left) == len(lines)


def test_lists_count_to_the_depth_of_their_line():
    lines = [f'{{"a":{"[" * depth}{"]" * depth},"b":1}}' for depth in (126, 127, 128, 1000)]
    rows, left = read(parser({"b": "int64"}), lines)
    assert (sorted(rows), left) == ([0, 1], [2, 3])


# ── blocks ───────────────────────────────────────────────────────────────────


def mixed(rows):
    lines = []
    for row in range(rows):
        record = {"level": f"l{row}", "status": row, "ms": row + 0.25}
        if row % 3 == 1:
            record = dict(reversed(record.items())) | {"more": row}
        if row % 3 == 2:
            record |= {"path": None}
        line = json.dumps(record, separators=(",", ":"))
        lines.append(line.replace('"l', '"\\u006c', 1) if row % 100 == 50 else line)
    return [line.encode() for line in lines]


@pytest.mark.parametrize("chunk", [1 << 30, 5000])
def test_rows_come_in_the_order_of_their_lines(monkeypatch, chunk):
    monkeypatch.setattr(json_template_reader, "CHUNK", chunk)
    given = JsonParser(JsonParser.Options(schema=SCHEMA))
    lines = mixed(2000)
    lines[700] = b"not JSON"
    parsed = given.parse(pa.array(lines, pa.binary()), given.schema())
    kept = [row for row in range(2000) if row != 700]
    assert parsed.rejects.tolist() == [700]
    assert parsed.rows.tolist() == kept
    assert parsed.table["status"].to_pylist() == kept
    assert parsed.table["rest"].to_pylist() == [f'{{"more":{row}}}' if row % 3 == 1 else None for row in kept]
    parsed.table.validate(full=True)


def test_a_block_of_few_shapes_never_meets_the_other_ways(monkeypatch):
    def fail(*arguments):
        raise AssertionError

    monkeypatch.setattr(ColumnReader, "read", fail)
    monkeypatch.setattr(RowReader, "add", fail)
    given = JsonParser(JsonParser.Options(schema=SCHEMA))
    lines = [line for line in mixed(1000) if b"\\" not in line]
    assert given.parse(pa.array(lines, pa.binary()), given.schema()).table.num_rows == len(lines)


def test_few_lines_are_read_without_templates():
    given = JsonParser(JsonParser.Options(schema=SCHEMA))
    rows, left = read(given, [LINE] * 100)
    assert (rows, left) == ({}, list(range(100)))


def test_threads_that_learn_at_once_read_the_same():
    given = JsonParser(JsonParser.Options(schema=SCHEMA))
    values = pa.array(mixed(1500), pa.binary())
    expected = JsonParser(JsonParser.Options(schema=SCHEMA)).parse(values, given.schema())
    found = []
    threads = [threading.Thread(target=lambda: found.append(given.parse(values, given.schema()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.table.equals(expected.table) for each in found] == [True] * 4


def count_learned(monkeypatch):
    lines = []

    def note(line):
        lines.append(line)
        return learn(line)

    monkeypatch.setattr("ingest.connectors.parsers.json_template_match.learn", note)
    return lines


def test_a_shape_is_learned_once(monkeypatch):
    learned = count_learned(monkeypatch)
    given = parser(SCHEMA)
    for number in range(5):
        assert read(given, [f'{{"status":{number}}}', '{"level":"a"}'])[1] == []
    assert len(learned) == 2


def test_what_can_not_be_learned_is_given_up(monkeypatch):
    learned = count_learned(monkeypatch)
    given = parser(SCHEMA)
    for _ in range(100):
        read(given, ['{"status":01}'] * 3)
    assert 0 < len(learned) < 20
    assert read(given, ['{"level":"a"}'])[1] == []


def test_only_so_many_shapes_are_known(monkeypatch):
    given = parser(SCHEMA, unknown="drop")
    lines = [f'{{"status":1,"x{first}{second}":1}}' for first in ascii_lowercase for second in ascii_lowercase]
    for line in lines:
        assert read(given, [line])[1] == []
    learned = count_learned(monkeypatch)
    read(given, lines[-1:])
    assert learned == []
    read(given, lines[:1])
    assert len(learned) == 1


def test_marks_close_together_and_far_apart_are_found():
    text = pa.array(['{"":1,"":2,"abcdefgh":"' + "x" * 50 + '","":":"}', "{}", '{"a":1}'])
    seen = scan(text.slice(0, 3), marks_in, TELLING)
    whole = "".join(text.to_pylist())
    assert seen.marks.tolist() == [at for at in range(len(whole)) if whole[at : at + 2] == '":']
    assert seen.count.tolist() == [5, 0, 1]
    assert seen.signatures(seen.even())[1] == 0


# ── the guard of the general way ─────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "hides"),
    [
        ('{"a":1}', False),
        ('{"a":"NaN"}', False),
        ('{"a":NaN}', True),
        ('{"a":[1, -Inf]}', True),
        ('{"a":' + "[" * 128 + "]" * 128 + "}", True),
        ('{"a":' + "[" * 127 + "]" * 127 + "}", False),
        ('{"a":"' + "[{" * 65 + '"}', True),
    ],
)
def test_what_pyarrow_would_let_pass_is_found(value, hides):
    text = pa.array(['{"b":"x"}', value, '{"Inf":2}', '{"b":"y"}'])
    assert hides_something(text.slice(1)).tolist() == [hides, False, False]
