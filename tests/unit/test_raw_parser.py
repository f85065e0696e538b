import pyarrow as pa
import pytest

from ingest.connectors.parsers.raw import RawParser


def parse(values):
    parser = RawParser(RawParser.Options())
    return parser.parse(pa.array(values, pa.binary()), parser.schema())


@pytest.mark.parametrize(
    ("value", "text", "other"),
    [
        (b"a line", "a line", None),
        (b"", "", None),
        (b"crlf\r", "crlf\r", None),
        ("żółć".encode(), "żółć", None),
        (b"\0", "\0", None),
        (b"caf\xe9", None, b"caf\xe9"),
        (b"\xed\xa0\x80", None, b"\xed\xa0\x80"),
        (b"\xc0\x80", None, b"\xc0\x80"),
        (None, None, None),
    ],
)
def test_a_value_is_text_or_else_bytes(value, text, other):
    parsed = parse([b"before", value, b"after"])
    assert parsed.table.to_pylist()[1] == {"value": text, "value_bytes": other}
    assert parsed.rows.tolist() == [0, 1, 2]


def test_the_line_comes_back_byte_for_byte():
    values = [bytes([first, second]) for first in range(0, 256, 5) for second in range(0, 256, 7)]
    table = parse(values).table
    pairs = zip(table["value"].to_pylist(), table["value_bytes"].to_pylist(), strict=True)
    assert [text.encode() if other is None else other for text, other in pairs] == values


def test_a_block_of_utf8_has_no_bytes_column_to_speak_of():
    assert parse([b"a"] * 100).table["value_bytes"].null_count == 100
