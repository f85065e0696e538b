"""The list of stopped partitions in the state directory."""

import pytest

from ingest.errors import StateDamaged
from ingest.sink.stops import Stop, StoppedPartition, read_stops, write_stops


def test_what_a_worker_noted_is_read_back(tmp_path):
    path = tmp_path / "stopped.json"
    stops = [
        StoppedPartition("logs", 3, 5, Stop("retention", "gone", 3, 5, 9)),
        StoppedPartition("logs", 4, None, Stop("failed", "no", 1)),
    ]
    write_stops(path, stops)

    assert read_stops(path) == stops
    assert [each.name for each in tmp_path.iterdir()] == ["stopped.json"]

    write_stops(path, [])
    assert read_stops(path) == []


def test_where_no_worker_ever_ran_nothing_is_noted(tmp_path):
    assert read_stops(tmp_path / "stopped.json") == []


@pytest.mark.parametrize("content", [b"", b"[{}]", b"\xff"])
def test_a_list_that_can_not_be_read_is_no_empty_list(tmp_path, content):
    path = tmp_path / "stopped.json"
    path.write_bytes(content)

    with pytest.raises(StateDamaged, match=r"stopped\.json can't be read"):
        read_stops(path)
