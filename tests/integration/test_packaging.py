"""What is built from the tracked tree: whole, nothing beside it, and it runs where it is installed."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import ingest
from tests.builders.tree import ROOT, copy_tracked, modules

BUILD = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check"]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OFFLINE = ["--quiet", "--no-deps", "--no-index"]
DIST_INFO = f"ingest-{ingest.__version__}.dist-info"


def run(*command, cwd=None):
    """Run a command that must succeed, with nothing of this process's Python settings; return what it wrote."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return copy_tracked(tmp_path_factory.mktemp("tracked") / "tree")


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    """The wheel of the tree."""
    out = tmp_path_factory.mktemp("wheel")
    run(*BUILD, "--wheel", "--outdir", str(out), str(tree))
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_of_sdist(tree, tmp_path_factory):
    """The wheel of the source distribution of the tree."""
    out = tmp_path_factory.mktemp("sdist")
    run(*BUILD, "--sdist", "--outdir", str(out), str(tree))
    [sdist] = out.glob("*.tar.gz")
    run(*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(out), str(sdist))
    [path] = out.glob("*.whl")
    return path


def contents(wheel):
    """Name → bytes of what a wheel holds; RECORD apart, whose order is free."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def test_the_wheel_holds_every_tracked_module_and_nothing_else(wheel):
    inside = {name for name in contents(wheel) if not name.startswith(f"{DIST_INFO}/")}

    tracked = {path if path.parts[0] == "ingest" else Path("ingest") / path for path in modules()}
    assert inside == {path.as_posix() for path in tracked} | {"ingest/py.typed"}


def entry_points(wheel):
    """Group → name → target, as the wheel says it."""
    points = ConfigParser()
    points.read_string(contents(wheel)[f"{DIST_INFO}/entry_points.txt"].decode())
    return {group: dict(points[group]) for group in points.sections()}


def test_the_wheel_carries_the_entry_points_that_are_declared(wheel):
    declared = ConfigParser()
    declared.read(ROOT / "setup.cfg")
    groups = {group: text.strip().splitlines() for group, text in declared["options.entry_points"].items()}

    found = entry_points(wheel)
    assert {group: [f"{name} = {target}" for name, target in found[group].items()] for group in found} == {
        group: sorted(lines) for group, lines in groups.items()
    }


def test_every_entry_point_leads_to_a_module_in_the_wheel(wheel):
    held = contents(wheel)
    targets = [target for group in entry_points(wheel).values() for target in group.values()]

    assert [target for target in targets if f"{target.partition(':')[0].replace('.', '/')}.py" not in held] == []


def test_the_wheel_carries_the_licence(wheel):
    [licence] = [text for name, text in contents(wheel).items() if name.endswith("/LICENSE")]

    assert licence == (ROOT / "LICENSE").read_bytes()


def test_the_source_distribution_builds_the_same_wheel(wheel, wheel_of_sdist):
    assert contents(wheel_of_sdist) == contents(wheel)


@pytest.fixture
def environment(tmp_path):
    """A virtual environment that sees the libraries of this one, without what is installed in editable form."""
    home = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(home))
    [site] = home.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def works_in(environment, *, code):
    """Assert that the program installed in an environment runs, and that its code lies below `code`."""
    program = str(environment / "bin" / "ingest")
    assert ingest.__version__ in run(program, "--version", cwd=environment)
    listed = json.loads(run(program, "connectors", "--json", cwd=environment))
    own = [plugin for plugin in listed if plugin["origin"] == "ingest"]
    assert {plugin["version"] for plugin in own} == {ingest.__version__}
    assert {"file", "json", "local", "webhdfs"} <= {plugin["name"] for plugin in own}
    where = "import ingest.connectors.parsers.raw as found; print(found.__file__)"
    found = run(str(environment / "bin" / "python"), "-c", where, cwd=environment).strip()
    assert Path(found).is_relative_to(code)


def test_the_wheel_runs_where_it_is_installed(wheel, environment):
    run(*PIP, "--python", str(environment / "bin" / "python"), "install", *OFFLINE, str(wheel))

    works_in(environment, code=environment)


def test_the_tree_runs_when_it_is_installed_in_editable_form(tree, environment):
    install = ["install", *OFFLINE, "--no-build-isolation", "--editable", str(tree)]
    run(*PIP, "--python", str(environment / "bin" / "python"), *install)

    works_in(environment, code=tree)
