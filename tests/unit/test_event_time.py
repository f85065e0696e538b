import datetime

import numpy as np
import pyarrow as pa
import pytest

from ingest.sink.event_time import AHEAD, BEFORE, MISSING, NO_KAFKA_TIME, EventTime

NOW = 1_795_395_723.0
KAFKA_MS = 1_795_390_000_000
KAFKA = KAFKA_MS * 1000
DAY = 86_400


def times(array, fallback=KAFKA_MS, **options):
    batch = pa.RecordBatch.from_pydict({"ts": array})
    result = EventTime("ts", **options).of(batch, np.full(len(array), fallback, np.int64), NOW)
    assert result.us.dtype == np.int64
    return result


@pytest.mark.parametrize(
    "value",
    [
        pa.array([1_700_000_000_123_456], pa.timestamp("us", tz="UTC")),
        pa.array([1_700_000_000_123_456], pa.timestamp("us")),
        pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        pa.array([1_700_000_000_123_456]),
        pa.array([1_700_000_000_123_456_789]),
        pa.array([1_700_000_000.123456]),
        pa.array(["2023-11-14T22:13:20.123456Z"]),
        pa.array(["2023-11-14 22:13:20,1234569"]),
        pa.array(["1700000000.123456"]),
    ],
)
def test_times_are_read_from_columns_of_many_types(value):
    result = times(value)
    assert result.us.tolist() == [1_700_000_000_123_456]
    assert result.counted == {}


def test_a_unit_says_what_numbers_count():
    assert times(pa.array([1_700_000_000]), unit="s").us.tolist() == [1_700_000_000_000_000]
    assert times(pa.array([1_700_000_000], pa.int32()), unit="s").us.tolist() == [1_700_000_000_000_000]
    assert times(pa.array([1_700_000_000_000.5]), unit="ms").us.tolist() == [1_700_000_000_000_500]


def test_days_are_times_at_midnight():
    assert times(pa.array([datetime.date(2026, 11, 1)])).us.tolist() == [1_793_491_200_000_000]


def test_texts_written_in_several_ways_are_read_one_by_one():
    result = times(pa.array(["2026-11-23T01:02:03Z", "2026-11-23T01:02:03", "1795395723", "soon", None]))
    assert result.us.tolist() == [1_795_395_723_000_000] * 3 + [KAFKA] * 2
    assert result.counted == {MISSING: 2}


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([None], pa.timestamp("us", tz="UTC")), MISSING),
        (pa.array([float("nan")]), MISSING),
        (pa.array([True]), MISSING),
        (pa.array([[1]]), MISSING),
        (pa.array([0]), BEFORE),
        (pa.array([-1]), BEFORE),
        (pa.array([float("-inf")]), BEFORE),
        (pa.array([946_684_799]), BEFORE),
        (pa.array([float("inf")]), AHEAD),
        (pa.array([int(NOW) + DAY + 1]), AHEAD),
        (pa.array(["2099-01-01T00:00:00Z"]), AHEAD),
        (pa.array([2**63 - 1]), AHEAD),
        (pa.array([2**62]), AHEAD),
    ],
)
def test_what_is_missing_or_absurd_gives_way_to_the_kafka_timestamp(array, reason):
    result = times(array)
    assert result.us.tolist() == [KAFKA]
    assert result.counted == {reason: 1}


def test_the_limits_themselves_are_plausible():
    result = times(pa.array([int(NOW) + DAY, 946_684_800]))
    assert result.counted == {}


def test_limits_can_be_moved():
    result = times(pa.array([0, int(NOW) + 2]), max_ahead=1, earliest=datetime.date(1960, 1, 1))
    assert result.us.tolist() == [0, KAFKA]
    assert result.counted == {AHEAD: 1}


@pytest.mark.parametrize("fallback", [-1, 0, 5, KAFKA_MS * 10, 2**63 - 1, -(2**63)])
def test_without_any_plausible_time_it_is_now_and_never_1970(fallback):
    result = times(pa.array([None], pa.int64()), fallback=fallback)
    assert result.us.tolist() == [int(NOW * 1_000_000)]
    assert result.counted == {MISSING: 1, NO_KAFKA_TIME: 1}


def test_without_a_field_it_is_the_kafka_timestamp():
    batch = pa.RecordBatch.from_pydict({"ts": pa.array([1, 2])})
    result = EventTime().of(batch, np.array([KAFKA_MS, -1]), NOW)
    assert result.us.tolist() == [KAFKA, int(NOW * 1_000_000)]
    assert result.counted == {NO_KAFKA_TIME: 1}


def test_a_column_that_is_not_there_yet_is_missing():
    batch = pa.RecordBatch.from_pydict({"other": pa.array([1, 2])})
    assert EventTime("ts").of(batch, np.full(2, KAFKA_MS), NOW).counted == {MISSING: 2}
