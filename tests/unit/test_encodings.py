import pyarrow as pa

from ingest.sink.encodings import Encodings

SCHEMA = pa.schema([("id", pa.int64()), ("level", pa.string())])


def rows(count, distinct=1):
    return pa.table({"id": range(count), "level": [str(row % distinct) for row in range(count)]}, SCHEMA)


def test_only_repeated_values_get_a_dictionary():
    assert Encodings().of(rows(1000))["use_dictionary"] == ["level"]
    assert Encodings().of(rows(1000, 900))["use_dictionary"] is False


def test_many_rows_are_believed_for_the_next_files_but_not_for_ever():
    encodings = Encodings()
    assert encodings.of(rows(10_000))["use_dictionary"] == ["level"]
    judged = [encodings.of(rows(1000, 900))["use_dictionary"] for _ in range(150)]
    assert judged[0] == ["level"]
    assert judged[-1] is False


def test_few_rows_are_believed_for_their_own_file_only():
    encodings = Encodings()
    assert encodings.of(rows(0))["use_dictionary"] == ["id", "level"]
    assert encodings.of(rows(1000))["use_dictionary"] == ["level"]


def test_other_columns_are_judged_by_themselves():
    encodings = Encodings()
    encodings.of(rows(10_000))
    other = pa.table({"id": range(1000), "name": [str(row) for row in range(1000)]})
    assert encodings.of(other)["use_dictionary"] is False
