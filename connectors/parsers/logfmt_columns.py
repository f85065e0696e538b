"""Lines of logfmt that have a template into columns of texts.

The constant texts of a template are proven to be there. What is left to prove is that each value is one: that a bare
one holds no space, and a quoted one no quote but those around it. Control characters and wrong escapes are in no line
that has a template; escapes anywhere but in quotes, where they mean nothing, make a line unfit.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.escapes import holding, unescaped
from ingest.connectors.parsers.spans import QUOTE, bytes_of, string_columns
from ingest.connectors.parsers.template import Template
from ingest.connectors.parsers.template_scan import Scan
from ingest.connectors.parsers.template_shapes import Placed
from ingest.connectors.parsers.text_parser import Fields

_SPACE, _UNICODE, _SLASH = b" u/"


def fields_of(scan: Scan, group: Placed[Template], taken: Collection[str], rest: str | None) -> Fields:
    """Return the values of those lines of a group that are proven to be of logfmt.

    Args:
        scan: of the lines.
        group: those that have one template.
        taken: keys that have a column.
        rest: the column for other keys, None = they are left out.
    """
    names = [leaf.path[0] for leaf in group.template.leaves]
    starts, ends, quoted, fits = _inner(scan, group)
    every = np.ones(starts.shape, np.bool_)
    columns = string_columns(scan.data, starts, ends, every)
    looked = string_columns(scan.plain, starts, ends, every) if len(scan.escapes) else columns
    others = [number for number, name in enumerate(names) if name not in taken] if rest is not None else []
    for number, column in enumerate(looked):
        _refuse(column, quoted[number], fits, number in others)
    if len(scan.escapes):
        fits &= ~(holding(scan.escapes, starts, ends) & ~quoted).any(axis=0)
        fits &= ~holding(_foreign(scan), starts[others], ends[others]).any(axis=0)
    if not fits.all():
        columns = [column.filter(pa.array(fits)) for column in columns]
    fields = dict(zip(names, map(unescaped, columns) if len(scan.escapes) else columns, strict=True))
    if others and rest is not None:
        fields[rest] = _objects([names[number] for number in others], [columns[number] for number in others])
    return Fields(group.rows[fits], fields)


def _inner(scan: Scan, group: Placed[Template]) -> tuple[Int64s, Int64s, Bools, Bools]:
    """Return where texts start and end, without quotes, which are quoted, and which lines may be right so far."""
    starts, ends = group.starts, group.ends
    fits = np.ones(len(group.rows), np.bool_)
    quoted = (scan.data.take(starts, mode="clip") == QUOTE) & (ends > starts)
    if quoted.any():
        closed = (ends - starts > 1) & (scan.plain[ends - 1] == QUOTE)
        fits = (closed | ~quoted).all(axis=0)
        quoted &= closed
    return starts + quoted, ends - quoted, quoted, fits


def _refuse(column: pa.StringArray, quoted: Bools, fits: Bools, plain: bool) -> None:
    """Clear `fits` of lines whose text is no value.

    Args:
        column: the texts, with escapes filled in.
        quoted: bool[n], which of them were in quotes.
        fits: bool[n].
        plain: quotes are allowed nowhere.
    """
    data, bounds = bytes_of(column)
    data, bounds = data[bounds[0] : bounds[-1]], bounds - bounds[0]
    if not len(data) or (not plain and not quoted.any() and int(data.min()) > _SPACE):
        return
    suspect = data == QUOTE
    if not quoted.all():
        suspect |= data == _SPACE
    if not suspect.any():
        return
    places = np.flatnonzero(suspect)
    lines = np.searchsorted(bounds, places, "right") - 1
    spaces = data[places] == _SPACE
    fits[lines[np.where(spaces, ~quoted[lines], quoted[lines] | plain)]] = False


def _foreign(scan: Scan) -> Int64s:
    """Return the escapes that the reference would write in another way."""
    letters = scan.data[scan.escapes + 1]
    found: Int64s = scan.escapes[(letters == _UNICODE) | (letters == _SLASH)]
    return found


def _objects(names: list[str], columns: list[pa.StringArray]) -> pa.StringArray:
    """Return JSON texts of objects; what needs an escape in the columns has it."""
    pieces = []
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        opening = "{" if number == 0 else '",'
        pieces += [f'{opening}{json.dumps(name, ensure_ascii=False)}:"', column]
    return pc.binary_join_element_wise(*pieces, '"}', "")
