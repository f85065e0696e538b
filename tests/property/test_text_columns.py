"""What columns of texts accept, the reference accepts with the same result: on texts of all kinds."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.api import arrow_type
from ingest.connectors.parsers.json_fit import Notes, Unfit
from ingest.connectors.parsers.text_columns import MOST_DISTINCT, typed
from ingest.connectors.parsers.text_fit import text_fitter

KINDS = ["int8", "int16", "int32", "int64", "double", "float", "decimal128(10, 2)", "decimal128(38, 0)", "bool"]
KINDS += ["date32", "timestamp", "string", "binary"]

NUMBERS = """
0 -0 +0 1 -1 +1 7 7.0 7e0 007 -007 +007 1.5 .5 5. -.5 +.5 . + - +- 1e2 1E+2 -1.25 127 128 -128 -129 255 0x10 0X1 1_0 ٣
16777216 16777217 9007199254740992 9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808 1e400
-9223372036854775809 99999999999999999999 18446744073709551616 1180591620717411303424 1e-400 3.5e38 nan NaN inf -inf
Infinity 0x 1e 1e+ e5 1.e5 5.e5 1..5 1.5.5 1-1 1700000000 1700000000.5 1700000000.1234567 1700000000123 00.5 000 1,5
1700000000123456 1700000000123456789 12345678.90 12345678.905 99999999.99 99999999.999 100000000 1e99999 0e99999 1e37
999999999999999999 9999999999999999999 00000000000000000000000000007 1.000000000000000000000000000000000000000000000
"""
WORDS = "true false True FALSE tRuE t f yes 1 null None truE ſalse"
TIMES = """
2026-11-23 2026-11-23T01:02:03Z 2026-11-23T01:02:03.123456+05:45 2026-11-23T01:02:03.1234567Z 2026-11-23T01:02:03,123
2026-11-23T01:02 2026-11-23t01:02z 2026-11-23T01 2026-02-30 0000-01-01 0001-01-01T00:00:00+23:00 2026-11-23T01:02:03.1Z
9999-12-31T23:59:59-01:00 2026-11-23T24:00:00Z 1969-12-31T23:59:59.9999999Z 2026-11-23T23:59:60Z 1234-5 2026-11-2
1600-01-01T00:00:00.123456789Z 2026-11-23T01:02:03+0100 12e4-12345 -2026-11-23 +2026-11-23
"""
GOOD = {
    "bool": ["true", "False"],
    "date32": ["2026-11-23", "1969-12-31"],
    "timestamp": ["2026-11-23T01:02:03Z", "2026-11-23T01:02:03.25Z"],
}
TEXTS = st.one_of(
    st.sampled_from(NUMBERS.split()),
    st.sampled_from(WORDS.split()),
    st.sampled_from([*TIMES.split(), "2026-11-23 01:02:03", "2026-11-23 01:02:03 +01:00"]),
    st.sampled_from(["", " ", "1 ", " 1", "1\n", "1\0", "\ufeff1", "é", "12é4-56789", "2026-1é"]),
    st.text("0123456789+-.eE", max_size=9),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.text(max_size=4),
)


def columns(kind):
    """Lists of texts: of one that fits the type mostly, so that the fast ways are taken."""
    good = st.sampled_from(GOOD.get(kind, ["1", "25", "7", "100"]))
    return st.lists(st.one_of(good, good, good, TEXTS, st.none()), max_size=12) | st.lists(good | st.none())


def reference(text, kind):
    """Return (whether it fits, the value, whether it was cut)."""
    notes = Notes()
    try:
        return True, None if text is None else text_fitter(kind)(text, notes), notes.cut
    except Unfit:
        return False, None, False


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(KINDS).flatmap(lambda name: st.tuples(st.just(name), columns(name))))
@example(("int64", ["0x10", "1"]))
@example(("double", ["nan", "1"]))
@example(("float", ["16777217"]))
@example(("decimal128(10, 2)", ["12345678.905", "1.5"]))
@example(("timestamp", ["-62135596801"]))
@example(("timestamp", ["1700000000", "2026-11-23T01:02:03.1234567Z", None, ""]))
def test_columns_accept_what_the_reference_accepts(case):
    name, texts = case
    kind = arrow_type(name)
    # A slice, and nulls that hide something.
    given_texts = pa.array(["7", *texts, "8"], pa.string()).slice(1, len(texts))
    found = typed(given_texts, kind)

    assert len(found.array) == len(texts)
    assert found.array.type == kind
    found.array.validate(full=True)
    for at, text in enumerate(texts):
        if found.fits is not None and not found.fits[at]:
            continue
        fits, value, cut = reference(text, kind)
        assert fits, text
        assert repr(found.array[at].as_py()) == repr(pa.array([value], kind)[0].as_py())
        assert (found.cut is not None and bool(found.cut[at])) == cut


@pytest.mark.parametrize("name", KINDS)
def test_usual_texts_never_meet_the_reference(name):
    texts = [*GOOD.get(name, ["1", "25", "7", "100"]), None, ""]
    found = typed(pa.array(texts, pa.string()), arrow_type(name))

    assert found.fits is None or found.fits.all()


def test_many_distinct_texts_of_a_rare_type_are_left():
    texts = pa.array([f"{year:04d}-01-01" for year in range(1, MOST_DISTINCT + 2)])

    assert not typed(texts, pa.date32()).fits.any()
    assert typed(texts.slice(1), pa.date32()).fits.all()
