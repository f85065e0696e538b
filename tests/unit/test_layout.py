import datetime
import posixpath

import numpy as np
import pyarrow as pa
import pytest

from ingest.errors import Fatal
from ingest.sink.layout import layout
from ingest.sink.paths import NULL, directory, escaped, safe_path


def us(text):
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 1_000_000


def rows(count=1, **columns):
    columns = columns or {"n": pa.nulls(count, pa.int64())}
    return pa.RecordBatch.from_pydict(columns)


def placed(partition_by, times, batch=None, timezone="UTC", **options):
    times = np.array([us(time) if isinstance(time, str) else time for time in times], np.int64)
    batch = rows(len(times)) if batch is None else batch
    result = layout(partition_by, timezone, **options).place(batch, times)
    assert result.codes.dtype == np.int32
    assert len(set(result.paths)) == len(result.paths)
    return [result.paths[code] for code in result.codes]


def test_hours_in_utc_by_default():
    times = ["2026-11-23T01:59:57Z", "2026-11-23T01:59:58Z", "2026-11-23T02:00:01Z", "2026-11-23T01:59:59Z"]
    one, two = "dt=2026-11-23/hour=01", "dt=2026-11-23/hour=02"
    assert placed("dt=%Y-%m-%d/hour=%H", times) == [one, one, two, one]


@pytest.mark.parametrize(
    ("timezone", "time", "path"),
    [
        ("Asia/Kathmandu", "2026-11-23T18:14:59Z", "dt=2026-11-23/hour=23"),
        ("Asia/Kathmandu", "2026-11-23T18:15:00Z", "dt=2026-11-24/hour=00"),
        ("Europe/Berlin", "2026-03-29T00:59:59Z", "dt=2026-03-29/hour=01"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z", "dt=2026-03-29/hour=03"),
        ("Europe/Berlin", "2026-10-25T00:30:00Z", "dt=2026-10-25/hour=02"),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", "dt=2026-10-25/hour=02"),
        ("Europe/Berlin", "2026-10-25T22:59:59Z", "dt=2026-10-25/hour=23"),
        ("Europe/Berlin", "2026-10-25T23:00:00Z", "dt=2026-10-26/hour=00"),
        ("UTC", "1969-12-31T23:59:59Z", "dt=1969-12-31/hour=23"),
        ("UTC", "0987-01-01T00:00:00+00:00", "dt=0987-01-01/hour=00"),
    ],
)
def test_days_and_hours_are_those_of_the_zone(timezone, time, path):
    assert placed("dt=%Y-%m-%d/hour=%H", [time], timezone=timezone) == [path]


def test_a_day_layout_in_a_zone_turns_at_its_midnight():
    times = ["2026-11-22T18:14:59Z", "2026-11-22T18:15:00Z"]
    assert placed("dt=%Y%m%d", times, timezone="Asia/Kathmandu") == ["dt=20261122", "dt=20261123"]


def test_formatting_happens_once_for_each_distinct_hour():
    times = np.arange(100_000, dtype=np.int64) * 1_000_000 + us("2026-11-23T00:00:00Z")
    result = layout("dt=%Y-%m-%d/hour=%H", "UTC").place(rows(len(times)), times)
    assert len(result.paths) == 28


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("plain", "site=plain"),
        ("../../x", "site=..%2F..%2Fx"),
        ("#LATEST", "site=%23LATEST"),
        ("", f"site={NULL}"),
        (None, f"site={NULL}"),
        ("a/b", "site=a%2Fb"),
        ("a=b", "site=a%3Db"),
        ("a\nb", "site=a%0Ab"),
        ("a\0b", "site=a%00b"),
        ("_hidden", "site=_hidden"),
        (".", "site=."),
        ("50%", "site=50%25"),
        ("żółć", "site=żółć"),
    ],
)
def test_a_value_is_escaped_as_hive_does(value, part):
    assert placed("site={site}", [0], rows(site=pa.array([value], pa.string()))) == [part]


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (pa.array([7], pa.int32()), "v=7"),
        (pa.array([True]), "v=true"),
        (pa.array([1.5]), "v=1.5"),
        (pa.array([datetime.date(2026, 11, 23)]), "v=2026-11-23"),
        (pa.array([0], pa.timestamp("us", tz="UTC")), "v=1970-01-01 00%3A00%3A00"),
        (pa.array([b"\xffa"]), "v=%5Cxffa"),
        (pa.array([1], pa.int64()).cast(pa.decimal128(19, 0)), "v=1"),
        (pa.array([[1]]), f"v={NULL}"),
    ],
)
def test_values_of_every_type_have_a_text(array, part):
    assert placed("v={v}", [0], rows(v=array)) == [part]


def test_a_renamed_or_missing_column_is_found_or_null():
    made = layout("dt={dt}/x={x}", "UTC").place(rows(dt_=["a"]), np.zeros(1, np.int64), {"dt": "dt_"})
    assert made.paths == [f"dt=a/x={NULL}"]


@pytest.mark.parametrize("text", ["a" * 300, "ż" * 300, "/" * 300, "%" * 250])
def test_a_part_never_exceeds_255_bytes_and_stays_distinct(text):
    first, second = directory("site", text + "1"), directory("site", text + "2")
    assert first != second
    for name in (first, second):
        assert len(name.encode()) <= 255
        assert "%" not in name.replace("%2F", "").replace("%25", "")


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "../x", "a/../../b", "./a", "a//b", "_x/.y", "dt=1/../..", "~", "=", "=/=", ""]
)
def test_no_path_leaves_the_root_or_hides(text):
    path = safe_path(text)
    assert posixpath.normpath(posixpath.join("/root/topic", path)).startswith("/root/topic")
    assert not path.startswith("/")
    assert all(part and part[0] not in "._" for part in path.split("/") if path)


def test_percent_escapes_are_two_upper_case_digits():
    assert escaped("\"#%'*/:=?\\{[]^\x7f") == "%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E%7F"


@pytest.mark.parametrize(
    "template", ["", "dt=%Q", "dt=%Y/", "/dt=%Y", "no-equals/%Y", "dt={", "dt={}", "dt=%Y/dt=%m", "..=x"]
)
def test_a_bad_template_is_refused(template):
    with pytest.raises(ValueError, match=r".+"):
        layout(template, "UTC")


def test_an_unknown_zone_is_refused():
    with pytest.raises(ValueError, match="Mars"):
        layout("dt=%Y", "Mars/Olympus")


def test_a_million_values_overflow_by_time():
    count = 1_000_000
    values = pa.array(np.arange(count)).cast(pa.string())
    times = np.full(count, us("2026-11-23T01:00:00Z"))
    result = layout("dt=%Y-%m-%d/user={user}", "UTC", max_paths=100).place(rows(user=values), times)
    assert len(result.paths) == 101
    assert result.paths[result.codes[-1]] == "dt=2026-11-23/user=__OVERFLOW__"
    assert result.overflowed == count - 100


def test_the_cap_counts_what_is_open_already_and_the_largest_come_first():
    values = pa.array(["a"] + ["b"] * 3 + ["old"])
    known = {"user=old", "user=x"}
    made = layout("user={user}", "UTC", max_paths=3).place(rows(user=values), np.zeros(5, np.int64), {}, known)
    assert [made.paths[code] for code in made.codes] == ["user=__OVERFLOW__", *["user=b"] * 3, "user=old"]


def test_times_past_the_cap_share_one_path_in_the_end():
    times = np.arange(1000, dtype=np.int64) * 86_400_000_000
    result = layout("dt=%Y-%m-%d", "UTC", max_paths=10).place(rows(1000), times)
    assert len(result.paths) == 11
    assert "dt=__OVERFLOW__" in result.paths


def test_a_block_without_rows_has_no_paths():
    result = layout("dt=%Y-%m-%d/user={user}", "UTC").place(rows(user=pa.array([], pa.string())), np.empty(0, np.int64))
    assert result.paths == []
    assert len(result.codes) == 0


def test_a_function_is_asked_and_its_answer_made_safe():
    def by_site(batch, times):
        assert times.type == pa.timestamp("us", tz="UTC")
        return pa.array([f"site={value}/../x" for value in batch["site"].to_pylist()])

    batch = rows(site=["a", "b=c", "a"])
    assert placed("by_site", [0, 0, 0], batch, function=by_site) == [
        "site=a/%2E./x",
        "site=b%3Dc/%2E./x",
        "site=a/%2E./x",
    ]


@pytest.mark.parametrize("answer", [pa.array(["x"]), pa.array(["x", None]), pa.array([1, 2]), ["a", "b"]])
def test_a_function_that_does_not_answer_for_every_row_is_fatal(answer):
    with pytest.raises(Fatal, match="by_site"):
        placed("by_site", [0, 0], function=lambda batch, times: answer)
