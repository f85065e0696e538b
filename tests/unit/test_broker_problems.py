"""Errors of one partition, and of the whole connection, in our words."""

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka import errors as kafka

from ingest.broker.failures import ConsumerFenced, translate
from ingest.broker.membership import pattern_of
from ingest.broker.problems import problem_of
from ingest.errors import Fatal, Refused, Unavailable, UsageError

PAIR = ("logs", 3)


@pytest.mark.parametrize(
    ("position", "log", "found"),
    [
        (4, (15, 20), ("retention", 4, 15)),
        (50, (0, 20), ("went back", 20, None)),
        (7, (0, 20), ("truncated", None, None)),
        (20, (0, 20), ("truncated", None, None)),
        (4, None, ("retention", 4, None)),
    ],
)
def test_an_offset_out_of_range_is_a_loss_of_the_kind_that_the_log_shows(position, log, found):
    def log_of(pair):
        assert pair == PAIR
        if log is None:
            raise Unavailable("no answer")
        return log

    problem = problem_of(PAIR, kafka.OffsetOutOfRangeError({}), position, log_of)
    assert (problem.error.kind, problem.error.first, problem.error.next) == found
    assert "topic logs partition 3" in str(problem.error)


@pytest.mark.parametrize(("divergent", "first"), [(OffsetAndMetadata(9, "", 1), 9), (None, None)])
def test_a_cut_log_is_a_truncation_from_where_it_was_cut(divergent, first):
    error = kafka.LogTruncationError({TopicPartition(*PAIR): divergent})
    found = problem_of(PAIR, error, 12, lambda _: (0, 9)).error
    assert (found.kind, found.first) == ("truncated", first)


@pytest.mark.parametrize(
    ("raised", "meant"),
    [
        (kafka.KafkaTimeoutError("no"), Unavailable),
        (kafka.NodeNotReadyError("1"), Unavailable),
        (ConnectionRefusedError(), Unavailable),
        (kafka.SaslAuthenticationFailedError("no"), Refused),
        (kafka.TopicAuthorizationFailedError({"t"}), Refused),
        (kafka.FencedInstanceIdError(), ConsumerFenced),
        (kafka.KafkaConfigurationError("x"), UsageError),
        (kafka.UnknownError(), Fatal),
    ],
)
def test_errors_are_sorted_by_what_to_do_about_them(raised, meant):
    error = translate(raised, "reading from here")
    assert type(error) is meant
    assert str(error).startswith("reading from here")


def test_names_and_patterns_become_one_pattern_that_takes_names_as_they_are():
    import re

    pattern = re.compile(pattern_of(["a.b"], ["^app-.*", "x|y"]))
    assert [name for name in ("a.b", "aXb", "a.bc", "app-1", "x", "yes", "no") if pattern.match(name)] == [
        "a.b",
        "app-1",
        "x",
        "yes",
    ]
    assert pattern_of(["a"], []) is None
