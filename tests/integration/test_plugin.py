"""A distribution of somebody else's brings connectors: installed, listed, checked, built, with nothing changed here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "plugins" / "ingest-example"
CONFIG = """
[kafka]
bootstrap = ["localhost:9092"]
[[source]]
name = "greeting"
type = "example-lines"
topic = "greetings"
lines = ["hello", "wörld"]
[sink]
group = "g"
topics = ["greetings"]
[sink.destination]
type = "example-memory"
root = "/warehouse"
[sink.defaults]
parser = "example-upper"
column = "loud"
partition_by = "example-quarter"
"""
BUILD = """
import datetime, sys
import pyarrow as pa
from ingest.api import SourceContext
from ingest.clock import SystemClock
from ingest.config.load import load

config = load(sys.argv[1])
registry, topic = config.registry, config.for_topic("greetings")
source = registry.source(config.source[0].type)(
    config.source[0], SourceContext(SystemClock(), "host", 1 << 20, True, lambda: 7, None, print)
)
source.resume([])
[block] = source.poll(1 << 20)
values = pa.array([block.data[a:b] for a, b in zip(block.starts, block.ends)], pa.binary())
parser = registry.parser(topic.parser_name)(topic.parser_options)
parsed = parser.parse(values, parser.schema())
filesystem = registry.filesystem(config.sink.destination.type)(config.sink.destination)
filesystem.create("a/b", b"content")
times = pa.array([datetime.datetime(2026, 11, 23)], pa.timestamp("us", "UTC"))
paths = registry.partition_path(topic.options.partition_by)(parsed.table, times)
print(source.finished(), parsed.table.to_pydict(), parsed.rejects.tolist())
print(filesystem.list("a")[0].name, paths.to_pylist())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Install the distribution into a directory of its own; return the environment of a process that sees it."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, work / "source")  # a build leaves files beside what it builds
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(work / "site")]
    subprocess.run([*pip, *options, str(work / "source")], check=True, timeout=120)
    return os.environ | {"PYTHONPATH": str(work / "site")}


def ingest(environment, *arguments):
    command = [sys.executable, "-m", "ingest.cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "ingest.toml"
    path.write_text(CONFIG)
    return path


def test_foreign_connectors_are_listed_with_their_origin(environment):
    found = json.loads(ingest(environment, "connectors", "--json").stdout)

    assert [(p["kind"], p["name"], p["version"]) for p in found if p["origin"] == "ingest-example"] == [
        ("source", "example-lines", "0.3.0"),
        ("parser", "example-upper", "0.3.0"),
        ("filesystem", "example-memory", "0.3.0"),
        ("partition_path", "example-quarter", "0.3.0"),
    ]
    assert any(plugin["origin"] == "ingest" for plugin in found)


def test_foreign_connectors_are_accepted_in_a_configuration(environment, config):
    done = ingest(environment, "check", "-c", str(config))

    assert (done.returncode, done.stderr) == (0, "")
    assert "example-lines" in done.stdout
    assert "example-upper  example-quarter (UTC)" in done.stdout


def test_options_of_foreign_connectors_are_checked_as_strictly(environment, config):
    config.write_text(CONFIG.replace("column =", "colum =").replace("lines = [", "lines = 5 # ["))

    done = ingest(environment, "check", "-c", str(config))

    assert done.returncode == 2
    assert "source[0].lines: expected a list of strings, got 5" in done.stderr
    assert "sink.defaults.colum: unknown key; did you mean `column`?" in done.stderr


def test_without_the_distribution_its_names_are_unknown(config):
    done = ingest(os.environ, "check", "-c", str(config))

    assert done.returncode == 2
    assert 'source[0].type: no source "example-lines"' in done.stderr


def test_foreign_connectors_are_built_through_the_registry_and_work(environment, config):
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(config)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == "True {'loud': ['HELLO']} [1]\nb ['year=2026/quarter=4']\n"
