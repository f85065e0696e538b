from typing import Annotated

import pyarrow as pa
import pytest

from ingest.api import Options, Parsed, Parser, option
from ingest.config.problems import Problems
from ingest.config.topics import Topics, merge
from ingest.errors import ConfigError, UsageError


class _Plain(Parser[Options]):
    def schema(self):
        return pa.schema([("value", pa.string())])

    def parse(self, values, schema) -> Parsed:
        raise NotImplementedError


class LinesParser(_Plain):
    class Options(Options):
        pass


class FieldsParser(_Plain):
    class Options(Options):
        names: Annotated[list[str], option("Columns.", example=["a"])]
        separator: Annotated[str, option("Between them.")] = ","
        types: Annotated[dict[str, str], option("Types.")] = {}

    def schema(self):
        return pa.schema([(name, pa.string()) for name in self.options.names])


class GreedyParser(_Plain):
    class Options(Options):
        rotate: Annotated[str, option("Clashes.")] = ""


class PickyParser(_Plain):
    class Options(Options):
        pattern: Annotated[str, option("A pattern.")] = ""

    def __init__(self, options):
        super().__init__(options)
        if options.pattern == "(":
            raise ConfigError("pattern", "does not close")
        if options.pattern == ")":
            raise ValueError("it does not open")


class Catalogue:
    """As much of a Registry as topics need."""

    found = {"lines": LinesParser, "fields": FieldsParser, "greedy": GreedyParser, "picky": PickyParser}

    def names(self, kind):
        return sorted(self.found)

    def parser(self, name):
        if name not in self.found:
            raise UsageError(f'no parser "{name}"')
        return self.found[name]

    def partition_path(self, name):
        if name != "daily":
            raise UsageError(f'no partition-path function "{name}"')


def topics(defaults, **overrides):
    return Topics(defaults, overrides, Catalogue())


def defaults_problems(defaults, **overrides):
    problems = Problems()
    topics(defaults, **overrides).check_defaults(problems)
    return {problem.key: problem.text for problem in problems}


def topic_problems(topic, defaults, **overrides):
    with pytest.raises(ConfigError) as caught:
        topics(defaults, **overrides).of(topic)
    return {error.key: error.problem for error in caught.value.errors}


def test_a_topic_without_a_table_takes_the_defaults():
    found = topics({"parser": "lines", "rotate": {"age": "1m"}}).of("any")

    assert (found.topic, found.parser_name) == ("any", "lines")
    assert (found.options.rotate.age, found.options.rotate.idle) == (60, 120)


def test_a_topic_overrides_table_by_table_and_key_by_key():
    found = topics(
        {"parser": "lines", "rotate": {"age": "1m", "rows": 7}, "timezone": "Asia/Kathmandu"},
        a={"rotate": {"age": "2m", "cron": "0 * * * *"}, "parquet": {"compression": "snappy"}},
    ).of("a")

    assert (found.options.rotate.age, found.options.rotate.rows, found.options.rotate.cron) == (120, 7, "0 * * * *")
    assert (found.options.timezone, found.options.parquet.compression) == ("Asia/Kathmandu", "snappy")


def test_options_of_the_parser_stand_beside_those_of_the_topic():
    found = topics({"parser": "fields", "names": ["a", "b"]}, t={"separator": ";"}).of("t")

    assert (found.parser_options.names, found.parser_options.separator) == (["a", "b"], ";")


def test_a_topic_with_another_parser_leaves_behind_what_its_parser_does_not_know():
    tables = topics({"parser": "fields", "names": ["a"], "rotate": {"age": "1m"}}, t={"parser": "lines"})

    assert isinstance(tables.of("t").parser_options, LinesParser.Options)
    assert tables.of("t").options.rotate.age == 60


@pytest.mark.parametrize(
    ("defaults", "override", "merged"),
    [
        ({}, {}, {}),
        ({"parser": "p", "x": 1}, {}, {"parser": "p", "x": 1}),
        ({"parser": "p", "x": 1}, {"parser": "p"}, {"parser": "p", "x": 1}),
        ({"parser": "p", "x": 1, "y": 2}, {"parser": "q"}, {"parser": "q", "y": 2}),
        ({"x": 1, "y": 2}, {"parser": "q"}, {"parser": "q", "y": 2}),
        ({"y": {"a": 1, "b": 2}}, {"y": {"b": 3, "c": {}}}, {"y": {"a": 1, "b": 3, "c": {}}}),
        ({"y": [1, 2]}, {"y": [3]}, {"y": [3]}),
        ({"y": {"a": 1}}, {"y": 4}, {"y": 4}),
        (
            {"parquet": {"compression": "zstd", "level": 9, "row_group": 5}},
            {"parquet": {"compression": "snappy"}},
            {"parquet": {"compression": "snappy", "row_group": 5}},
        ),
    ],
)
def test_merging(defaults, override, merged):
    assert merge(defaults, override, frozenset({"y", "parser", "parquet"})) == merged


def test_an_empty_field_takes_the_kafka_timestamp_back():
    found = topics(
        {"parser": "fields", "names": ["ts"], "event_time": {"field": "ts"}},
        t={"parser": "lines", "event_time": {"field": ""}},
    ).of("t")

    assert found.options.event_time.field is None


def test_a_partition_path_may_be_a_function_of_that_name():
    assert topics({"parser": "lines", "partition_by": "daily"}).of("t").options.partition_by == "daily"


def test_a_topic_without_a_parser_anywhere_is_refused():
    assert topic_problems("x", {}) == {
        'sink.topic."x".parser': "missing; there is no default; one of fields, greedy, lines, picky"
    }


@pytest.mark.parametrize(
    ("defaults", "override", "key", "problem"),
    [
        ({"parser": "lines", "rotate": {"age": 5}}, {}, "sink.defaults.rotate.age", "expected a duration"),
        ({"parser": "lines", "rotate": {"age": 5}}, {"rotate": {"idle": "1s"}}, "sink.defaults.rotate.age", "duration"),
        ({"parser": "lines", "rotate": {"age": "1s"}}, {"rotate": {"age": 5}}, 'sink.topic."t".rotate.age', "duration"),
        ({"parser": "lines"}, {"separator": ";"}, 'sink.topic."t".separator', "unknown key"),
        ({"parser": "lines"}, {"parser": "fields"}, 'sink.topic."t".names', "missing; expected a list of strings"),
        ({"parser": "lines"}, {"parser": "fields", "nams": []}, 'sink.topic."t".nams', "did you mean `names`?"),
        ({"parser": "lines"}, {"parser": "xml"}, 'sink.topic."t".parser', 'no parser "xml"'),
        ({"parser": "lines"}, {"parser": 4}, 'sink.topic."t".parser', "expected a string"),
        ({"parser": "greedy"}, {}, "sink.defaults.parser", "declares options that every topic has: rotate"),
        ({"parser": "picky", "pattern": "("}, {}, "sink.defaults.pattern", "does not close"),
        ({"parser": "picky"}, {"pattern": ")"}, 'sink.topic."t"', 'the parser "picky" refuses its options: it does'),
        ({"parser": "lines"}, {"partition_by": "yearly"}, 'sink.topic."t".partition_by', "no partition-path function"),
        ({"parser": "fields", "names": ["a"]}, {"names": 5}, 'sink.topic."t".names', "expected a list of strings"),
        ({"parser": "fields", "names": ["a", 1]}, {}, "sink.defaults.names[1]", "expected a string, got 1"),
        ({"parser": "fields", "names": ["a"], "types": {"b.c": 5}}, {}, 'sink.defaults.types."b.c"', "got 5"),
    ],
)
def test_a_problem_is_named_where_it_stands(defaults, override, key, problem):
    assert problem in topic_problems("t", defaults, t=override)[key]


def test_a_key_of_the_defaults_must_be_known_to_some_parser_in_use():
    fields = {"parser": "fields", "names": ["a"]}

    assert defaults_problems({"separator": ";", "seperator": ";"}, t=fields) == {
        "sink.defaults.seperator": "unknown key; did you mean `separator`?"
    }
    assert defaults_problems({"parser": "lines", "separator": ";"}) == {"sink.defaults.separator": "unknown key"}


def test_a_topic_that_only_a_pattern_finds_is_judged_by_the_defaults():
    problems = Problems()

    topics({"parser": "lines", "partition_by": "x"}).check_any(problems)
    topics({}).check_any(problems)

    assert [problem.key for problem in problems] == ["sink.defaults.partition_by"]
