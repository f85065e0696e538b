"""The catalogue of connectors: built-ins and other distributions alike, found through their entry points.

Nothing of a connector is imported until its name stands in a configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from ingest.api import (
    Filesystem,
    FilesystemOptions,
    Options,
    Parser,
    PartitionPath,
    Source,
    SourceOptions,
)
from ingest.config.keys import hint
from ingest.errors import UsageError

GROUPS = {
    "source": "ingest.sources",
    "parser": "ingest.parsers",
    "filesystem": "ingest.filesystems",
    "partition_path": "ingest.partition_paths",
}
"""Kind of connector → its entry point group."""


@dataclass(frozen=True, slots=True, order=True)
class Plugin:
    """One connector that is installed: what it is called, and which distribution brought it.

    `target` is what the entry point names, "package.module:Class"; it has not been imported.
    """

    kind: str
    name: str
    origin: str
    version: str
    target: str


class Registry:
    """Looks connectors up by kind and name, and proves that they are what they are registered as."""

    def __init__(self, entries: Iterable[EntryPoint] | None = None) -> None:
        """Take the given entry points; None = those of everything installed."""
        self._given = None if entries is None else list(entries)
        self._by_kind: dict[str, list[EntryPoint]] = {}

    def installed(self) -> list[Plugin]:
        """Return everything there is, sorted by kind (in the order of the data's way) and name."""
        return [_plugin(kind, entry) for kind in GROUPS for entry in self._entries(kind)]

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind, sorted, each once."""
        return sorted({entry.name for entry in self._entries(kind)})

    def source(self, name: str) -> type[Source[Any]]:
        """Return the class; UsageError when it is unknown, ambiguous, broken or no Source."""
        return self._class("source", name, Source, SourceOptions)

    def parser(self, name: str) -> type[Parser[Any]]:
        """Return the class; UsageError when it is unknown, ambiguous, broken or no Parser."""
        return self._class("parser", name, Parser, Options)

    def filesystem(self, name: str) -> type[Filesystem[Any]]:
        """Return the class; UsageError when it is unknown, ambiguous, broken or no Filesystem."""
        return self._class("filesystem", name, Filesystem, FilesystemOptions)

    def partition_path(self, name: str) -> PartitionPath:
        """Return the function; UsageError when it is unknown, ambiguous, broken or not callable."""
        entry = self._entry("partition_path", name)
        target = _loaded("partition_path", entry)
        if not callable(target) or isinstance(target, type):
            raise UsageError(f"{_called('partition_path', entry)} is not a function")
        return cast(PartitionPath, target)

    def _class(self, kind: str, name: str, parent: type[Any], options: type[Options]) -> type[Any]:
        entry = self._entry(kind, name)
        target = _loaded(kind, entry)
        fault = _fault(target, parent, options)
        if fault:
            raise UsageError(f"{_called(kind, entry)} {fault}")
        return cast(type[Any], target)

    def _entry(self, kind: str, name: str) -> EntryPoint:
        found = [entry for entry in self._entries(kind) if entry.name == name]
        if not found:
            names = self.names(kind)
            raise UsageError(f'no {_word(kind)} "{name}"; there are {", ".join(names) or "none"}{hint(name, names)}')
        if len(found) > 1:
            origins = " and ".join(_origin(entry) for entry in found)
            raise UsageError(f'the {_word(kind)} "{name}" comes from {origins}: uninstall all but one')
        return found[0]

    def _entries(self, kind: str) -> list[EntryPoint]:
        if kind not in self._by_kind:
            group = GROUPS[kind]
            found = (
                entry_points(group=group)
                if self._given is None
                else (entry for entry in self._given if entry.group == group)
            )
            self._by_kind[kind] = sorted(found, key=lambda entry: (entry.name, _origin(entry)))
        return self._by_kind[kind]


def _plugin(kind: str, entry: EntryPoint) -> Plugin:
    return Plugin(
        kind=kind,
        name=entry.name,
        origin=entry.dist.name if entry.dist else "unknown",
        version=entry.dist.version if entry.dist else "",
        target=entry.value,
    )


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"


def _word(kind: str) -> str:
    return "partition-path function" if kind == "partition_path" else kind


def _called(kind: str, entry: EntryPoint) -> str:
    return f'the {_word(kind)} "{entry.name}" of {_origin(entry)} ({entry.value})'


def _loaded(kind: str, entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever a foreign module does when it is imported, a person must know whose it is
        raise UsageError(f"{_called(kind, entry)} can't be loaded: {type(error).__name__}: {error}") from error


def _fault(target: object, parent: type[Any], options: type[Options]) -> str:
    """Return why the class can't be what it is registered as, or nothing."""
    if not (isinstance(target, type) and issubclass(target, parent)):
        return f"is not a subclass of ingest.api.{parent.__name__}"
    if inspect.isabstract(target):
        missing: frozenset[str] = getattr(target, "__abstractmethods__", frozenset())
        return f"lacks {', '.join(sorted(missing))}"
    declared = getattr(target, "Options", None)
    if not (isinstance(declared, type) and issubclass(declared, options)):
        return f"has no class attribute Options that extends ingest.api.{options.__name__}"
    return ""
