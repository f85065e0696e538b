"""The ledger held equal to the plainest model: a set of written bytes per generation."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.sink.dedup import Ledger
from tests.builders.records import EDGES, LINES, PARTITION, TOPIC, block


@st.composite
def histories(draw):
    """Several blocks of records of two generations: mostly in order, with replays, late batches and merged lines."""
    blocks = []
    for _ in range(draw(st.integers(1, 6))):
        rows = []
        for _ in range(draw(st.integers(1, 4))):
            generation = draw(st.sampled_from([7, 2**64 - 1]))
            a = draw(st.integers(0, len(LINES) - 1))
            for line in range(a, min(len(LINES), a + draw(st.integers(1, 6)))):
                rows.append((generation, line, line + 1))
        blocks.append(rows)
    return blocks


@given(histories())
def test_each_line_is_kept_exactly_once_whatever_is_sent_again(history):
    ledger = Ledger(TOPIC, PARTITION, {}, lambda _: None, lambda: 0.0)
    written = set()
    for rows in history:
        verdict = ledger.judge(block(rows))
        for row in range(len(rows)):
            assert (row in verdict.keep) == (rows[row] not in written)
            assert (row in verdict.repeated) == (rows[row] in written)
            written.add(rows[row])
    for generation, stream in ledger.streams.items():
        lines = sorted(a for g, a, _ in written if g == generation)
        covered = {p for a in lines for p in range(EDGES[a], EDGES[a + 1])}
        intervals = list(zip(stream.starts, stream.ends, strict=True))
        assert {p for s, e in intervals for p in range(s, e)} == covered
        assert all(before[1] < after[0] for before, after in pairwise(intervals))


@given(st.integers(0, 27), st.integers(1, 3), st.integers(0, 27), st.integers(1, 3))
def test_a_record_partly_inside_what_is_written_is_an_overlap(a, m, b, n):
    ledger = Ledger(TOPIC, PARTITION, {}, lambda _: None, lambda: 0.0)
    ledger.judge(block([(7, a, a + m)]))
    first, second = set(range(a, a + m)), set(range(b, b + n))
    if first >= second and b + n == a + m and first != second:
        return  # the same end with other bytes: a conflict, tested on its own
    verdict = ledger.judge(block([(7, b, b + n)]))
    expected = "repeated" if second <= first else "overlapping" if first & second else "keep"
    assert list(getattr(verdict, expected)) == [0]
