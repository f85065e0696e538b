"""What may be accepted of a stopped partition: a table."""

import pytest

from ingest.commit.chain import Previous, Start
from ingest.commit.names import ChainKey
from ingest.commit.tail import Tail
from ingest.sink.acceptance import acceptable_budget, acceptable_loss
from ingest.sink.loss import Bounds
from ingest.sink.quarantine import Budget
from ingest.sink.stops import Stop, StoppedPartition


def tail(next_offset, topic_id="a", era=2, window=()):
    told = {"why": "", "worker": "", "created_at": "", "version": ""}
    start = Start(topic="logs", topic_id=topic_id, partition=3, era=era, next_offset=0, streams={}, **told)
    return Tail(
        ChainKey("logs", 3), era, next_offset, topic_id, -1, {}, window, Previous(name="x", crc32c=0), start=start
    )


def noted(kind, next_offset, first=None):
    return StoppedPartition("logs", 3, next_offset, Stop(kind, "as it was noted", 3, first))


@pytest.mark.parametrize(
    ("next_offset", "bounds", "stop"),
    [
        (5, Bounds(0, 9, "a"), None),
        (5, Bounds(5, 5, "a"), None),
        (5, Bounds(0, 9, "a"), noted("retention", 5, 5)),  # accepted since, or the log is whole again
        (5, Bounds(0, 9, "a"), noted("truncated", 8, 5)),  # accepted since: the chain is elsewhere
        (5, Bounds(0, 9, "a"), noted("failed", 5)),
    ],
)
def test_where_reading_goes_on_by_itself_nothing_is_to_be_accepted(next_offset, bounds, stop):
    assert acceptable_loss(tail(next_offset), bounds, stop) is None


@pytest.mark.parametrize(
    ("bounds", "stop", "kind", "lost", "resume"),
    [
        (Bounds(9, 20, "a"), None, "retention", (5, 9), 9),
        (Bounds(0, 20, "b"), None, "recreated", (5, 5), 0),
        (Bounds(7, 20, "b"), None, "recreated", (5, 5), 7),
        (Bounds(0, 4, "a"), None, "went back", (5, 5), 0),
        (Bounds(1, 20, "a"), noted("truncated", 5, 3), "truncated", (5, 5), 3),
        (Bounds(1, 2, "a"), noted("truncated", 5, 3), "truncated", (5, 5), 2),
        (Bounds(4, 20, "a"), noted("truncated", 5, 3), "truncated", (5, 5), 4),
        (Bounds(1, 20, "a"), noted("truncated", 5), "truncated", (5, 5), 1),
        (Bounds(0, 20, "b"), noted("truncated", 5, 3), "recreated", (5, 5), 0),
        (Bounds(9, 20, "a"), noted("truncated", 5, 3), "retention", (5, 9), 9),
    ],
)
def test_a_loss_is_shown_with_what_is_gone_and_where_reading_goes_on(bounds, stop, kind, lost, resume):
    found = acceptable_loss(tail(5), bounds, stop)

    assert (found.topic, found.partition, found.era, found.at) == ("logs", 3, 2, 5)
    assert (found.kind, (found.first, found.next), found.resume) == (kind, lost, resume)
    assert found.topic_id == bounds.topic_id
    assert found.opens_era == (kind != "retention")
    assert found.lost == (4 if kind == "retention" else None)


def test_a_topic_without_an_id_stays_without_one():
    assert acceptable_loss(tail(5, topic_id=None), Bounds(0, 4, "")).topic_id is None


def test_what_would_be_doubled_is_said_only_where_it_would_be():
    cut, lost = noted("truncated", 5, 3), noted("truncated", 5)

    assert "[3, 20) are read next" in acceptable_loss(tail(5), Bounds(0, 20, "a"), cut).message
    assert "[0, 20) are read again" in acceptable_loss(tail(5), Bounds(0, 20, "a"), lost).message
    assert "are read" not in acceptable_loss(tail(5), Bounds(0, 0, "a")).message


@pytest.mark.parametrize(
    ("window", "over"), [((), False), (((100, 5),), False), (((100, 6),), True), (((3, 3),), False)]
)
def test_a_window_is_over_its_budget_where_the_sink_says_so_too(window, over):
    found = acceptable_budget(tail(7, window=window), Budget(0.05, 100))

    assert (found is not None) == over
    if found is not None:
        assert (found.kind, found.first, found.next, found.resume, found.lost) == ("quarantine", 7, 7, 7, 0)
        assert found.opens_era
