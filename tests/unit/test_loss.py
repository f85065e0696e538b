"""When Kafka no longer has what comes next: a table."""

import pytest

from ingest.errors import DataLoss
from ingest.sink.loss import Bounds, refuse_loss


@pytest.mark.parametrize(
    ("next_offset", "known", "bounds"),
    [
        (0, None, Bounds(0, 0, "a")),
        (5, "a", Bounds(5, 5, "a")),
        (5, "a", Bounds(0, 9, "a")),
        (5, None, Bounds(5, 9, "b")),
    ],
)
def test_reading_goes_on_where_nothing_is_missing(next_offset, known, bounds):
    refuse_loss("logs", 3, next_offset, known, bounds)


@pytest.mark.parametrize(
    ("next_offset", "known", "bounds", "kind", "lost"),
    [
        (5, "a", Bounds(9, 20, "a"), "retention", (5, 9)),
        (5, "a", Bounds(0, 4, "a"), "went back", (4, None)),
        (5, "a", Bounds(0, 20, "b"), "recreated", (5, None)),
        (5, "a", Bounds(9, 20, "b"), "recreated", (5, None)),
    ],
)
def test_a_gap_stops_the_partition_and_names_what_is_lost(next_offset, known, bounds, kind, lost):
    with pytest.raises(DataLoss, match=r"logs/3.*accept-loss") as caught:
        refuse_loss("logs", 3, next_offset, known, bounds)
    assert (kind, *lost) == (caught.value.kind, caught.value.first, caught.value.next)
    assert caught.value.exit_code == 3
