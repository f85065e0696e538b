"""What a survey of a gzip file shows, what comes next for the file, and reading it afterwards."""

import gzip
import os
import random

import pytest

from ingest.connectors.marks.mark import HEAD, TAIL, Mark
from ingest.connectors.tail.gunzip import Ending
from ingest.connectors.tail.gzipped import Gzip, Patience, Refuse, next_step
from ingest.connectors.tail.survey import Survey, Surveyed
from ingest.connectors.tail.unpacked import Unpacked

DATA = random.Random(7).randbytes(50_000)


@pytest.fixture
def opened(tmp_path):
    """Write gzip members into a file and open it."""
    fds = []

    def make(*members, cut=0):
        path = tmp_path / "file.gz"
        whole = b"".join(gzip.compress(member, 1) for member in members)
        path.write_bytes(whole[: len(whole) - cut])
        fds.append(os.open(path, os.O_RDONLY))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


def surveyed(fd, spans=()):
    survey = Survey(lambda head: spans)
    while survey.outcome() is None:
        assert survey.step(fd) < 1 << 20
    return survey.outcome()


# ── surveys ──


@pytest.mark.parametrize("length", [0, 1, HEAD - 1, HEAD, HEAD + 1, TAIL, TAIL + 1, 50_000])
def test_a_survey_keeps_both_ends_and_the_marks_that_were_asked_for(opened, length):
    data = DATA[:length]
    spans = [
        (0, 100),
        (90, 5000),
        (0, length),
        (max(0, length - 10), length),
        (length - 1, length + 1),
        (30_000, 40_000),
    ]
    spans = [(start, end) for start, end in spans if 0 <= start < end]

    seen = surveyed(opened(data[: length // 3], data[length // 3 :]), spans)

    assert (seen.size(), seen.head, seen.last) == (length, data[:HEAD], data[-TAIL:] if length else b"")
    assert seen.covers(spans)
    for start, end in spans:
        assert seen.mark(start, end) == (Mark.of(data[start:end], end) if end <= length else None)
    assert seen.pread(HEAD, 0) == data[:HEAD]


def test_a_survey_says_what_it_has_not_looked_at(opened):
    seen = surveyed(opened(DATA), [(7000, 8000)])

    assert seen.covers([(7000, 8000), (0, HEAD), (49_000, 50_000), (49_000, 60_000)])
    assert not seen.covers([(7001, 8000)])
    with pytest.raises(ValueError, match="not kept"):
        seen.pread(10, 7000)


def test_a_survey_of_a_damaged_file_shows_what_is_proven_and_nothing_else(opened):
    seen = surveyed(opened(DATA[:10_000], DATA[10_000:], cut=20_000), [(5000, 6000), (9000, 11_000)])

    assert (seen.size(), seen.ending.whole) == (10_000, False)
    assert seen.last == DATA[10_000 - TAIL : 10_000]
    assert seen.mark(5000, 6000) == Mark.of(DATA[5000:6000], 6000)
    assert seen.mark(9000, 11_000) is None


# ── what comes next ──

WHOLE, CUT, TEXT = Ending(True, False, ""), Ending(False, False, "cut"), Ending(False, True, "text")
PATIENCE = Patience(survey=1.0, damaged=300.0)


@pytest.mark.parametrize(
    ("ending", "length", "idle", "expected"),
    [
        (None, 0, 0.0, "wait"),
        (None, 0, 0.9, "wait"),
        (None, 0, 1.0, "survey"),
        (WHOLE, 10, 0.0, "admit"),
        (WHOLE, 0, 0.0, "admit"),
        (TEXT, 0, 0.0, Refuse("text")),
        (CUT, 0, 299.0, "wait"),
        (CUT, 10, 299.0, "wait"),
        (CUT, 0, 300.0, Refuse("cut")),
        (CUT, 10, 300.0, "admit"),
    ],
)
def test_a_file_that_is_not_whole_is_waited_for_and_then_what_is_proven_is_taken(ending, length, idle, expected):
    seen = None if ending is None else Surveyed(length, ending, b"", b"", {}, frozenset())
    one = Gzip("a.gz", (1, 1), os.stat("/"), 100.0 - idle, True, seen=seen)

    assert next_step(one, 100.0, PATIENCE) == (seen if expected == "admit" else expected)


def test_with_once_what_could_not_be_looked_at_is_not_tried_for_ever():
    one = Gzip("a.gz", (1, 1), os.stat("/"), 100.0, True, trouble="Permission denied")

    assert next_step(one, 100.0, Patience(0.0, 0.0, once=True)) == Refuse("Permission denied")
    assert next_step(one, 101.0, PATIENCE) == "survey"


# ── reading ──


def reached(content, fd, start, quantum=1 << 20):
    turns = 1
    while not content.reach(fd, start, quantum):
        turns += 1
    return turns


@pytest.mark.parametrize("seed", range(20))
def test_any_piece_of_the_content_can_be_had_in_any_order(opened, seed):
    rng = random.Random(seed)
    fd = opened(DATA[:20_000], DATA[20_000:])
    content = Unpacked(surveyed(fd, [(1000, 3000)]), os.fstat(fd), 100)
    reach = 0
    for _ in range(60):
        if rng.random() < 0.5:
            reach = rng.choice([rng.randrange(50_000), min(reach + rng.randrange(3000), 49_999)])
        reached(content, fd, reach, rng.choice([100, 1 << 20]))
        for _ in range(rng.randrange(3)):
            start, length = rng.randrange(reach, 50_001), rng.randrange(6000)
            assert content.pread(length, start) == DATA[start : start + length]
            end = start + length
            assert content.mark(start, end) == (Mark.of(DATA[start:end], end) if end <= 50_000 else None)
        assert content.mark(1000, 3000) == Mark.of(DATA[1000:3000], 3000)


def test_the_way_to_a_far_position_is_gone_in_many_turns(opened):
    fd = opened(DATA)
    content = Unpacked(surveyed(fd), os.fstat(fd), 100)

    assert reached(content, fd, 45_000, 5000) == 9
    assert content.pread(100, 45_000) == DATA[45_000:45_100]


def test_of_an_over_long_line_its_beginning_is_at_hand_though_it_is_not_kept_whole(opened, monkeypatch):
    fd = opened(DATA)
    content = Unpacked(surveyed(fd), os.fstat(fd), 100)
    reached(content, fd, 1000)
    for start in range(1000, 45_000, 2000):
        reached(content, fd, 1000)
        assert content.pread(2000, start) == DATA[start : start + 2000]
        assert len(content._data) + len(content._front) < 20_000
    monkeypatch.setattr(Unpacked, "rest", lambda self: pytest.fail("decompressed anew"))

    assert content.pread(1000, 1000) == DATA[1000:2000]
    assert content.pread(TAIL, 40_000) == DATA[40_000 : 40_000 + TAIL]


def test_a_file_that_is_not_what_was_surveyed_is_an_error_and_no_content(opened, tmp_path):
    fd = opened(DATA)
    content = Unpacked(surveyed(fd), os.fstat(fd), 100)
    (tmp_path / "file.gz").write_bytes(gzip.compress(DATA[:100]))

    assert not content.fresh(os.fstat(fd))
    for _ in range(2):
        with pytest.raises(OSError, match="a moment ago"):
            content.reach(fd, 45_000, 1 << 20)
