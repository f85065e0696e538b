import datetime

import numpy as np
import pyarrow as pa
import pytest

from ingest.blocks import Identity, Parsed, RecordBlock
from ingest.config.model import ColumnsOptions
from ingest.sink.quarantine import OVERLAP, PARSE, SCHEMA, Budget, Window, quarantined
from ingest.sink.rows import build, flag_text, lost_timestamps, shape

STREAMS = {1: "web1:/var/log/a.log", 0xFFFFFFFFFFFFFFFF: "web2:stdin"}
ORIGIN = [
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
    "kafka_key",
    "source_stream",
    "source_generation",
    "source_position",
    "source_flags",
]


def block(count=4, **changes):
    fields = {
        "topic": "app-logs",
        "partition": 3,
        "offsets": np.arange(100, 100 + count),
        "timestamps": np.array([1_700_000_000_123, -1, 2**62, 0][:count]),
        "values": pa.array([b"a", b"\xff", None, b"d"][:count], pa.binary()),
        "keys": None,
        "identity": Identity(
            np.array([True, True, False, True][:count]),
            np.array([1, 0xFFFFFFFFFFFFFFFF, 0, 7][:count], np.uint64),
            np.array([0, 50, 0, 9][:count]),
            np.array([10, 60, 0, 12][:count]),
        ),
        "sources": {},
        "flags": {1: b'{"flags":["truncated","partial"],"length":9}', 3: b"nonsense"},
        "next_offset": 100 + count,
    }
    return RecordBlock(**(fields | changes))


def parsed(rows, **columns):
    rows = np.array(rows, np.int64)
    table = pa.RecordBatch.from_pydict(columns or {"x": pa.array(rows)})
    return Parsed(table, rows, np.empty(0, np.int64), [])


def test_parsed_fields_come_first_then_the_origin():
    made = parsed([0, 1, 3])
    columns = shape(made.table.schema, ColumnsOptions(), ["dt", "hour"])
    batch = build(columns, block(), made, STREAMS)
    assert batch.schema.names == ["x", *ORIGIN]
    assert batch.to_pydict() == {
        "x": [0, 1, 3],
        "kafka_partition": [3, 3, 3],
        "kafka_offset": [100, 101, 103],
        "kafka_timestamp": [
            datetime.datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=datetime.UTC),
            None,
            datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        ],
        "kafka_key": [None] * 3,
        "source_stream": ["web1:/var/log/a.log", "web2:stdin", None],
        "source_generation": ["0000000000000001", "ffffffffffffffff", "0000000000000007"],
        "source_position": [0, 50, 9],
        "source_flags": [None, "truncated,partial", None],
    }


def test_records_without_identity_have_none():
    made = parsed([2])
    row = build(shape(made.table.schema, ColumnsOptions(), []), block(), made, STREAMS).to_pylist()[0]
    assert row["source_stream"] is row["source_generation"] is row["source_position"] is None


def test_a_timestamp_that_microseconds_cannot_hold_is_null_and_can_be_counted():
    made = parsed([2])
    row = build(shape(made.table.schema, ColumnsOptions(), []), block(), made, STREAMS).to_pylist()[0]
    assert row["kafka_timestamp"] is None
    assert lost_timestamps(block().timestamps) == 1


def test_keys_are_kept_and_the_schema_does_not_depend_on_them():
    made = parsed([0, 3])
    columns = shape(made.table.schema, ColumnsOptions(), [])
    keyed = build(columns, block(keys=pa.array([b"k", None, b"l", b"m"], pa.binary())), made, STREAMS)
    assert keyed["kafka_key"].to_pylist() == [b"k", b"m"]
    assert keyed.schema.equals(build(columns, block(), made, STREAMS).schema)


def test_rows_that_never_were_in_kafka_have_no_kafka_columns():
    made = parsed([0, 1])
    batch = build(shape(made.table.schema, ColumnsOptions(), []), block(), made, STREAMS, kafka=False)
    assert all(batch[name].null_count == 2 for name in ORIGIN if name.startswith("kafka_"))
    assert batch["source_position"].to_pylist() == [0, 50]


def test_a_block_without_rows_has_all_columns():
    made = parsed([], x=pa.array([], pa.int64()))
    assert build(shape(made.table.schema, ColumnsOptions(), []), block(), made, {}).num_rows == 0


def test_names_that_are_taken_get_trailing_underscores():
    schema = pa.schema([(name, pa.int64()) for name in ["dt", "kafka_offset", "HOUR", "dt_", "ok"]])
    found = shape(schema, ColumnsOptions(), ["dt", "hour"])
    assert found.schema.names[:5] == ["dt_", "kafka_offset_", "HOUR_", "dt__", "ok"]
    assert found.renamed == {"dt": "dt_", "kafka_offset": "kafka_offset_", "HOUR": "HOUR_", "dt_": "dt__"}


def test_columns_added_later_rename_none_before_them():
    before = pa.schema([("dt", pa.int64()), ("a", pa.int64())])
    after = pa.schema([*before, ("dt_", pa.int64()), ("A", pa.int64())])
    first, second = (shape(schema, ColumnsOptions(), ["dt"]).schema.names for schema in (before, after))
    assert second[:2] == first[:2] == ["dt_", "a"]
    assert second[2:4] == ["dt__", "A_"]


def test_the_columns_of_the_origin_can_be_named():
    found = shape(pa.schema([("kafka_offset", pa.int64())]), ColumnsOptions(kafka_offset="o"), [])
    assert found.schema.names[:3] == ["kafka_offset", "kafka_partition", "o"]


@pytest.mark.parametrize(
    "header", [b"", b"\xff", b"{}", b"[]", b'{"flags":"x"}', b'{"flags":[1]}', b'{"flags":[]}', b'{"flags":["a,b"]}']
)
def test_a_foreign_flags_header_is_no_flag(header):
    assert flag_text(header) is None


# ── quarantine ───────────────────────────────────────────────────────────────


def test_quarantine_keeps_bytes_reason_and_coordinates():
    batch = quarantined(block(), np.array([1, 2]), ["not JSON", "empty value"], PARSE, STREAMS)
    assert batch.schema.equals(SCHEMA)
    assert batch.to_pylist()[0] == {
        "raw": b"\xff",
        "reason": "not JSON",
        "stage": "parse",
        "kafka_partition": 3,
        "kafka_offset": 101,
        "kafka_timestamp": None,
        "source_stream": "web2:stdin",
        "source_position": 50,
    }
    without = quarantined(block(), np.array([0]), ["x"], OVERLAP, {}, kafka=False).to_pylist()[0]
    assert without["kafka_offset"] is None
    assert without["raw"] == b"a"


@pytest.mark.parametrize(
    ("before", "records", "rejects", "after", "past"),
    [
        (Window(), 10, [], Window(10, 0), None),
        (Window(), 10, [0, 9], Window(10, 2), None),
        (Window(), 99, [1, 2, 3, 4, 5], Window(99, 5), None),
        (Window(), 99, [1, 2, 3, 4, 5, 6], Window(99, 6), 6),
        (Window(99, 5), 1, [0], Window(0, 0), 0),
        (Window(99, 5), 2, [1], Window(1, 1), None),
        (Window(50, 3), 100, [0, 49, 50, 51, 52, 53, 54], Window(50, 5), None),
        (Window(50, 3), 100, [0, 49, 50, 51, 52, 53, 54, 55], Window(50, 6), 55),
        (Window(50, 4), 250, [0, 1, 100, 249], Window(0, 0), 1),
        (Window(0, 0), 200, [], Window(0, 0), None),
        (Window(98, 5), 0, [], Window(98, 5), None),
    ],
)
def test_a_window_has_its_budget(before, records, rejects, after, past):
    assert Budget(0.05, 100).spend(before, records, np.array(rejects, np.int64)) == (after, past)


def test_spending_at_once_or_one_by_one_is_the_same():
    budget = Budget(0.05, 40)
    refused = np.flatnonzero(np.random.default_rng(1).random(1000) < 0.06)
    window, past = Window(), None
    for record in range(1000):
        window, found = budget.spend(window, 1, np.zeros(int(record in refused), np.int64))
        past = record if found is not None and past is None else past
    assert budget.spend(Window(), 1000, refused) == (window, past)


def test_a_budget_of_one_never_ends_and_a_budget_of_zero_at_once():
    assert Budget(1.0, 10).spend(Window(), 100, np.arange(100)) == (Window(0, 0), None)
    assert Budget(0.0, 10).spend(Window(), 5, np.array([3])) == (Window(5, 1), 3)
