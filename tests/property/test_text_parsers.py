"""The fast way of each parser of texts against its slow one: equal on usual, odd, damaged and hostile lines."""

from __future__ import annotations

import pyarrow as pa
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.connectors.parsers.clf import ClfParser
from ingest.connectors.parsers.csv import CsvParser
from ingest.connectors.parsers.logfmt import LogfmtParser
from ingest.connectors.parsers.logfmt_template import LogfmtShapes
from ingest.connectors.parsers.regex import NO_MATCH, RegexParser
from ingest.connectors.parsers.syslog import SyslogParser
from tests.builders.parsing import facts, parse, slow

DAMAGE = [b"", b"", b'"', b"\\", b'\\"', b"\0", b"\xff", b"\xc3", b" ", b"  ", b"\t", b"\r", b"\n", b"-", b"[", b"]"]
DAMAGE += [b'""', b'" "', b"=", b",", b":", b"<", b">", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"0x10", b"nan", b"1.5"]
HOSTILE = st.one_of(
    st.none(),
    st.sampled_from([b"", b" ", b"-", b'"', b'""', b"=", b"\xff", b"\0", b"\xef\xbb\xbf", b"\r", b"\n", b"a" * 5000]),
    st.binary(max_size=12),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@st.composite
def damaged(draw: st.DrawFn, lines: st.SearchStrategy[str]) -> bytes:
    """A line, most often whole, else cut off or with something in a place of it."""
    line = draw(lines).encode("utf-8", "surrogatepass")
    kind = draw(st.integers(0, 7))
    at = draw(st.integers(0, len(line))) if kind < 3 else 0
    if kind == 0:
        return line[:at]
    if kind < 3:
        return line[:at] + draw(st.sampled_from(DAMAGE)) + line[at + draw(st.integers(0, 2)) :]
    return line


def blocks(lines: st.SearchStrategy[str]) -> st.SearchStrategy[list[bytes | None]]:
    """Few lines, or so many that every way that needs many is taken."""
    good = lines.map(lambda line: line.encode("utf-8", "surrogatepass"))
    mixed = st.lists(st.one_of(damaged(lines), damaged(lines), good, HOSTILE), max_size=12)
    many = st.tuples(st.lists(good, min_size=1, max_size=4), mixed).map(lambda both: both[0] * 170 + both[1] + both[0])
    return mixed | mixed | mixed | mixed | many


def words(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


def assert_alike(parser, block, **more):
    assert facts(parse(parser, block, **more)) == facts(parse(slow(parser), block, **more))


# ── clf ──────────────────────────────────────────────────────────────────────

TIMES = ["10/Oct/2000:13:55:36 -0700", "29/Feb/2024:23:59:59 +0545", "01/Jan/0001:00:00:00 +0000"]
TIMES += [
    "29/Feb/2023:00:00:00 +0000",
    "31/Dec/9999:23:59:59 -0001",
    "01/Jan/0001:00:00:00 +0001",
    "10/oct/2000:13:55:36 -0700",
]
TIMES += [
    "10/Oct/2000:13:55:60 +0000",
    "10/Oct/2000:13:55:36 +2400",
    "10/Oct/2000:13:55:36 ~0700",
    "1/Oct/2000:13:55:36 +0000",
    "-",
]
TIMES += ["é/Oct/2000:13:55:36 -0700", "10/Oct/2000 13:55:36 -0700", "٣0/Oct/2000:13:55:36 +070"]
REQUESTS = [
    "GET / HTTP/1.1",
    "POST /a?b=c&d=%20 HTTP/2.0",
    "-",
    "",
    "GET",
    "GET /",
    "GET / HTTP/1.1 x",
    " GET / HTTP/1.1",
]
REQUESTS += ["GET  HTTP/1.1", "GET / ", r"\x16\x03", r"GET /\"a\" HTTP/1.1", "GET /\t HTTP/1.1", "- - -"]
AGENTS = ["-", "", "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64) Firefox/121.0", r"a \"b\" c", "é", " ", "a\\"]


@st.composite
def clf_lines(draw: st.DrawFn) -> str:
    head = " ".join(
        draw(words("127.0.0.1", "::1", "-", "host", "-", "frank", "", "é", "[", "a b", "a, b")) for _ in range(3)
    )
    time, request = draw(st.sampled_from(TIMES[:3]) | st.sampled_from(TIMES)), draw(st.sampled_from(REQUESTS))
    status, size = draw(words("200", "404", "-", "2147483648", "1.5", "")), draw(words("0", "2326", "-", "007", "0x10"))
    line = f'{head} [{time}] "{request}" {status} {size}'
    if draw(st.booleans()):
        line += f' "{draw(st.sampled_from(AGENTS))}" "{draw(st.sampled_from(AGENTS))}"'
    return line + draw(words("", "", "", ' "-"', " -", " x y", ' "a" 0.1', " ", "\r", ' "', " \r"))


@st.composite
def usual_clf_lines(draw: st.DrawFn) -> str:
    user, time, size = draw(words("-", "frank")), draw(st.sampled_from(TIMES[:2])), draw(words("-", "17"))
    more = draw(words("", ' "-" "curl"', ' "http://a/b" "Mozilla (X11; Linux)"', ' "-" "-" "10.0.0.1"'))
    return f'10.1.2.3 - {user} [{time}] "GET /a HTTP/1.1" 200 {size}{more}'


@settings(max_examples=400, deadline=None)
@given(blocks(clf_lines() | usual_clf_lines()))
@example([b'a b c [10/Oct/2000:13:55:36 -0700] "GET / H" 1 2 "a" "b"c"'])
@example(
    [b'a b c [10/Oct/2000:13:55:36 -0700] "GET / H" 1 2 "a" "b""', b'a b c [10/Oct/2000:13:55:36 -0700] "GET / H" 1 2']
)
def test_clf(block):
    assert_alike(ClfParser(ClfParser.Options()), block)


# ── csv ──────────────────────────────────────────────────────────────────────

CELLS = [
    "",
    "",
    "a",
    "b c",
    "1",
    "007",
    "1.5",
    "0x10",
    "nan",
    "-",
    "NULL",
    '""',
    '"a"',
    '"a,b"',
    '"a""b"',
    '"',
    'a"b',
    "é",
]
CELLS += [
    '"a"b',
    ' "a"',
    '"a" ',
    "\r",
    "\n",
    '"\n"',
    '"\r"',
    "2026-11-23T01:02:03Z",
    "99999999999999999999",
    "true",
    "x",
    "n",
    "t",
]
USUAL_CELLS = words("", "a", "b c", '"a, b"', '"a"', '""', "-", "5", "17")


def csv_lines(delimiter: str) -> st.SearchStrategy[str]:
    cells = st.sampled_from(CELLS)
    usual = st.tuples(USUAL_CELLS, words("", "1", "17", '"5"', "-"), words("", "2026-11-23", '"1700000000.5"'))
    ends = words("", "", "", "\r", "\r\r", "\n")
    lines = st.lists(cells, max_size=5) | st.lists(cells, min_size=3, max_size=3) | usual | usual
    return st.tuples(lines, ends).map(lambda line: delimiter.join(line[0]) + line[1])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([",", ";", " ", "\t"]).flatmap(lambda each: st.tuples(st.just(each), blocks(csv_lines(each)))))
@example((",", [b'"a,b,c"', b'a",b,"c']))
@example((",", [b"x,n,t", b"\xef\xbb\xbfx,n,t", b'\xef\xbb\xbf"x",n,t']))
@example((",", [b'a,1,"', b'"a,1,2026-11-23', b'x,"1",']))
def test_csv(case):
    delimiter, block = case
    options = CsvParser.Options(fields=["x", "n", "t"], schema={"n": "int64", "t": "timestamp"}, delimiter=delimiter)
    assert_alike(CsvParser(options), block)


@settings(max_examples=200, deadline=None)
@given(blocks(csv_lines(",")))
def test_csv_with_other_nulls(block):
    assert_alike(CsvParser(CsvParser.Options(fields=["x"], nulls=("-", "NULL"), quote="a")), block)


# ── regex ────────────────────────────────────────────────────────────────────

PATTERNS = {
    r"^(?P<n>\S+) (?P<t>\S*)(?: (?P<s>.*))?$": {"n": "int64", "t": "timestamp"},
    r"(?P<s>a+)|(?P<n>[0-9]+)": {"n": "int8"},
    r"(?s)^(?P<s>.*)$": {"s": "binary"},
    r"(?i)n=(?P<n>[^ ]*)": {"n": "double"},
    r"(?P<s>)": {},
}
REGEX_WORDS = [
    "1",
    "7.0",
    "1.5",
    "0x10",
    "n=2",
    "N=nan",
    "a",
    "aa",
    "é",
    "",
    "\n",
    "\r",
    "1700000000",
    "2026-11-23T01:02:03Z",
]
REGEX_LINES = st.lists(st.sampled_from(REGEX_WORDS), max_size=4).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(blocks(REGEX_LINES), st.sampled_from(list(PATTERNS)))
def test_regex(block, pattern):
    parser = RegexParser(RegexParser.Options(pattern=pattern, schema=PATTERNS[pattern]))
    assert_alike(parser, block)


@settings(max_examples=300, deadline=None)
@given(blocks(REGEX_LINES), st.sampled_from(list(PATTERNS)))
def test_regex_finds_what_re2_itself_finds(block, pattern):
    parser = RegexParser(RegexParser.Options(pattern=pattern))
    parsed = parse(parser, block)
    rows = dict(zip(parsed.rows.tolist(), parsed.table.to_pylist(), strict=True))
    reasons = dict(zip(parsed.rejects.tolist(), parsed.reasons, strict=True))
    compiled = re2.compile(pattern)
    for number, value in enumerate(block):
        try:
            text = (value or b"").decode()
        except UnicodeDecodeError:
            continue
        if not text:
            continue
        match = compiled.search(text)
        if match is None:
            assert reasons[number] == NO_MATCH
        else:
            assert rows[number] == {name: group or None for name, group in match.groupdict().items()}


# ── logfmt ───────────────────────────────────────────────────────────────────

KEYS = ["s", "n", "t", "b", "u", "x.y", "é", "rest", "N", "a-b", "k\\", "max"]
VALUES = r"""
a¦a=b¦/x?q=1&r=2¦a"b¦a\b¦C:\dir\¦é¦-¦true¦1¦007¦1.5¦0x10¦=¦==¦"a"¦""¦"a b"¦"a=b c=d"¦"say \"hi\""¦"\u00e9\n"¦"\x"
"\ud83d\ude00"¦"\ud800"¦"a¦"¦a"¦"a"b¦2026-11-23¦"\\"¦" n=1"¦"1"¦"2026-11-23T01:02:03.1234567Z"¦"\/\b"¦"="¦"
"\a\x41"¦"\xc3\xa9\v"¦"\xff"¦"\U0001f600"¦\x41
"""
VALUES = ["", '"\t"', "\x7f", "\u00a0", *VALUES.strip().replace("\n", "¦").split("¦")]
FITTING = {
    "s": words("a", "b c", '"two words"', '"say \\"hi\\""', '"\\u00e9"', "/x?q=1", "", '""', 'a"b'),
    "n": words("1", "-7", "12", '"5"', ""),
    "t": words("2026-11-23T01:02:03Z", '"2026-11-23 01:02:03"', "1700000000"),
    "b": words("true", "False"),
}


@st.composite
def logfmt_lines(draw: st.DrawFn) -> str:
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=5, unique=draw(st.booleans())))
    pairs = [key if draw(st.integers(0, 9)) == 0 else f"{key}={draw(st.sampled_from(VALUES))}" for key in keys]
    return (
        draw(words("", "", "", " ", "="))
        + draw(words(" ", " ", " ", "  ", "\t")).join(pairs)
        + draw(words("", "", "", " ", "\r", "\\"))
    )


@st.composite
def usual_logfmt_blocks(draw: st.DrawFn) -> list[bytes | None]:
    """Lines of one or two shapes."""
    shapes = st.lists(st.sampled_from([*FITTING, "u", "x.y"]), min_size=1, max_size=4, unique=True)
    some = draw(st.lists(shapes, min_size=1, max_size=2))
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        values = [(key, draw(FITTING.get(key, st.sampled_from(VALUES)))) for key in draw(st.sampled_from(some))]
        lines.append(" ".join(f"{key}={value}" for key, value in values))
    return [draw(damaged(st.just(line))) for line in lines]


LOGFMT_BLOCKS = st.one_of(usual_logfmt_blocks(), usual_logfmt_blocks(), blocks(logfmt_lines()))
LOGFMT = {"s": "string", "n": "int64", "t": "timestamp", "b": "bool"}


def logfmt(**options) -> LogfmtParser:
    made = LogfmtParser(LogfmtParser.Options(**options))
    made.shapes = LogfmtShapes(1, 1)
    return made


@settings(max_examples=500, deadline=None)
@given(LOGFMT_BLOCKS, words("rest", "drop", "quarantine"))
@example([b'u="a"b" n=1', b'u="a" n=2', b'u=" n=3'], "drop")
@example([b'u=a" n=1', b'u="a" n=2', b"u=a\\ n=1", b"u=a\\"], "rest")
@example([b"a= n=1", b"a=b n=2", b"a= n="], "rest")
def test_logfmt(block, unknown):
    assert_alike(logfmt(schema=LOGFMT, unknown=unknown), block)


@settings(max_examples=300, deadline=None)
@given(LOGFMT_BLOCKS)
def test_logfmt_without_a_schema(block):
    parser, schema = logfmt(max_columns=4), pa.schema([])
    for _ in range(3):
        assert_alike(parser, block, schema=schema)
        new = parse(parser, block, schema=schema).new_columns
        if not new:
            return
        schema = pa.schema([*schema, *new])
    raise AssertionError("new columns without end")


@settings(max_examples=150, deadline=None)
@given(st.lists(LOGFMT_BLOCKS, min_size=2, max_size=3), words("rest", "drop", "quarantine"))
def test_what_was_learned_of_logfmt_before_changes_nothing(several, unknown):
    parser = logfmt(schema=LOGFMT, unknown=unknown)
    for block in several:
        assert_alike(parser, block)


# ── syslog ───────────────────────────────────────────────────────────────────

PRIORITIES = words("<13>", "<13>", "<191>", "<0>", "<00>", "<192>", "<013>", "<1>>", "<a>", "<>", "<", "<13", "")
ISO_TIMES = words(
    "2026-11-23T01:02:03Z", "2026-11-23T01:02:03.1234567+05:45", "2026-02-30T01:02:03Z", "-", "2026-11-23T01:02:03"
)
LOCAL_TIMES = [
    "Nov 23 01:02:03",
    "Nov  3 23:59:59",
    "Feb 29 00:00:00",
    "Oct 25 02:30:00",
    "Mar 29 02:30:00",
    "Dec 31 23:59:59",
]
LOCAL_TIMES += [
    "Nov 31 01:02:03",
    "Nov  0 01:02:03",
    "nov 23 01:02:03",
    "Nov 23 24:00:00",
    "Nov 2  01:02:03",
    "Nov 23 01:02:60",
]
LOCAL_TIMES += [
    "2026-11-23T01:02:03Z",
    "2026-11-23T01:02:03.5-08:00",
    "2026-11-23T01:02:03",
    "2026-11-23T01",
    "2026-11-23t01:02:03Z",
]
LOCAL_TIMES += ["Jan  1 00:00:01", "Jan  1 00:00:01 2026", "Feb 29 00:00:00 1999", "Dec 31 23:59:59 9999"]
TOKENS = words(
    "a",
    "web-1",
    "-",
    "su[77]:",
    "su:",
    "2026",
    "é",
    "1",
    "",
    "[",
    "]",
    ":",
    "a[b]c[1]:",
    "a]b[1]:",
    "-[-]:",
    "a[:",
    "[1]:",
    "x[]:",
)
TAILS = [
    "",
    " ",
    "-",
    "- ",
    "- x",
    "-  x",
    "- \ufeffx",
    "-x",
    "[a]",
    "[a] ",
    "[a] x",
    '[a b="c d"] x',
    '[a b="]"] x',
    '[a b="\\""][c] \ufeff\ufeffx',
]
TAILS += [
    "[]",
    "[a",
    "[a]x",
    '[a b="c] x',
    "[a b] x",
    '[a  b="c"]',
    "message",
    "- x\n",
    "[a] x\ny",
    '[a b="\n"]',
    "- -",
    "-\r",
]
MOMENTS = [
    -1,
    -5,
    0,
    1_795_395_600_000,
    1_771_995_600_000,
    1_709_164_800_000,
    1_798_761_598_000,
    253_370_764_799_999,
    253_370_764_800_000,
    1 << 62,
]


@st.composite
def syslog_lines(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        header = [draw(ISO_TIMES), *(draw(TOKENS) for _ in range(draw(st.sampled_from([4, 4, 4, 4, 3, 5]))))]
        return (
            f"{draw(PRIORITIES)}{draw(words('1', '1', '1', '2', ''))} {' '.join(header)} {draw(st.sampled_from(TAILS))}"
        )
    body, end = " ".join(draw(st.lists(TOKENS, max_size=4))), draw(words("", "", " ", "\r"))
    return f"{draw(PRIORITIES | st.just(''))}{draw(st.sampled_from(LOCAL_TIMES))} {body}{end}"


@st.composite
def usual_syslog_lines(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        tail = draw(words("- hello world", "-", '[a@1 b="c"] hello', "[x] \ufeffy"))
        return f"<{draw(st.integers(0, 191))}>1 {draw(ISO_TIMES)} web-1 su {draw(words('77', '-'))} ID47 {tail}"
    tag = draw(
        words("su[77]: hello", "kernel: [12.5] x", "no tag", "su:", "kernel: su[77]: x", "CRON[1]: (root) CMD (x)")
    )
    time, host = draw(st.sampled_from(LOCAL_TIMES[:6] + LOCAL_TIMES[12:14])), draw(words("web-1 ", "web-1 ", ""))
    return f"{draw(words('', '<13>', '<165>'))}{time} {host}{tag}"


@settings(max_examples=500, deadline=None)
@given(
    blocks(syslog_lines() | usual_syslog_lines()),
    words("UTC", "Europe/Berlin", "America/St_Johns"),
    st.lists(st.sampled_from(MOMENTS), min_size=1, max_size=5),
)
@example([b"<13>", b"1 - - - - - -"], "UTC", [-1])
@example([b"<13>1", b" - - - - - -"], "UTC", [-1])
@example([b"Nov 23 01:02:03 ", b"web su: x"], "UTC", [0])
def test_syslog(block, zone, moments):
    given_moments = [moments[row % len(moments)] for row in range(len(block))]
    assert_alike(SyslogParser(SyslogParser.Options(zone=zone)), block, moments=given_moments)
