"""The file source with other lines than those that a newline ends: events, encodings, filters, holes."""

import pytest

from ingest.api import Flag, MultilineOptions
from tests.builders.sources import all_values
from tests.builders.tail import MAX_LINE, Tail

JAVA = MultilineOptions(preset="java")
TRACE = b"2026 ERROR no\njava.lang.Boom: x\n\tat a.B\nCaused by: y\n    at c.D\n"


@pytest.fixture
def tail(tmp_path):
    made = []

    def start(**options):
        made.append(Tail(tmp_path, **options))
        return made[-1]

    yield start
    for each in made:
        each.source.close()


def starts(blocks):
    return [int(block.positions[row]) for block in blocks for row in range(block.rows)]


def test_a_traceback_is_one_event_however_it_is_written(tail):
    tail = tail(multiline=JAVA)
    written = b""
    got = []
    for byte in range(0, len(TRACE), 7):
        tail.write("app.log", TRACE[byte : byte + 7])
        written += TRACE[byte : byte + 7]
        got += tail.poll(1)
    tail.write("app.log", b"2026 INFO next\n")
    got += tail.poll(1)

    assert all_values(got) == [b"2026 ERROR no", TRACE.split(b"\n", 1)[1][:-1]]
    assert starts(got) == [0, 14]
    assert all_values(tail.poll(6)) == [b"2026 INFO next"]


def test_the_last_event_goes_out_after_the_timeout_and_its_end_is_kept_over_a_restart(tail):
    tail = tail(multiline=JAVA)
    tail.write("app.log", b"one\n\tat x\n")
    assert [*tail.poll(1), *tail.poll(4)] == []
    (block,) = tail.poll(2, acknowledge=False)
    assert (all_values([block]), block.boundary, block.flags) == ([b"one\n\tat x"], True, {})
    tail.expect(block)

    tail.write("app.log", b"\tat late\ntwo\n")
    tail.start()
    assert all_values(tail.poll(1)) == [b"one\n\tat x", b"\tat late"]
    assert all_values(tail.poll(6)) == [b"two"]


def test_a_timeout_does_not_divide_a_line(tail):
    tail = tail(multiline=JAVA)
    tail.write("app.log", b"one\n\tat ha")
    assert all_values([*tail.poll(1), *tail.poll(10)]) == [b"one"]
    tail.write("app.log", b"lf\n")
    assert all_values([*tail.poll(1), *tail.poll(10)]) == [b"\tat half"]


def test_a_restart_in_the_middle_of_an_event_begins_it_again(tail):
    tail = tail(multiline=JAVA)
    tail.write("app.log", b"one\ntwo\n\tat x\n")
    assert all_values(tail.poll(1)) == [b"one"]
    tail.start()
    tail.write("app.log", b"\tat y\nthree\n")
    got = tail.poll(1)
    assert (all_values(got), starts(got)) == ([b"two\n\tat x\n\tat y"], [4])


def test_events_of_two_files_are_never_mixed(tail):
    tail = tail(multiline=JAVA)
    for _ in range(3):
        for name in ("a.log", "b.log"):
            tail.write(
                name,
                name.encode() + b"\n" if not (tail.directory / name).exists() else b"\tat " + name.encode() + b"\n",
            )
            assert tail.poll(1) == []
    got = all_values(tail.poll(10))
    assert sorted(got) == [b"a.log\n\tat a.log\n\tat a.log", b"b.log\n\tat b.log\n\tat b.log"]


def test_the_last_event_of_a_rotated_file_goes_out(tail):
    tail = tail(multiline=JAVA)
    tail.write("app.log", b"one\n\tat x\n")
    assert tail.poll(1) == []
    (tail.directory / "app.log").rename(tail.directory / "app.log.1")
    tail.write("app.log", b"two\nthree\n")
    got = all_values([*tail.poll(1), *tail.poll(6), *tail.poll(1)])
    assert sorted(got) == [b"one\n\tat x", b"three", b"two"]


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-16", "utf-16"), ("utf-16be", "utf-16-be"), ("latin-1", "latin-1")]
)
def test_other_encodings_become_utf_8_and_positions_stay_bytes_of_the_file(tail, encoding, text):
    tail = tail(encoding=encoding)
    data = "größe\nzwei\n".encode(text)
    for byte in range(len(data)):
        tail.write("app.log", data[byte : byte + 1])
        tail.poll(0.2)
    tail.start()
    tail.write("app.log", "drei\n".encode(text.replace("utf-16", "utf-16-le") if text == "utf-16" else text))
    got = tail.poll(1)
    assert all_values(got) == [b"drei"]
    assert starts(got) == [len(data)]
    assert tail.everything() == ["größe".encode(), b"zwei", b"drei"]


def test_a_hole_is_left_out_and_counted_once(tail):
    tail = tail()
    tail.write("app.log", b"one\n")
    tail.poll(1)
    with (tail.directory / "app.log").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"two\n")
    got = tail.poll(1)
    assert all_values(got) == [b"two"]
    assert starts(got)[-1] == 4
    assert sum(block.dropped.get("hole", 0) for block in got) == 1


def test_filtered_lines_move_the_position(tail):
    tail = tail(exclude_lines=["^DEBUG"], include_lines=["o"])
    tail.write("app.log", b"DEBUG one\n" * 100)
    (block,) = tail.poll(1)
    assert (block.rows, block.end, block.dropped) == (0, 1000, {"excluded": 100})
    tail.start()
    tail.write("app.log", b"xyz\nfoo\n")
    got = tail.poll(1)
    assert (all_values(got), starts(got)) == ([b"foo"], [0])


def test_an_overlong_line_that_is_not_wanted_is_no_record(tail):
    tail = tail(exclude_lines=["^DEBUG"])
    tail.write("app.log", b"DEBUG " + b"x" * 3_000_000)
    tail.poll(1)
    tail.write("app.log", b"\nok\n")
    got = [*tail.poll(1), *tail.poll(1)]
    assert all_values(got) == [b"ok"]


def test_changed_filters_begin_a_new_generation(tail):
    first = tail(exclude_lines=["^DEBUG"])
    first.write("app.log", b"DEBUG 1\nA\n")
    assert all_values(first.poll(1)) == [b"A"]
    second = tail()
    second.entries, second.begun = first.entries, 5
    second.start()
    second.poll(1)
    second.write("app.log", b"DEBUG 2\n")
    got = [*second.poll(1), *second.poll(1)]
    assert all_values(got) == [b"DEBUG 2"]
    assert got[-1].stream.generation != next(iter(first.entries))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"encoding": "utf-17"}, "utf-17"),
        ({"encoding": "utf-32"}, "newline"),
        ({"encoding": "utf-7"}, "newline"),
        ({"include_lines": ["(?=x)"]}, "RE2"),
        ({"exclude_lines": ["("]}, "RE2"),
        ({"multiline": {"begins": "("}}, "RE2"),
        ({"multiline": {}}, "exactly one"),
        ({"multiline": {"begins": "a", "preset": "java"}}, "exactly one"),
    ],
)
def test_what_can_not_be_used_is_refused(tail, options, word):
    if "multiline" in options:
        with pytest.raises(ValueError, match=word):
            tail(multiline=MultilineOptions(**options["multiline"]))
    else:
        with pytest.raises(ValueError, match=word):
            tail(**options)


def test_python_tracebacks_are_one_event(tail):
    tail = tail(multiline=MultilineOptions(preset="python"))
    trace = (
        b"2026 ERROR failed\nTraceback (most recent call last):\n  File \"x\", line 1\n    f()\nKeyError: 'a'\n\n"
        b"During handling of the above exception, another exception occurred:\n\n"
        b'Traceback (most recent call last):\n  File "x", line 2\nmy.module.OtherError\n'
    )
    tail.write("app.log", trace + b"2026 INFO on\n2026 INFO and on\n")
    assert all_values(tail.poll(1)) == [trace[:-1], b"2026 INFO on"]


def test_an_event_that_grows_too_long_is_divided_between_lines(tail):
    tail = tail(multiline=JAVA)
    tail.write("app.log", b"begin\n" + b"\tat %s\n" % (b"x" * 300) * 9 + b"end\n")
    got = tail.poll(1)
    values = all_values(got)
    assert len(values) == 3
    assert max(map(len, values)) <= MAX_LINE
    assert b"\n".join(values) == b"begin\n" + b"\n".join([b"\tat " + b"x" * 300] * 9)
    assert got[0].flags == {}


def test_a_long_line_in_utf_16_is_cut_and_its_neighbours_are_whole(tail):
    tail = tail(encoding="utf-16le")
    tail.write("app.log", ("a\n" + "ü" * 900_000 + "\nb\n").encode("utf-16-le"))
    got = [*tail.poll(1), *tail.poll(1)]
    values = all_values(got)
    assert values == [b"a", "ü".encode() * 500, b"b"]
    flags = [flag for block in got for flag in block.flags.values()]
    assert flags == [Flag(("truncated",), 1_800_000)]
