"""What the benchmark of faults counts, judges and writes down."""

import json

import pytest

from benchmarks.tail_faults.page import table
from benchmarks.tail_faults.tally import Found, Tally, Written, key_of
from benchmarks.tail_faults.verdict import broken_promise

ONE, TWO = b"#000000001 one", b"#000000002 two"


def written(*lines):
    made = Written()
    for line in lines:
        made.add(line)
    return made


def found(*values, identities=None):
    made = Found()
    for number, value in enumerate(values):
        made.add(value, {"ingest-pos": identities[number]} if identities else {})
    return made


@pytest.mark.parametrize(
    ("lines", "values", "tally"),
    [
        ([ONE, TWO], [TWO, ONE], Tally(0, 0, 0, 0)),
        ([ONE, TWO], [ONE], Tally(1, 0, 0, 0)),
        ([ONE, TWO], [ONE, TWO, ONE, ONE], Tally(0, 2, 0, 0)),
        ([ONE, TWO], [ONE, b"\0\0" + TWO], Tally(0, 0, 1, 0)),
        ([ONE, TWO], [ONE, TWO[:12], TWO[12:]], Tally(0, 0, 1, 1)),
        ([b"same", b"same"], [b"same"], Tally(1, 0, 0, 0)),
        ([b"same", b"same"], [b"same"] * 3, Tally(0, 1, 0, 0)),
        ([ONE], [], Tally(1, 0, 0, 0)),
    ],
)
def test_what_is_in_kafka_is_compared_with_what_was_written(lines, values, tally):
    assert written(*lines).compare(found(*values)) == tally
    assert written(*lines).whole(found(*values)) == (tally.missing == 0)


def test_a_record_that_says_that_it_is_a_repeat_is_counted_apart_but_only_with_the_same_bytes():
    repeats = found(ONE, ONE, identities=[b"a", b"a"])
    others = found(ONE, TWO, identities=[b"a", b"a"])
    twice = found(ONE, ONE, identities=[b"a", b"b"])

    assert (repeats.repeats, written(ONE).compare(repeats)) == (1, Tally(0, 0, 0, 0))
    assert (others.repeats, written(ONE, TWO).compare(others)) == (0, Tally(0, 0, 0, 0))
    assert (twice.repeats, written(ONE).compare(twice)) == (0, Tally(0, 1, 0, 0))


def test_a_line_without_a_number_is_known_by_itself():
    assert [key_of(line) for line in (ONE, b"\0" + TWO, b"# a header", b"")] == [1, 2, b"# a header", b""]


@pytest.mark.parametrize(
    ("tally", "unreadable", "said", "wrong"),
    [
        (Tally(0, 0, 0, 0), 0, [], ""),
        (Tally(0, 1, 0, 0), 0, ["said"], "1 twice"),
        (Tally(3, 0, 0, 0), 3, ["said"], ""),
        (Tally(3, 0, 0, 0), 3, [], "silent"),
        (Tally(3, 0, 0, 0), 1, ["said"], "2 missing that a file still holds: said so"),
        (Tally(3, 0, 0, 0), 1, [], "2 missing that a file still holds"),
        (Tally(0, 0, 1, 0), 0, [], "silent"),
        (Tally(0, 0, 0, 2), 0, ["said"], ""),
    ],
)
def test_a_promise_is_broken_by_repeats_by_avoidable_loss_and_by_silence(tally, unreadable, said, wrong):
    assert broken_promise(tally, unreadable, said) == wrong


def result(shipper, **members):
    plain = {"missing": 0, "duplicate": 0, "damaged": 0, "foreign": 0}
    whole = {"case": "s1", "title": "renamed", "shipper": shipper, "lines": 2000, "tally": plain, "unreadable": 0}
    return whole | {"repeats": 0, "said": [], "alive": True, "note": "", "wrong": ""} | members


def test_the_table_says_how_it_was_found_and_has_a_row_for_each_case():
    lost = {"missing": 1200, "duplicate": 3, "damaged": 0, "foreign": 0}
    said = ['ingest_ship_dropped_lines_total{reason="truncated",source="s"} 1.0', "file is gone"]
    document = {
        "date": "2026-11-28",
        "python": "3.11.7",
        "cpus": 2,
        "kills": 10,
        "versions": {"ingest": "1.0", "other": "8.1"},
        "skipped": {"third": "not installed"},
        "results": [
            result("ingest", said=said, repeats=5),
            result("other", tally=lost, unreadable=200, alive=False),
            result("other", case="s2", title="truncated"),
        ],
    }

    text = table(json.loads(json.dumps(document)))

    assert "2026-11-28" in text
    assert "ingest 1.0, other 8.1" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| s")]
    assert rows == [
        [
            "s1",
            "renamed",
            "2,000",
            "0 / 0 · 5 repeats that the sink drops",
            "1,200 / 3 · 200 of them in no file any more · it had ended",
            "`ingest_ship_dropped_lines_total truncated`; `file is gone`",
        ],
        ["s2", "truncated", "2,000", "", "0 / 0", ""],
    ]
    assert "third took no part: not installed." in text
