import os

import pytest

from ingest.config.load import load
from ingest.config.problems import Problems
from ingest.config.secrets import expand
from ingest.errors import ConfigError
from ingest.options import Secret


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(0o640)
    return path


def expanded(data, environment=()):
    problems = Problems()
    result = expand(data, dict(environment), problems)
    return result, {problem.key: problem.text for problem in problems}


def test_a_reference_is_replaced_wherever_a_text_stands(secret_file, tmp_path):
    data = {"a": f"${{file:{secret_file}}}", "b": [{"c": "x-${env:NAME}-y"}], "d": 5, "e": "${cred:password}"}

    result, problems = expanded(data, {"NAME": "n", "CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert problems == {}
    assert result == {"a": "hunter2", "b": [{"c": "x-n-y"}], "d": 5, "e": "hunter2"}
    assert isinstance(result["a"], Secret)
    assert "hunter2" not in repr(result)


def test_two_dollars_are_one():
    assert expanded("$${env:X} costs $5") == ("${env:X} costs $5", {})


def test_what_a_reference_stands_for_is_not_looked_into_again():
    assert expanded("${env:A}", {"A": "${env:B}"})[0] == "${env:B}"


@pytest.mark.parametrize(
    ("content", "value"), [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b"a\r", "a\r"), (b"", "")]
)
def test_only_the_last_newline_of_a_file_is_not_part_of_the_secret(secret_file, content, value):
    secret_file.write_bytes(content)

    assert expanded(f"${{file:{secret_file}}}")[0] == value


def test_a_file_that_everybody_can_read_is_refused(secret_file):
    secret_file.chmod(0o644)

    _, problems = expanded({"password": f"${{file:{secret_file}}}"})

    assert "can be read by everybody" in problems["password"]
    assert "hunter2" not in problems["password"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${env:NOPE}", "the environment variable NOPE is not set"),
        ("${file:/no/such}", "/no/such can't be read: No such file or directory"),
        ("${file:/}", "/ is not a regular file"),
        ("${file:relative}", "needs an absolute path"),
        ("${cred:x}", "needs $CREDENTIALS_DIRECTORY"),
        ("${evn:HOME}", "no reference ${evn:…}; there are ${file:…}, ${env:…}, ${cred:…}; did you mean `env`?"),
    ],
)
def test_a_reference_that_can_not_be_read_names_what_is_missing(text, problem):
    assert problem in expanded({"a": text})[1]["a"]


@pytest.mark.parametrize("name", ["../password", "", "..", "/etc/passwd"])
def test_a_credential_has_a_plain_name(tmp_path, name):
    assert "plain name" in expanded(f"${{cred:{name}}}", {"CREDENTIALS_DIRECTORY": str(tmp_path)})[1][""]


def test_a_pipe_in_the_place_of_a_secret_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)

    assert "not a regular file" in expanded(f"${{file:{tmp_path}/pipe}}")[1][""]


def test_a_secret_that_is_no_text_is_refused_without_showing_it(secret_file):
    secret_file.write_bytes(b"hunter\xff")

    assert expanded(f"${{file:{secret_file}}}")[1][""] == f"{secret_file} is not UTF-8 text"


@pytest.mark.parametrize(
    "line",
    [
        "[log]\nlevel = '${env:S}'",
        "[sink]\nsession_timeout = '${env:S}'",
        "[sink]\nstart_at = '${env:S}'",
        "[kafka]\nbootstrap = '${env:S}'",
        "[kafka]\nsecurity = '${env:S}'",
        "[sink]\ndedup_days = '${env:S}'",
        "[state]\ndir = '${env:S}'",
        "[kafka.security]\npassword = ['hunter2']",
        "[kafka.security]\npassword = 'hunter2'",
    ],
)
def test_no_error_shows_what_came_from_a_reference(tmp_path, line):
    path = tmp_path / "ingest.toml"
    path.write_text(line)

    with pytest.raises(ConfigError) as caught:
        load(path, environment={"S": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_a_missing_secret_is_reported_at_its_key_and_line(tmp_path):
    path = tmp_path / "ingest.toml"
    path.write_text("[kafka]\nbootstrap = ['${env:KAFKA}']\n")

    with pytest.raises(ConfigError) as caught:
        load(path, environment={})

    assert f"{path}:2: kafka.bootstrap[0]: the environment variable KAFKA is not set" in str(caught.value)
