"""Names of column types, as written in a configuration and in agreed schemas."""

from __future__ import annotations

import json
import re

import pyarrow as pa

_PLAIN: dict[str, pa.DataType] = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "float32": pa.float32(),
    "double": pa.float64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date32": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\]|\\.)*"|[0-9]+|[<>(),:])')
_DEPTH = 32
"""Types that nest deeper are refused."""


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type that `name` stands for.

    Plain names are those above; `decimal128(p, s)`, `list<T>`, `struct<a: T, b: T>` and `map<K, V>` nest. A member's
    name is quoted as in JSON where it is not a plain word: `struct<"user-id": string>`. A timestamp is microseconds
    UTC.

    Raises:
        ValueError: no such type; the text says which part.
    """
    tokens: list[str] = []
    end = 0
    while end < len(name.rstrip()):
        match = _TOKEN.match(name, end)
        if match is None:
            raise ValueError(f'unexpected "{name[end:].strip()}" in the type "{name}"')
        tokens.append(match[1])
        end = match.end()
    reader = _Tokens(name, tokens)
    result = reader.type()
    if reader.left:
        raise ValueError(f'unexpected "{reader.left[0]}" in the type "{name}"')
    return result


class _Tokens:
    """Recursive descent over the tokens of a type's name."""

    def __init__(self, text: str, tokens: list[str]) -> None:
        self.text = text
        self.left = tokens
        self.depth = 0

    def next(self) -> str:
        if not self.left:
            raise ValueError(f'the type "{self.text}" ends too early')
        return self.left.pop(0)

    def expect(self, token: str) -> None:
        found = self.next()
        if found != token:
            raise ValueError(f'expected "{token}", found "{found}" in the type "{self.text}"')

    def type(self) -> pa.DataType:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError(f'the type "{self.text[:60]}…" nests too deeply')
        kind = self._type()
        self.depth -= 1
        return kind

    def _type(self) -> pa.DataType:
        name = self.next()
        if name in _PLAIN:
            return _PLAIN[name]
        if name == "decimal128":
            return self._decimal()
        if name == "list":
            self.expect("<")
            item = self.type()
            self.expect(">")
            return pa.list_(item)
        if name == "struct":
            return self._struct()
        if name == "map":
            self.expect("<")
            key = self.type()
            self.expect(",")
            value = self.type()
            self.expect(">")
            return pa.map_(key, value)
        raise ValueError(
            f'no type "{name}"; there are {", ".join([*_PLAIN, "decimal128(p, s)", "list<…>", "struct<…>", "map<…>"])}'
        )

    def _decimal(self) -> pa.DataType:
        self.expect("(")
        precision = self.number()
        self.expect(",")
        scale = self.number()
        self.expect(")")
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f'decimal128 holds 1 to 38 digits, "{self.text}" does not fit')
        return pa.decimal128(precision, scale)

    def _struct(self) -> pa.DataType:
        fields: dict[str, pa.DataType] = {}
        self.expect("<")
        while True:
            name = self._name()
            if name in fields:
                raise ValueError(f'the type "{self.text}" names "{name}" twice')
            self.expect(":")
            fields[name] = self.type()
            token = self.next()
            if token == ">":
                return pa.struct(list(fields.items()))
            if token != ",":
                raise ValueError(f'expected "," or ">", found "{token}" in the type "{self.text}"')

    def _name(self) -> str:
        token = self.next()
        if token.startswith('"'):
            try:
                return str(json.loads(token))
            except json.JSONDecodeError as error:
                raise ValueError(f'{token} in the type "{self.text}" is not quoted as in JSON') from error
        if not _NAME.fullmatch(token):
            raise ValueError(f'expected a name, found "{token}" in the type "{self.text}"')
        return token

    def number(self) -> int:
        token = self.next()
        if not token.isdigit():
            raise ValueError(f'expected a number, found "{token}" in the type "{self.text}"')
        return int(token)


def type_name(kind: pa.DataType) -> str:
    """Return the name that `arrow_type` reads back as `kind`.

    Raises:
        ValueError: `kind` has no name here.
    """
    if pa.types.is_decimal128(kind):
        return f"decimal128({kind.precision}, {kind.scale})"
    if pa.types.is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{_written(member.name)}: {type_name(member.type)}' for member in kind)}>"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)}, {type_name(kind.item_type)}>"
    for name, plain in _PLAIN.items():
        if plain.equals(kind):
            return name
    raise ValueError(f"no name for the type {kind}")


def _written(name: str) -> str:
    """Return a member's name as `arrow_type` reads it."""
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)
