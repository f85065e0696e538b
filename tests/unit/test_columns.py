import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.columns import arrow_type, type_name

PLAIN = st.sampled_from(
    [
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.timestamp("us", tz="UTC"),
    ]
)
DECIMAL = st.integers(1, 38).flatmap(lambda digits: st.builds(pa.decimal128, st.just(digits), st.integers(0, digits)))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def nested(inner):
    fields = st.lists(st.tuples(NAMES, inner), min_size=1, max_size=3, unique_by=lambda field: field[0])
    return st.one_of(inner.map(pa.list_), fields.map(pa.struct), st.builds(pa.map_, PLAIN, inner))


@given(st.recursive(PLAIN | DECIMAL, nested, max_leaves=6))
def test_a_type_named_and_read_is_the_same(kind):
    assert arrow_type(type_name(kind)) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("float", pa.float32()),
        ("double", pa.float64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        (" decimal128( 10 ,2 ) ", pa.decimal128(10, 2)),
        ("list<struct<a: int8, b:map<string,list<bool>>>>", None),
    ],
)
def test_types_go_by_their_arrow_names(name, kind):
    assert kind is None or arrow_type(name) == kind
    assert arrow_type(type_name(arrow_type(name))) == arrow_type(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("integer", 'no type "integer"; there are int8'),
        ("", "ends too early"),
        ("list<", "ends too early"),
        ("list<int8", "ends too early"),
        ("list<int8>>", 'unexpected ">"'),
        ("int8 int8", 'unexpected "int8"'),
        ("int8!", 'unexpected "!"'),
        ("struct<>", 'expected a name, found ">"'),
        ("struct<a int8>", 'expected ":", found "int8"'),
        ("struct<a: int8; b: int8>", 'unexpected ";'),
        ("struct<a: int8, a: int8>", 'names "a" twice'),
        ("decimal128(39, 0)", "1 to 38 digits"),
        ("decimal128(0, 0)", "1 to 38 digits"),
        ("decimal128(4, 5)", "1 to 38 digits"),
        ("decimal128(x, 1)", "expected a number"),
        ('struct<"a\\x": int8>', "not quoted as in JSON"),
        ("list<" * 1000 + "int8" + ">" * 1000, "nests too deeply"),
    ],
)
def test_what_is_no_type_is_refused_with_the_part_that_is_wrong(name, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        arrow_type(name)


@pytest.mark.parametrize("kind", [pa.uint8(), pa.timestamp("ns"), pa.large_string(), pa.null()])
def test_a_type_without_a_name_here_is_refused(kind):
    with pytest.raises(ValueError, match="no name for the type"):
        type_name(kind)
