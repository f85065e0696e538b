"""Access logs of Apache, nginx and others: the common and the combined log format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import pyarrow as pa

from ingest.api import Int64s, Options, arrow_type
from ingest.connectors.parsers.civil import MONTHS
from ingest.connectors.parsers.clf_columns import split
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.text_parser import Fields, TextParser

NOT_A_LOG_LINE = "not a line of the common log format"
NOT_A_TIME = "not a time of the common log format"

_SCHEMA = pa.schema(
    [
        ("host", pa.string()),
        ("identity", pa.string()),
        ("user", pa.string()),
        ("time", arrow_type("timestamp")),
        ("method", pa.string()),
        ("path", pa.string()),
        ("protocol", pa.string()),
        ("request", pa.string()),
        ("status", pa.int32()),
        ("bytes", pa.int64()),
        ("referrer", pa.string()),
        ("user_agent", pa.string()),
        ("rest", pa.string()),
    ]
)
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_HEADS = (
    re.compile(r"([^ ]+) ([^ ]+) ([^ ]*) \[([^\]]*)\] "),
    # Spaces in the host or the user: where it ends is certain only with an identity of "-" and what looks like a time.
    re.compile(
        r'((?:[^ ]+, )*[^ ]+) (-) (.*?) \[(\d\d/\w{3}/\d{4}(?::\d\d){3} [+-]\d{4})\] (?=")', re.DOTALL | re.ASCII
    ),
)
_TAIL = re.compile(rf'{_QUOTED} ([^ "]+) ([^ "]+)(?: {_QUOTED} {_QUOTED}(?: (.*))?)?\r?', re.DOTALL)
_NAMES = ("host", "identity", "user", "time", "request", "status", "bytes", "referrer", "user_agent", "rest")
_REQUEST = re.compile(r"([^ ]+) ([^ ]+) ([^ ]+)")
_TIME = re.compile(rf"(\d\d)/({'|'.join(MONTHS)})/(\d{{4}}):(\d\d:\d\d:\d\d) ([+-]\d{{4}})", re.ASCII)


class ClfOptions(Options):
    """The log format needs no options."""


class ClfParser(TextParser[ClfOptions]):
    r"""Reads `HOST IDENTITY USER [TIME] "REQUEST" STATUS BYTES`, with or without ` "REFERRER" "USER AGENT"` after it.

    `method`, `path` and `protocol` are the parts of a request that has three; any other is kept whole in `request`.
    What follows the user agent goes into `rest`. A user may hold spaces, or nothing; a host may be a list, as a proxy's
    `X-Forwarded-For`. "-" is null. Texts stay as they are written: a backslash and what it escapes (`\"`, `\x22`) are
    both kept. A carriage return at the end is no part of the line.
    """

    Options: ClassVar[type[ClfOptions]] = ClfOptions

    def schema(self) -> pa.Schema:
        """Return the columns, the same for all lines."""
        return _SCHEMA

    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> list[Fields]:
        """See `TextParser`."""
        return split(text)

    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """See `TextParser`."""
        fields = dict(zip(_NAMES, _parts(text.removesuffix("\r")), strict=True))
        fields["time"] = _iso(fields["time"] or "")
        request = _REQUEST.fullmatch(fields["request"] or "")
        if request is not None:
            fields["request"] = None
            fields |= zip(("method", "path", "protocol"), request.groups(), strict=True)
        return {name: None if field == "-" else field for name, field in fields.items()}


def _parts(line: str) -> tuple[str | None, ...]:
    """Return what a line has for each of `_NAMES`."""
    for each in _HEADS:
        head = each.match(line)
        tail = head and _TAIL.fullmatch(line, head.end())
        if head and tail:
            return (*head.groups(), *tail.groups())
    raise Reject(NOT_A_LOG_LINE)


def _iso(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Reject(NOT_A_TIME)
    day, month, year, clock, zone = match.groups()
    return f"{year}-{MONTHS.index(month) + 1:02d}-{day}T{clock}{zone}"
