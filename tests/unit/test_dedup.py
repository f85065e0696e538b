"""What the ledger judges, and what it leaves alone."""

import pyarrow as pa
import pytest

from ingest.sink.dedup import Ledger, StreamConflict, StreamLedger
from tests.builders.records import EDGES, LINES, PARTITION, TOPIC, block, source_header


def ledger(streams=None, find=lambda _: None):
    return Ledger(TOPIC, PARTITION, streams or {}, find, lambda: 1000.0)


def test_records_without_the_identity_header_are_never_dropped():
    judge = ledger()
    records = block([(7, 0, 1), (7, 0, 1)])
    records.identity.present[:] = False
    assert list(judge.judge(records).keep) == [0, 1]


def test_a_generation_that_no_source_header_introduced_is_not_judged():
    judge = ledger()
    judge.judge(block([(7, 0, 1)], introduce=False))
    verdict = judge.judge(block([(7, 0, 1)], introduce=False))
    assert list(verdict.keep) == [0]
    assert verdict.streams == {}


@pytest.mark.parametrize(("topic", "partition"), [("copy-of-logs", PARTITION), (TOPIC, PARTITION + 1)])
def test_a_generation_introduced_for_another_topic_or_partition_is_not_judged(topic, partition):
    judge = ledger()
    records = block([(7, 0, 1)])
    records.sources[0] = source_header(7, topic, partition)
    judge.judge(records)
    assert list(judge.judge(records).keep) == [0]


def test_an_old_generation_is_found_in_the_archive_when_it_turns_up_again():
    old = StreamLedger("web-1", "/var/log/app.log", "app", 0.0)
    last_line = block([(7, 4, 5)])
    seen = ledger()
    seen.judge(block([(7, i, i + 1) for i in range(5)]))
    old.add(0, int(EDGES[5]), seen.streams[7].crcs[0])
    judge = ledger(find=lambda generation: old if generation == 7 else None)
    assert list(judge.judge(last_line).repeated) == [0]


def test_a_repeat_with_other_bytes_stops_and_says_where_and_why():
    judge = ledger()
    judge.judge(block([(7, 0, 1), (7, 1, 2)]))
    changed = block([(7, 1, 2)], first_offset=10)
    object.__setattr__(changed, "values", pa.array([b"other!"], pa.binary()))
    with pytest.raises(StreamConflict, match=r"logs/3 offset 10.*web-1:/var/log/app.log.*cloned machine"):
        judge.judge(changed)


def test_a_late_batch_fills_the_hole_that_it_left():
    judge = ledger()
    judge.judge(block([(7, 0, 1), (7, 3, 4)]))
    verdict = judge.judge(block([(7, i, i + 1) for i in range(5)]))
    assert list(verdict.keep) == [1, 2, 4]
    assert list(verdict.repeated) == [0, 3]
    assert [(0, int(EDGES[5]))] == list(zip(judge.streams[7].starts, judge.streams[7].ends, strict=True))


def test_streams_not_seen_for_long_are_left_to_the_archive():
    judge = ledger({9: StreamLedger("h", "p", "s", seen=1000.0 - 15 * 86400), 8: StreamLedger("h", "p", "s", 999.0)})
    assert list(judge.recent(14)) == [8]


def test_names_for_the_column_source_stream_are_given_for_each_judged_generation():
    verdict = ledger().judge(block([(7, 0, 1), (9, 0, 1)]))
    assert verdict.streams == {7: "web-1:/var/log/app.log", 9: "web-1:/var/log/app.log"}
    assert len(LINES) == 30
