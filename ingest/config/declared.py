"""What options there are: the declarations of all tables and built-in connectors, laid out to be described."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_args, get_origin

import msgspec

from ingest.config.decode import describe, limit_text, unwrap
from ingest.config.keys import KeyPath, toml_value
from ingest.config.model import SinkOptions, Tables, TopicOptions
from ingest.config.registry import Registry
from ingest.options import Options

BUILT_IN = "ingest"
"""The distribution whose connectors are described."""


@dataclass(frozen=True, slots=True)
class Item:
    """One option.

    Attributes:
        name: its key.
        kind: what a person calls its type.
        text: the help.
        default: its default as TOML; None = it has none.
        example: a value to show where the default says nothing, as TOML; None = it has none.
        required: whether a table without it is refused.
    """

    name: str
    kind: str
    text: str
    default: str | None
    example: str | None
    required: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One table.

    Attributes:
        path: of the table, ("sink", "defaults", "rotate").
        text: what it is for.
        items: its options, without the tables in it.
        connector: kind and name of the connector whose own options these are, or None.
        array: whether it is written [[so]].
        choice: whether it may be left out and means nothing while nothing is chosen in it.
    """

    path: KeyPath
    text: str
    items: tuple[Item, ...]
    connector: tuple[str, str] | None = None
    array: bool = False
    choice: bool = False


def sections(registry: Registry) -> Iterator[Section]:
    """Yield every table in the order of the file, with those of the built-in connectors in their places."""
    for field in msgspec.structs.fields(Tables):
        if field.name == "source":
            yield from _connectors(registry, "source", ("source",), array=True)
        elif field.name == "sink":
            yield from _tables(SinkOptions, ("sink",))
            yield from _connectors(registry, "filesystem", ("sink", "destination"))
            own, *inner = _tables(TopicOptions, ("sink", "defaults"))
            # A parser's own options stand in the same table, so before the tables in it.
            yield own
            yield from _connectors(registry, "parser", own.path)
            yield from inner
        else:
            yield from _tables(struct_of(field.type), (field.name,))


def struct_of(declared: Any) -> Any:
    """Return the struct that a field holds, also an optional one; None when it holds none."""
    kind, _ = unwrap(declared)
    for member in (kind, *get_args(kind)):
        if isinstance(member, type) and issubclass(member, Options) and get_origin(kind) is not list:
            return member
    return None


def _connectors(registry: Registry, kind: str, path: KeyPath, *, array: bool = False) -> Iterator[Section]:
    find: dict[str, Callable[[str], type[Options]]] = {
        "source": lambda name: registry.source(name).Options,
        "filesystem": lambda name: registry.filesystem(name).Options,
        "parser": lambda name: registry.parser(name).Options,
    }
    for plugin in registry.installed():
        if plugin.kind == kind and plugin.origin == BUILT_IN:
            first, *inner = _tables(find[kind](plugin.name), path)
            connector = (kind, plugin.name)
            yield Section(path, first.text, _named(first.items, plugin.name), connector, array)
            yield from (replace(section, connector=connector) for section in inner)


def _named(items: tuple[Item, ...], name: str) -> tuple[Item, ...]:
    """Let `type` show the connector's own name."""
    return tuple(replace(item, example=toml_value(name)) if item.name == "type" else item for item in items)


def _tables(struct: type[msgspec.Struct], path: KeyPath, choice: bool = False) -> list[Section]:
    """Return the struct's own section, then those of the tables in it."""
    own, inner = [], []
    for field in msgspec.structs.fields(struct):
        nested = struct_of(field.type)
        if nested is not None:
            # Which options a destination has depends on its connector.
            inner += [] if field.required else _tables(nested, (*path, field.encode_name), _is_choice(nested))
        elif (struct, field.name) not in ((SinkOptions, "defaults"), (SinkOptions, "topic")):
            own.append(_item(field))
    return [Section(path, _summary(struct), tuple(own), choice=choice), *inner]


def _is_choice(struct: type[msgspec.Struct]) -> bool:
    """Whether the table is refused while it is empty."""
    try:
        struct()
    except ValueError:
        return True
    return False


def _item(field: msgspec.structs.FieldInfo) -> Item:
    kind, extra = unwrap(field.type)
    example = extra.get("example")
    default = None if field.required or default_of(field) is None else toml_value(default_of(field))
    return Item(
        name=field.encode_name,
        kind=_SAMPLE.sub("", describe(kind)) + _limits(kind, extra),
        text=_help(field.type),
        default=default,
        example=None if example is None else toml_value(example),
        required=field.required,
    )


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default of a field that has one."""
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


_SAMPLE = re.compile(r' such as "[^"]*"(?:, "[^"]*")*(?: or "[^"]*")?')


def _limits(kind: Any, extra: Mapping[str, Any]) -> str:
    texts = [
        f"{word} {limit_text(kind, extra[key])}"
        for key, word in (("ge", "at least"), ("le", "at most"))
        if key in extra
    ]
    return f", {' and '.join(texts)}" if texts else ""


def _help(declared: Any) -> str:
    metas = get_args(declared)[1:] if get_origin(declared) is Annotated else ()
    return " ".join(meta.description for meta in metas if isinstance(meta, msgspec.Meta) and meta.description)


def _summary(struct: type[msgspec.Struct]) -> str:
    """Return the first paragraph of the struct's own docstring."""
    paragraph = (struct.__dict__.get("__doc__") or "").strip().split("\n\n")[0]
    # One that only names its table says nothing that the heading does not.
    return "" if paragraph.startswith("[") else " ".join(paragraph.split())
