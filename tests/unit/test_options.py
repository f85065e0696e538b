import math
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.options import Duration, Options, Secret, Size, option


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("5m", 300), ("1h", 3600), ("14d", 14 * 86400), ("1.5h", 5400), (" 2 s ", 2)],
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert Duration.of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1e3s", "1w", "10S", "1m30s", "٣s", "1" * 50 + "s"])
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='expected a duration such as "250ms", "10s", "5m", "1h" or "14d", got'):
        Duration.of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1500ms"), (60, "1m"), (90, "90s"), (86400, "1d"), (0.0001, "0.0001s")],
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds, text):
    assert str(Duration(seconds)) == text


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False).filter(lambda x: x == 0 or x > 1e-12))
@example(0.1 + 0.2)
@example(123456.789)
def test_a_duration_written_and_read_is_the_same(seconds):
    assert Duration.of(str(Duration(seconds))) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("512B", 512), ("64KiB", 65536), ("1MiB", 1 << 20), ("2GiB", 2 << 30), ("10MB", 10**7), ("1.5kB", 1500)],
)
def test_a_size_is_a_number_with_its_unit(text, count):
    assert Size.of(text) == count


@pytest.mark.parametrize("text", ["", "10", "10KB", "10mb", "-1B", "1e3B", "MiB"])
def test_what_is_no_size_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='expected a size such as "512B", "64KiB", "1MiB" or "10MB", got'):
        Size.of(text)


def test_a_part_of_a_byte_is_refused():
    with pytest.raises(ValueError, match="expected whole bytes, got"):
        Size.of("1.5B")


@given(st.integers(min_value=0, max_value=1 << 80))
def test_a_size_written_and_read_is_the_same(count):
    assert Size.of(str(Size(count))) == count


def test_a_duration_beyond_all_measure_still_has_a_text():
    assert str(Duration(math.inf)) == "infs"


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")

    shown = f"{secret} {secret!r} {secret!s} {secret:>10} {[secret]} {'%s' % secret} {'{}'.format(secret)}"  # noqa: UP031, UP032

    assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    assert type(secret.reveal()) is str


def test_a_required_option_may_follow_optional_ones_of_the_parent():
    class Parent(Options):
        age: Annotated[Duration, option("How old.")] = Duration(1)

    class Child(Parent):
        paths: Annotated[list[str], option("Which files.")]

    assert Child(paths=["/a"]).age == 1
    with pytest.raises(TypeError):
        Child(["/a"])
