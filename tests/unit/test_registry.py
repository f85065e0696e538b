import sys
import textwrap
from importlib.metadata import Distribution, EntryPoint

import pytest

from ingest.api import Filesystem, Parser, Source
from ingest.config.registry import GROUPS, Registry
from ingest.errors import UsageError

MODULE = """
from ingest.api import Filesystem, FilesystemOptions, Options, Parser

class NoOptions(Parser):
    def schema(self): ...
    def parse(self, values, schema): ...

class PlainOptions(Filesystem):
    Options = Options
    create = mkdir = move = list = read = delete = None

class Unfinished(Parser):
    Options = Options
    def schema(self): ...

def path(batch, times): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "ingest_odd_connectors.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "ingest_broken_connectors.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    yield "ingest_odd_connectors"
    sys.modules.pop("ingest_odd_connectors", None)


class Package(Distribution):
    """A distribution that is only a name and a version."""

    def __init__(self, name, version):
        self.text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename):
        return self.text if filename == "METADATA" else None

    def locate_file(self, path):
        raise FileNotFoundError(path)


def entry(kind, name, value, package="acme", version="1.2"):
    point = EntryPoint(name, value, GROUPS[kind])
    vars(point)["dist"] = Package(package, version)
    return point


def test_the_built_in_connectors_are_in_the_catalogue_like_any_other():
    installed = {(plugin.kind, plugin.name): plugin for plugin in Registry().installed()}

    assert {("source", "file"), ("parser", "json"), ("parser", "raw"), ("filesystem", "local")} <= set(installed)
    assert installed["parser", "raw"].origin == "ingest"
    assert installed["parser", "raw"].target == "ingest.connectors.parsers.raw:RawParser"


@pytest.mark.parametrize("plugin", Registry().installed(), ids=lambda plugin: f"{plugin.kind}-{plugin.name}")
def test_every_built_in_connector_loads_and_is_of_its_kind(plugin):
    registry = Registry()
    if plugin.kind == "partition_path":
        assert callable(registry.partition_path(plugin.name))
        return
    find, parent = {
        "source": (registry.source, Source),
        "parser": (registry.parser, Parser),
        "filesystem": (registry.filesystem, Filesystem),
    }[plugin.kind]

    assert issubclass(find(plugin.name), parent)


def test_nothing_is_imported_for_the_list():
    registry = Registry([entry("source", "x", "ingest_no_such_module:X")])

    assert [(plugin.name, plugin.origin, plugin.version) for plugin in registry.installed()] == [("x", "acme", "1.2")]


def test_an_unknown_name_is_refused_with_the_nearest_and_all_there_are():
    registry = Registry([entry("source", "syslog", "a:B"), entry("source", "journal", "a:C")])

    with pytest.raises(UsageError) as caught:
        registry.source("sylog")

    assert str(caught.value) == 'no source "sylog"; there are journal, syslog; did you mean `syslog`?'


def test_a_name_from_two_distributions_is_refused_naming_both():
    registry = Registry([entry("parser", "x", "a:B"), entry("parser", "x", "c:D", "other", "3.0")])

    with pytest.raises(UsageError, match=r'the parser "x" comes from acme 1\.2 and other 3\.0: uninstall all but one'):
        registry.parser("x")
    assert len(registry.installed()) == 2


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("ingest_no_such_module:X", "ModuleNotFoundError: No module named 'ingest_no_such_module'"),
        ("{}:Nothing", "AttributeError"),
        ("ingest_broken_connectors:X", "RuntimeError: no licence"),
    ],
)
def test_what_can_not_be_loaded_is_refused_naming_its_distribution_and_the_cause(module, target, cause):
    target = target.format(module)

    with pytest.raises(UsageError) as caught:
        Registry([entry("parser", "x", target)]).parser("x")

    assert f'the parser "x" of acme 1.2 ({target}) can\'t be loaded: {cause}' in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "target", "fault"),
    [
        ("parser", "path", "is not a subclass of ingest.api.Parser"),
        ("source", "NoOptions", "is not a subclass of ingest.api.Source"),
        ("parser", "NoOptions", "has no class attribute Options that extends ingest.api.Options"),
        ("filesystem", "PlainOptions", "has no class attribute Options that extends ingest.api.FilesystemOptions"),
        ("parser", "Unfinished", "lacks parse"),
        ("partition_path", "NoOptions", "is not a function"),
    ],
)
def test_what_is_not_what_it_is_registered_as_is_refused(module, kind, target, fault):
    registry = Registry([entry(kind, "x", f"{module}:{target}")])

    with pytest.raises(UsageError, match=fault):
        getattr(registry, kind)("x")


def test_a_partition_path_function_is_found(module):
    assert Registry([entry("partition_path", "x", f"{module}:path")]).partition_path("x").__name__ == "path"
