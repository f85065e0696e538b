"""Values that a regular expression takes apart: its named groups are the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import ConfigError, Int64s, Options, arrow_type, option
from ingest.connectors.parsers.column_options import check_names, check_types
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import empty_as_null
from ingest.connectors.parsers.text_fit import text_fitter
from ingest.connectors.parsers.text_parser import Fields, Refused, TextParser

NO_MATCH = "no match"

_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_UNNAMED = "a group has no name; write (?P<name>…) for a column, (?:…) for none"


class RegexOptions(Options):
    """Which regular expression, and the types of its groups."""

    pattern: Annotated[
        str,
        option(
            "A regular expression in the syntax of RE2 that finds something in each value; anchor it with ^ and $. Its "
            "named groups are the columns.",
            example=r"^(?P<time>\S+) (?P<level>[A-Z]+) (?P<message>.*)$",
        ),
    ]
    schema: Annotated[
        dict[str, str],
        option("Type of those groups that are no strings.", example={"time": "timestamp"}),
    ] = {}

    def __post_init__(self) -> None:
        """Refuse what RE2 refuses, patterns without columns, and types that no text can have."""
        names = self.names()
        if not names:
            raise ConfigError("pattern", "it has no named group, and so no column; write (?P<name>…)")
        check_names("pattern", names)
        for name in self.schema:
            if name not in names:
                raise ConfigError(f"schema.{name}", f"not among the groups {', '.join(names)}")
        check_types(self.schema, text_fitter)

    def names(self) -> list[str]:
        """Return the groups, in order.

        Raises:
            ConfigError: the pattern is none.
        """
        if _ONE_BYTE.search(self.pattern):
            raise ConfigError("pattern", r"\C would cut characters in two")
        try:
            found = pc.extract_regex(pa.array([], pa.string()), self.pattern)
        except pa.ArrowInvalid as error:
            problem = str(error)
            raise ConfigError("pattern", _UNNAMED if "unnamed" in problem else problem) from error
        return [field.name for field in found.type]


class RegexParser(TextParser[RegexOptions]):
    """Reads the groups of the first place in a value that the pattern matches.

    A group that took no part in the match, or matched nothing, is null. A value without a match is a reject.
    """

    Options: ClassVar[type[RegexOptions]] = RegexOptions

    def __init__(self, options: RegexOptions) -> None:
        super().__init__(options)
        self._schema = pa.schema([(name, arrow_type(options.schema.get(name, "string"))) for name in options.names()])

    def schema(self) -> pa.Schema:
        """Return the columns."""
        return self._schema

    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> Sequence[Fields | Refused]:
        """See `TextParser`."""
        found = pc.extract_regex(text, self.options.pattern)
        matched = found.is_valid().to_numpy(zero_copy_only=False)
        groups = (found.drop_null() if found.null_count else found).flatten()
        fields = dict(zip(self._schema.names, map(empty_as_null, groups), strict=True))
        return Fields(np.flatnonzero(matched), fields), Refused(np.flatnonzero(~matched), NO_MATCH)

    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """See `TextParser`."""
        groups = pc.extract_regex(pa.scalar(text), self.options.pattern).as_py()
        if groups is None:
            raise Reject(NO_MATCH)
        return {name: group or None for name, group in groups.items()}
