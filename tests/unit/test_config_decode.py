import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest

from ingest.config.decode import decode
from ingest.config.keys import hint, parse_key, toml_key, toml_value
from ingest.config.lines import Lines
from ingest.config.problems import ConfigErrors
from ingest.errors import ConfigError
from ingest.options import Duration, Options, Secret, Size, option


class Inner(Options):
    age: Annotated[Duration | None, option("Age.", ge=1, le=60)] = None
    low: Annotated[int, option("Low.")] = 0
    high: Annotated[int, option("High.")] = 1

    def __post_init__(self):
        if self.low > self.high:
            raise ConfigError("low", "must not be above high")
        if self.high > 99:
            raise ValueError("too high")


class Table(Options):
    inner: Annotated[Inner, option("Nested.")] = msgspec.field(default_factory=Inner)
    many: Annotated[dict[str, Inner], option("By name.")] = {}
    ratio: Annotated[float, option("Ratio.")] = 0.5
    size: Annotated[Size, option("Size.", le=1024)] = Size(1)
    day: Annotated[datetime.date, option("Day.")] = datetime.date(2000, 1, 1)
    mode: Annotated[Literal["a", "b", 3], option("Mode.")] = "a"
    secret: Annotated[Secret | None, option("Secret.")] = None
    files: Annotated[tuple[str, ...], option("Files.", absolute=True)] = ()
    anything: Annotated[Any, option("Anything.")] = None
    either: Annotated[list[int] | bool, option("Either.")] = False


def problems_of(data, key=""):
    with pytest.raises(ConfigErrors) as caught:
        decode(Table, data, key)
    return {error.key: error.problem for error in caught.value.errors}


def test_values_become_what_their_types_say():
    table = decode(
        Table,
        {
            "inner": {"age": "1m"},
            "many": {"x": {"low": 1}},
            "ratio": 1,
            "size": "1KiB",
            "day": datetime.date(2026, 11, 23),
            "mode": 3,
            "secret": "s",
            "files": ["/a"],
            "anything": [1, {}],
            "either": [1],
        },
    )

    assert table.inner == Inner(age=Duration(60))
    assert (table.many["x"].low, table.ratio, table.size, table.mode, table.files) == (1, 1.0, 1024, 3, ("/a",))
    assert isinstance(table.ratio, float)
    assert isinstance(table.secret, Secret)
    assert decode(Table, {"day": "2026-11-23"}).day == table.day


@pytest.mark.parametrize(
    ("data", "key", "problem"),
    [
        ({"inner": {"age": "2m"}}, "t.inner.age", 'must be at most 1m, got "2m"'),
        ({"inner": {"age": "500ms"}}, "t.inner.age", 'must be at least 1s, got "500ms"'),
        ({"inner": {"low": 2}}, "t.inner.low", "must not be above high"),
        ({"inner": {"high": 100}}, "t.inner", "too high"),
        ({"many": {"a.b": {"hihg": 1}}}, 't.many."a.b".hihg', "unknown key; did you mean `high`?"),
        ({"many": [1]}, "t.many", "expected a table, got a list"),
        ({"ratio": "1"}, "t.ratio", 'expected a number, got "1"'),
        ({"ratio": True}, "t.ratio", "expected a number, got true"),
        ({"size": "2KiB"}, "t.size", "must be at most 1KiB"),
        ({"size": 5}, "t.size", 'expected a size such as "512B", "64KiB", "1MiB" or "10MB", got 5'),
        ({"day": datetime.datetime(2000, 1, 1)}, "t.day", "expected a date such as"),  # noqa: DTZ001
        ({"mode": "c"}, "t.mode", 'expected one of "a", "b", 3, got "c"'),
        ({"mode": True}, "t.mode", "got true"),
        ({"secret": 12345}, "t.secret", "expected a string"),
        ({"files": ["/a", "b"]}, "t.files[1]", "must be an absolute path"),
        ({"either": "x" * 100}, "t.either", "expected a list of whole numbers or true or false, got"),
        ({"either": [1, "x"]}, "t.either", "expected a list of whole numbers or true or false, got a list"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(data, key, problem):
    found = problems_of(data, "t")

    assert problem in found[key]
    assert "12345" not in str(found)


def test_all_problems_of_a_table_are_reported():
    assert list(problems_of({"ratio": "x", "nope": 1, "inner": {"low": "y"}})) == ["nope", "inner.low", "ratio"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("sink", "topic", "app-logs", "rotate", "age"), 'sink.topic."app-logs".rotate.age'),
        (("sink", "topic", "a.b"), 'sink.topic."a.b"'),
        (("source", 0, "paths", 12), "source[0].paths[12]"),
        (("labels", 'sp ace"d', "ü"), 'labels."sp ace\\"d"."ü"'),
        ((), ""),
    ],
)
def test_a_key_is_written_as_in_the_file_and_read_back(path, text):
    assert toml_key(path) == text
    assert parse_key(text) == path


@pytest.mark.parametrize(
    ("name", "near"),
    [("paths", "path"), ("Start-At", "start_at"), ("xyz", None), ("START_AT", "start_at")],
)
def test_the_nearest_known_name_is_offered(name, near):
    assert hint(name, ["path", "start_at", "topic"]) == (f"; did you mean `{near}`?" if near else "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (Duration(60), '"1m"'),
        (Size(1024), '"1KiB"'),
        (Secret("x"), '"***"'),
        (5_000_000, "5_000_000"),
        (0.05, "0.05"),
        ({"a b": [1, "é"]}, '{ "a b" = [1, "é"] }'),
        ({}, "{}"),
        (datetime.date(2000, 1, 1), '"2000-01-01"'),
    ],
)
def test_a_value_is_written_as_toml(value, text):
    assert toml_value(value) == text


TEXT = '''\
# a comment with [brackets] and "quotes
top = 1
[a]
x.y = [   # opens ]
  "]", """
not = here
""",
]
z = { deep = { er = 1 } }
[a."b.c"]
'q k' = \'\'\'
[not.a.table]
\'\'\'
"u\\u00e9" = 1
[[s]]
n = 1
[s.t]
m = 1
[[s]]
n = 2
[s.t]
m = 2
[[s.u]]
k = 1
[[s.u]]
k = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "x"), 4),
        (("a", "x", "y", 0), 4),
        (("a", "z", "deep", "er"), 9),
        (("a", "b.c"), 10),
        (("a", "b.c", "q k"), 11),
        (("a", "b.c", "ué"), 14),
        (("a", "b.c", "other"), 10),
        (("s", 0), 15),
        (("s", 0, "n"), 16),
        (("s", 0, "t", "m"), 18),
        (("s", 1, "n"), 20),
        (("s", 1, "t", "m"), 22),
        (("s", 1, "u", 0, "k"), 24),
        (("s", 1, "u", 1, "k"), 26),
        (("nowhere",), None),
    ],
)
def test_a_key_is_found_on_its_line(path, line):
    assert Lines(TEXT).of(path) == line
