"""What options say of columns, checked: their names, their types, where fields go that have no column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pyarrow as pa

from ingest.api import ConfigError, arrow_type


def check_names(key: str, names: Collection[str]) -> None:
    """Refuse columns without a name, and those that readers could not tell apart.

    Raises:
        ConfigError: for the option `key`, which lists the names.
    """
    folded: dict[str, str] = {}
    for name in names:
        if not name:
            raise ConfigError(key, "a column needs a name")
        other = folded.get(name.casefold())
        if other is not None:
            same = f'"{name}" stands there twice'
            raise ConfigError(key, same if other == name else f'"{name}" and "{other}" differ only in case')
        folded[name.casefold()] = name


def check_types(schema: Mapping[str, str], fit: Callable[[pa.DataType], object]) -> None:
    """Refuse types that no value can have.

    Args:
        schema: column → type.
        fit: raises ValueError for a type that no value can have.

    Raises:
        ConfigError: for a column of the option `schema`.
    """
    for name, kind in schema.items():
        try:
            fit(arrow_type(kind))
        except ValueError as error:
            raise ConfigError(f"schema.{name}", str(error)) from error


def check_unknown(unknown: str, rest: str, schema: Collection[str]) -> None:
    """Refuse what contradicts itself about fields that the schema lacks.

    Args:
        unknown: the option of that name: "rest", "drop", "quarantine".
        rest: the option `rest_column`.
        schema: names of columns.

    Raises:
        ConfigError: for `unknown` or `rest_column`.
    """
    if not rest:
        raise ConfigError("rest_column", "must not be empty")
    if unknown == "rest" and rest.casefold() in map(str.casefold, schema):
        raise ConfigError("rest_column", f'"{rest}" is a column of the schema already')
    if unknown != "rest" and not schema:
        raise ConfigError("unknown", f'"{unknown}" needs a schema; without one what is new becomes a column')
