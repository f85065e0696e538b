"""Lines and events however the bytes are divided, against a slow reader that takes one line after the other."""

import codecs
import re
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.api import Flag, Stream
from ingest.lines import Assembler, Framing, split_lines
from tests.builders.sources import values

STREAM = Stream(7, "here", "app.log", "in")
HOLE = 16
MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16le": codecs.BOM_UTF16_LE, "utf-16be": codecs.BOM_UTF16_BE}
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass
class Line:
    """One line, or an event of several. `start`, `end`: bytes of the stream, newline included."""

    start: int
    end: int
    length: int
    text: bytes
    hole: bool
    partial: bool


def lines_of(data, framing):
    """Cut the stream at its newlines."""
    width, newline = (2, "\n".encode(framing.encoding)) if framing.encoding.startswith("utf-16") else (1, b"\n")
    mark = MARKS.get(framing.encoding, b"")
    start = at = len(mark) if data.startswith(mark) else 0
    while start < len(data):
        while at < len(data) and data[at : at + width] != newline:
            at += width
        stop, partial = min(at, len(data)), at >= len(data)
        raw = data[start:stop]
        text = raw if framing.encoding == "utf-8" else raw.decode(framing.encoding, "replace").encode()
        text = text.replace(b"\n", REPLACEMENT)
        length = stop - start
        rest = text.lstrip(b"\0")
        hole = len(text) - len(rest) >= HOLE
        if hole:
            text, length = rest, length - width * (len(text) - len(rest))
        end = stop if partial else at + width
        yield Line(start, end, length, text, hole, partial)
        start = at = end


def events_of(lines, framing):
    """Join lines; a partial one that is nothing but a hole is none."""
    events = []
    for line in lines:
        if line.partial and line.hole and not line.text:
            continue
        goes_on = bool(events) and framing.multiline and not line.hole
        if framing.begins:
            goes_on = goes_on and not re.search(framing.begins.encode(), line.text)
        if framing.continues:
            goes_on = goes_on and bool(re.search(framing.continues.encode(), line.text))
        if goes_on and len(events[-1].text) + 1 + len(line.text) <= framing.max_line:
            last = events[-1]
            joined = last.text + b"\n" + line.text
            events[-1] = replace(last, end=line.end, text=joined, partial=line.partial)
        else:
            events.append(line)
    return events


def expected(data, framing):
    """Return (start, end, value, flag) of each record."""
    sent, found = 0, []
    for event in events_of(lines_of(data, framing), framing):
        text = cut(event.text, framing.max_line)
        long = text != event.text
        if framing.include and not any(re.search(each.encode(), text) for each in framing.include):
            continue
        if any(re.search(each.encode(), text) for each in framing.exclude) or (framing.drop_empty and not text):
            continue
        names = (*(("truncated",) if long else ()), *(("partial",) if event.partial else ()))
        found.append((sent, event.end, text, Flag(names, event.length if long else None) if names else None))
        sent = event.end
    return found


def cut(text, length):
    if len(text) <= length:
        return text
    for back in range(4):
        if length > back and text[length - back] & 0xC0 != 0x80:
            return text[: length - back]
    return text[:length]


def found(blocks):
    return [
        (int(block.positions[row]), int(block.positions[row + 1]), value, block.flags.get(row))
        for block in blocks
        for row, value in enumerate(values(block))
    ]


PIECES = [
    "\n",
    "\n",
    "a",
    "  at x",
    "2026 begin",
    "Caused by: y",
    "é€🙂",
    "\r\n",
    "z" * 25,
    "\0" * 40,
    "\0",
    "DEBUG",
    "\ufeff",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
FRAMINGS = st.builds(
    Framing,
    max_line=st.sampled_from([20, 64, 1000]),
    drop_empty=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-16le", "utf-16be", "latin-1", "gb18030", "shift_jis"]),
    begins=st.just(""),
    continues=st.just(""),
    include=st.sampled_from([(), (), ("a", "2026"), ("é",)]),
    exclude=st.sampled_from([(), (), ("DEBUG",), ("^Z", "zz")]),
)
EVENTS = st.sampled_from([{}, {}, {"begins": "^2026"}, {"continues": r"^(?:[ \t]|Caused by:)"}])


def encoded(text, encoding, rubbish):
    data = text.encode(encoding, "replace")
    return data + rubbish


@settings(max_examples=600, deadline=None)
@given(
    text=TEXTS, framing=FRAMINGS, events=EVENTS, places=st.lists(st.integers(0, 4000)), rubbish=st.binary(max_size=3)
)
def test_records_are_those_of_the_slow_reader_however_the_bytes_come(text, framing, events, places, rubbish):
    framing = replace(framing, **events)
    data = encoded(text, framing.encoding, rubbish)
    assembler = Assembler(framing)
    blocks = []
    for begin, end in pairwise([0, *sorted(place % (len(data) + 1) for place in places), len(data)]):
        blocks += assembler.feed(STREAM, data[begin:end])
    blocks += assembler.feed(STREAM, b"", closing=True)

    assert found(blocks) == expected(data, framing)
    assert assembler.position == len(data)


@settings(max_examples=600, deadline=None)
@given(text=TEXTS, framing=FRAMINGS, events=EVENTS, chunk=st.integers(1, 400))
def test_reading_may_begin_again_wherever_it_stood(text, framing, events, chunk):
    """As a file is read: a chunk from the position, which stays at the first byte of what is held back."""
    framing = replace(framing, **events)
    data = encoded(text, framing.encoding, b"")
    position = sent = 0
    records = []
    closing = False
    while position < len(data) and not closing:
        size = max(chunk, framing.span + framing.width)
        before = min(position, 8)
        buffer = data[position - before : position + size]
        closing = position + size >= len(data)
        lines = split_lines(buffer, before, position, sent, framing, closing)
        if lines.end == position:  # an over-long line is the business of `long_line`
            return
        records += [
            (int(lines.positions[row]), int(lines.positions[row + 1]), lines.data[start:end], lines.flags.get(row))
            for row, (start, end) in enumerate(zip(lines.starts, lines.ends, strict=True))
        ]
        position, sent = lines.end, int(lines.positions[-1])

    assert records == expected(data, framing)
