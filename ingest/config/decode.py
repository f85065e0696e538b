"""From what TOML holds to options: strict, and complete in what it complains about.

Unknown keys, missing keys, wrong types and values out of range are all reported, each with the path of its key and the
nearest known name. A value that came from a secret is never shown.
"""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec

from ingest.config.keys import KeyPath, hint, parse_key, toml_value
from ingest.config.problems import Problems
from ingest.errors import ConfigError
from ingest.options import Duration, Options, Secret, Size

T = TypeVar("T", bound=msgspec.Struct)
Choose = Callable[[type[msgspec.Struct], Mapping[str, Any], KeyPath, Problems], type[msgspec.Struct] | None]
"""Declared table, its data → the table to read it by (a connector's own options), or None after noting a problem."""

WRONG: Any = object()
"""Stands for a value that could not be read; its problem is noted."""

_SAMPLES = {
    Duration: 'a duration such as "250ms", "10s", "5m", "1h" or "14d"',
    Size: 'a size such as "512B", "64KiB", "1MiB" or "10MB"',
    datetime.date: 'a date such as "2000-01-01"',
}
_WORDS = {str: "a string", Secret: "a string", bool: "true or false", int: "a whole number", float: "a number"}
_WORDS |= _SAMPLES
_MANY = {"a string": "strings", "a whole number": "whole numbers", "a number": "numbers"}


def decode(struct: type[T], data: object, key: str = "") -> T:
    """Read a table.

    Args:
        struct: the declaration.
        data: the table as `tomllib` gives it.
        key: path of the table, as written in TOML.

    Raises:
        ConfigErrors: with every problem of the table.
    """
    problems = Problems()
    result = Decoder(problems).table(struct, data, parse_key(key))
    problems.raise_if_any()
    return cast(T, result)


def _as_declared(
    struct: type[msgspec.Struct], data: Mapping[str, Any], path: KeyPath, problems: Problems
) -> type[msgspec.Struct]:
    return struct


class Decoder:
    """Reads values by their declared types; what is wrong goes to `problems`, and the value becomes `WRONG`."""

    def __init__(self, problems: Problems, choose: Choose = _as_declared) -> None:
        self._problems = problems
        self._choose = choose

    def table(self, declared: type[msgspec.Struct], data: object, path: KeyPath) -> Any:
        """Return an instance of the struct, or WRONG."""
        if not isinstance(data, Mapping):
            return self._wrong(path, f"expected a table, {_got(data)}")
        struct = self._choose(declared, data, path, self._problems)
        if struct is None:
            return WRONG
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        before = len(self._problems)
        for key in data:
            if key not in fields:
                self._problems.add((*path, key), f"unknown key{hint(key, fields)}")
        values = {}
        for key, field in fields.items():
            if key in data:
                values[field.name] = self.value(field.type, data[key], (*path, key))
            elif field.required:
                self._problems.add((*path, key), f"missing; expected {describe(field.type)}{_example(field.type)}")
        return self._built(struct, values, path) if len(self._problems) == before else WRONG

    def _built(self, struct: type[msgspec.Struct], values: dict[str, Any], path: KeyPath) -> Any:
        try:
            return struct(**values)
        except ConfigError as error:
            self._problems.add_error(path, error)
        except ValueError as error:
            self._problems.add(path, str(error))
        return WRONG

    def value(self, declared: Any, data: object, path: KeyPath) -> Any:
        """Return `data` as the type says, or WRONG."""
        kind, limits = unwrap(declared)
        before = len(self._problems)
        result = self._typed(kind, data, path)
        if len(self._problems) == before and limits:
            self._limit(limits, result, data, path)
        return result

    def _typed(self, kind: Any, data: object, path: KeyPath) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union([member for member in arguments if member is not types.NoneType], data, path)
        if origin is Literal:
            return self._literal(arguments, data, path)
        if origin in (list, tuple):
            return self._array(origin, arguments[0], data, path)
        if origin is dict:
            if not isinstance(data, Mapping):
                return self._wrong(path, f"expected a table, {_got(data)}")
            return {key: self.value(arguments[1], item, (*path, key)) for key, item in data.items()}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.table(kind, data, path)
        return self._leaf(kind, data, path)

    def _array(self, origin: Any, item: Any, data: object, path: KeyPath) -> Any:
        if not isinstance(data, list):
            return self._wrong(path, f"expected a list of {describe(item, many=True)}, {_got(data)}")
        return origin(self.value(item, value, (*path, number)) for number, value in enumerate(data))

    def _union(self, members: list[Any], data: object, path: KeyPath) -> Any:
        if len(members) == 1:
            return self.value(members[0], data, path)
        for member in members:
            scratch = Problems()
            result = Decoder(scratch, self._choose).value(member, data, path)
            if not len(scratch):
                return result
        return self._wrong(path, f"expected {' or '.join(map(describe, members))}, {_got(data)}")

    def _literal(self, choices: tuple[Any, ...], data: object, path: KeyPath) -> Any:
        text = data.reveal() if isinstance(data, Secret) else data
        for choice in choices:
            if type(text) is type(choice) and text == choice:
                return choice
        near = hint(data, map(str, choices)) if isinstance(data, str) and not isinstance(data, Secret) else ""
        return self._wrong(path, f"expected one of {', '.join(map(toml_value, choices))}, {_got(data)}{near}")

    def _leaf(self, kind: Any, data: object, path: KeyPath) -> Any:
        if kind is Any:
            return data
        if kind in (Duration, Size, datetime.date):
            return self._parsed(kind, data, path)
        if kind is Secret:
            # Whatever stands here may be the secret, in the wrong form.
            return Secret(_plain(data)) if isinstance(data, str) else self._wrong(path, "expected a string")
        if kind is str and isinstance(data, str):
            return _plain(data)
        if kind is float and type(data) is int:
            return float(data)
        if type(data) is kind:
            return data
        if kind in _WORDS:
            return self._wrong(path, f"expected {_WORDS[kind]}, {_got(data)}")
        raise TypeError(f"an option can't be of type {kind}")

    def _parsed(self, kind: Any, data: object, path: KeyPath) -> Any:
        if type(data) is kind:
            return data
        if isinstance(data, str):
            parse = kind.fromisoformat if kind is datetime.date else kind.of
            try:
                return parse(_plain(data))
            except ValueError:
                pass  # said below, in the same words for every kind, and without a secret
        return self._wrong(path, f"expected {_SAMPLES[kind]}, {_got(data)}")

    def _limit(self, limits: Mapping[str, Any], value: Any, data: object, path: KeyPath) -> None:
        """Check what `option` says beyond the type. A number that is not a number passes no limit."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            if "ge" in limits and not value >= limits["ge"]:
                self._problems.add(path, f"must be at least {limit_text(type(value), limits['ge'])}, {_got(data)}")
            elif "le" in limits and not value <= limits["le"]:
                self._problems.add(path, f"must be at most {limit_text(type(value), limits['le'])}, {_got(data)}")
        if limits.get("absolute"):
            several = isinstance(value, list | tuple)
            for number, text in enumerate(value if several else [value]):
                if isinstance(text, str) and not text.startswith("/"):
                    where = (*path, number) if several else path
                    self._problems.add(where, "must be an absolute path, one that begins with /")

    def _wrong(self, path: KeyPath, text: str) -> Any:
        self._problems.add(path, text)
        return WRONG


def unwrap(declared: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the bare type of `Annotated[type, option(…)]`, and what `option` was told beside the help."""
    if typing.get_origin(declared) is not Annotated:
        return declared, {}
    kind, *metas = typing.get_args(declared)
    extra: dict[str, Any] = {}
    for meta in metas:
        if isinstance(meta, msgspec.Meta):
            extra |= meta.extra or {}
    return kind, extra


def describe(declared: Any, *, many: bool = False) -> str:
    """Return what a person calls a value of the type: "a whole number", "a list of strings"."""
    kind, _ = unwrap(declared)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments if member is not types.NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(toml_value, arguments))}"
    if origin in (list, tuple):
        return f"a list of {describe(arguments[0], many=True)}"
    if origin is dict or (isinstance(kind, type) and issubclass(kind, Options)):
        return "tables" if many else "a table"
    word = _WORDS.get(kind, "a value")
    return _MANY.get(word, word) if many else word


def _example(declared: Any) -> str:
    example = unwrap(declared)[1].get("example")
    return "" if example is None else f", for example {toml_value(example)}"


def _plain(text: str) -> str:
    return text.reveal() if isinstance(text, Secret) else text


def _got(data: object) -> str:
    """Return what was found instead, without showing a secret or a page of text."""
    if isinstance(data, Secret):
        return "got something else from its ${…}"
    if isinstance(data, Mapping):
        return "got a table"
    if isinstance(data, list):
        return "got a list"
    try:
        text = toml_value(data)
    except TypeError:
        text = str(data)
    return f"got {text if len(text) <= 60 else text[:57] + '…'}"


def limit_text(kind: Any, limit: float) -> str:
    """Return a limit in the form in which values of the type are written."""
    members = [member for member in typing.get_args(kind) if member is not types.NoneType] or [kind]
    return str(members[0](limit)) if members[0] in (Duration, Size) else f"{limit:g}"
