from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from ingest.api import arrow_type
from ingest.connectors.parsers.json_fit import Notes, Unfit
from ingest.connectors.parsers.text_fit import text_fitter


def fit(kind, text):
    made = arrow_type(kind)
    return pa.array([text_fitter(made)(text, Notes())], made)[0].as_py()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "", ""),
        ("string", " 7 ", " 7 "),
        ("binary", "é", "é".encode()),
        ("binary", "", b""),
        ("int8", "-128", -128),
        ("int64", "+007", 7),
        ("int64", "-000", 0),
        ("int64", "7.0", 7),
        ("int64", "70e-1", 7),
        ("int64", "5.", 5),
        ("int64", "", None),
        ("double", ".5", 0.5),
        ("double", "-05.25", -5.25),
        ("double", "1e3", 1000.0),
        ("decimal128(5, 2)", "+012.5", Decimal("12.50")),
        ("bool", "TRUE", True),
        ("bool", "faLse", False),
        ("date32", "2026-11-23", date(2026, 11, 23)),
        ("timestamp", "2026-11-23T01:02:03+01:00", datetime(2026, 11, 23, 0, 2, 3, tzinfo=UTC)),
        ("timestamp", "1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("timestamp", "1700000000123", datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)),
        ("timestamp", "", None),
    ],
)
def test_texts_that_fit(kind, text, value):
    assert fit(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[
            (kind, text)
            for kind in ("int64", "double", "decimal128(9, 2)")
            for text in ("0x10", "nan", "inf", "1_0", " 1")
        ],
        *[("int64", text) for text in ("1.5", "9223372036854775808", "99999999999999999999", "true", "-", ".", "٣")],
        ("int8", "128"),
        ("double", "1e400"),
        ("double", "9007199254740993"),
        ("decimal128(5, 2)", "1.005"),
        ("bool", "1"),
        ("bool", "yes"),
        ("date32", "2026-02-30"),
        ("timestamp", "yesterday"),
    ],
)
def test_texts_that_do_not_fit(kind, text):
    with pytest.raises(Unfit):
        fit(kind, text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["int64", "double", "float", "decimal128(38, 0)", "bool", "date32", "timestamp"])
@pytest.mark.parametrize("start", ["", "-", ".", "1e", "2026-11-23T01:02:03."])
@pytest.mark.parametrize("end", ["x", "e", ".x", "e+"])
def test_a_million_digits_that_are_no_number_are_refused_at_once(kind, start, end):
    for digit in "01":
        with pytest.raises(Unfit):
            fit(kind, f"{start}{digit * 1_000_000}{end}")


def test_zeros_before_a_number_say_nothing_however_many():
    assert fit("int8", f"-{'0' * 1_000_000}7") == -7


@pytest.mark.parametrize("kind", ["list<string>", "struct<a: string>", "map<string, string>"])
def test_no_text_has_a_nested_type(kind):
    with pytest.raises(ValueError, match="no text has the type"):
        text_fitter(arrow_type(kind))
