"""Random files, killed at random steps, grown, renamed, packed: every line is in the warehouse exactly once.

A kill strikes before or after any call to the warehouse, or when lines are about to be parsed; faults that pass strike
besides. What is not shown: the local disk losing what was not synced, and what two files with the same path and the
same beginning are (that is a table in the unit tests).
"""

import gzip
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ingest.backfill.outcome import Ending
from ingest.testing.memory import Fault
from tests.builders.backfill import Box, Killed


@pytest.fixture(autouse=True)
def _small_and_fast(monkeypatch):
    monkeypatch.setattr("ingest.backfill.content.PIECE", 16)
    monkeypatch.setattr("ingest.sink.encode.os.fsync", lambda fd: None)  # no machine dies here


_number = itertools.count()


def distinct(lines):
    """Lines that can be told apart, so that a repeat shows."""
    return b"".join(b"%d:" % next(_number) + line.replace(b"\n", b"") + b"\n" for line in lines)


def lines_of(content):
    return content.split(b"\n")[:-1]


contents = st.lists(st.binary(max_size=9), min_size=1, max_size=25).map(distinct)
kills = st.one_of(
    st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 60)), st.tuples(st.just("parse"), st.integers(1, 9))
)
faults = st.lists(st.tuples(st.integers(1, 80), st.sampled_from([Fault.FAIL, Fault.LOSE])), max_size=2)


def run(box, *paths, kill=None, again=False):
    """Take the files as one process does that may be killed; return the outcomes of one that was not."""
    filesystem = box.filesystem
    perform = type(filesystem)._call
    calls = itertools.count(1)

    def dying(call, action):
        number = next(calls)
        if kill == ("before", number):
            raise Killed
        reply = perform(filesystem, call, action)
        if kill == ("after", number):
            raise Killed
        return reply

    def die():
        raise Killed

    filesystem._call = dying
    box.parsing = lambda: None
    if kill is not None and kill[0] == "parse":
        box.at_parse(kill[1], die)
    try:
        return box.take(*paths, again=again)
    except Killed:
        return None
    finally:
        del filesystem._call
        box.parsing = lambda: None


def complete(box, *paths):
    """Run until nothing is left to do; a further run must add nothing."""
    box.filesystem.calm()
    outcomes = run(box, *paths)
    assert [outcome.ending for outcome in outcomes] == [Ending.DONE] * len(outcomes), [o.problem for o in outcomes]
    rows = len(box.table())
    assert all(outcome.tally.rows == 0 for outcome in run(box, *paths))
    assert len(box.table()) == rows


@st.composite
def lives(draw):
    """What befalls one file: [(content that is added, packed, renamed, killed at)]"""
    return [
        (
            draw(contents),
            draw(st.booleans()),
            draw(st.booleans()),
            draw(st.none() | kills),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]


SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(life=lives(), rows=st.sampled_from([None, 3, 10]), troubles=faults)
def test_a_file_that_grows_and_moves_while_its_runs_are_killed_is_there_once(life, rows, troubles):
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rows=rows)
        content, path = b"", None
        for step, (more, packed, renamed, kill) in enumerate(life):
            content += more
            if path is not None:
                Path(path).unlink()
            name = f"renamed{step}" if renamed or path is None else Path(path).name
            path = box.write(name, gzip.compress(content) if packed else content)
            for k, fault in troubles:
                box.filesystem.fail_at(k, fault)
            note(f"{name}: {len(content)} bytes, packed {packed}, killed {kill}")
            run(box, path, kill=kill)
        complete(box, path)
        assert box.lines() == sorted(lines_of(content))
        assert len(box.rows()) == 1
        box.verify()


@SETTINGS
@given(
    head=st.sampled_from([b"", b"banner\n", b"banner\n" * 50]),
    bodies=st.lists(contents, min_size=2, max_size=4),
    order=st.randoms(use_true_random=False),
    killed=st.lists(st.none() | kills, max_size=5),
)
def test_files_that_begin_alike_are_each_there_once(head, bodies, order, killed):
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rows=4)
        paths = [box.write(f"{number}.log", head + body, number + 1) for number, body in enumerate(bodies)]
        for kill in killed:
            order.shuffle(paths)
            run(box, *paths[: order.randint(1, len(paths))], kill=kill)
        complete(box, *paths)
        assert box.lines() == sorted(line for body in bodies for line in lines_of(head + body))
        box.verify()


@SETTINGS
@given(content=contents, kill=kills, again=kills, packed=st.booleans())
def test_a_second_taking_that_is_killed_is_completed_or_leaves_no_trace(content, kill, again, packed):
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rows=3)
        path = box.write("a.log", gzip.compress(content) if packed else content)
        run(box, path, kill=kill)
        complete(box, path)
        run(box, path, kill=again, again=True)
        complete(box, path)
        assert sorted(box.lines()) in (sorted(lines_of(content)), sorted(lines_of(content) * 2))
        box.verify()


@SETTINGS
@given(content=contents, lead=st.integers(1, 6), packed=st.booleans(), kill=st.none() | kills)
def test_two_backfills_of_one_content_at_once_write_it_once(content, lead, packed, kill):
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rows=3)
        path = box.write("a.log", content, 1)
        other = box.write("b.log", gzip.compress(content) if packed else content, 2)
        box.at_parse(lead, lambda: run(box, other, kill=kill))

        box.take(path)

        complete(box, path, other)
        assert box.lines() == sorted(lines_of(content))
        box.verify()


@SETTINGS
@given(data=st.binary(max_size=200), split=st.integers(0, 200), drop_empty=st.booleans(), kill=st.none() | kills)
def test_any_bytes_are_covered_without_a_gap(data, split, drop_empty, kill):
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rows=3, drop_empty=drop_empty)
        path = box.write("a.log", data[:split])
        run(box, path, kill=kill)
        complete(box, path)
        path = box.write("a.log", data)
        complete(box, path)

        kept = b"".join(line for lines in box.rows().values() for line in lines)
        assert kept == data.replace(b"\n", b"")
        if data:
            box.verify()
