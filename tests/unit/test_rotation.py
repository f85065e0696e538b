"""When an open range is closed: a table."""

import pytest

from ingest.sink.rotation import Limits, Open, Reason, due, next_due

LIMITS = Limits(rows=100, bytes=1000, age=60.0, idle=10.0)
NEVER = Limits(None, None, None, None)


@pytest.mark.parametrize(
    ("open", "now", "expected"),
    [
        (Open(rows=99, bytes=999, since=0, latest=0), 9.9, None),
        (Open(rows=100, bytes=0, since=0, latest=0), 0, Reason.ROWS),
        (Open(rows=1, bytes=1000, since=0, latest=0), 0, Reason.BYTES),
        (Open(rows=1, bytes=1, since=0, latest=55), 60, Reason.AGE),
        (Open(rows=1, bytes=1, since=0, latest=5), 15, Reason.IDLE),
        (Open(rows=0, bytes=0, since=0, latest=5), 59, None),
        (Open(rows=0, bytes=0, since=0, latest=5), 60, Reason.AGE),
    ],
)
def test_the_first_limit_that_is_reached_closes_the_range(open, now, expected):
    assert due(open, LIMITS, now) is expected


def test_without_limits_nothing_is_ever_due():
    assert due(Open(10**9, 10**12, 0, 0), NEVER, 10**9) is None
    assert next_due(Open(1, 1, 0, 0), NEVER, 5) == float("inf")


@pytest.mark.parametrize(
    ("open", "now", "wait"),
    [
        (Open(1, 1, since=0, latest=0), 4, 6),
        (Open(1, 1, since=0, latest=55), 56, 4),
        (Open(0, 0, since=0, latest=55), 56, 4),
        (Open(0, 0, since=0, latest=0), 30, 30),
        (Open(1, 1, since=0, latest=0), 99, 0),
    ],
)
def test_the_loop_knows_when_to_look_again(open, now, wait):
    assert wait == next_due(open, LIMITS, now)
