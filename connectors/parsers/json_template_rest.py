"""The column of members that no other column takes, put together from pieces of the lines.

A row's text is `{"a":` value `,"b":` value `}`, without the members that are null; a row without any is null.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_template import Member
from ingest.connectors.parsers.json_template_arrays import Coded, Column, Nulls
from ingest.connectors.parsers.json_template_cells import NULL, Cells
from ingest.connectors.parsers.json_template_match import Group, span
from ingest.connectors.parsers.spans import Bytes, bytes_of, texts

_END = b"}"


def rest_of(cells: Cells, placed: Sequence[Group], taken: Collection[str], kind: pa.DataType) -> Column:
    """Return the members of each line that are not `taken`; the text of each must be canonical."""
    if all(member.name in taken for group in placed for member in group.template.members):
        return Nulls(kind, cells.rows)
    codes = np.full(cells.rows, -1)
    parts = [pa.array([], kind)]
    size = 0
    for group in placed:
        members = [member for member in group.template.members if member.name not in taken]
        if not members:
            continue
        present = np.ones((len(members), len(group.rows)), np.bool_)
        for member, here in zip(members, present, strict=True):
            if not member.nested:
                np.not_equal(cells.kinds[cells.lanes[member.name,]][group.rows], NULL, out=here)
            cells.escaped(group.rows, *span(group, member))
        some = present.any(axis=0)
        if some.any():
            codes[group.rows[some]] = np.arange(size, size + np.count_nonzero(some))
            parts.append(_objects(cells.data, group, members, present, kind).filter(pa.array(some)))
            size += len(parts[-1])
    return Coded(pa.concat_arrays(parts), codes)


def _objects(data: Bytes, group: Group, members: Sequence[Member], present: Bools, kind: pa.DataType) -> pa.Array:
    """Return the text of an object for each line of a group; where no member is present, an empty text."""
    pool, opened, following, end = _pool(data, members)
    rows, width = len(group.rows), 2 * len(members) + 1
    starts = np.empty((rows, width), np.int64)
    ends = np.empty_like(starts)
    begun = np.zeros(rows, np.bool_)
    for number, (member, here) in enumerate(zip(members, present, strict=True)):
        first = here & ~begun
        begun |= here
        name = len(member.name.encode()) + 4
        starts[:, 2 * number] = np.where(first, opened[number], following[number])
        starts[:, 2 * number + 1], ends[:, 2 * number + 1] = span(group, member)
        ends[:, 2 * number] = starts[:, 2 * number] + name
        absent = ~here
        for place in (2 * number, 2 * number + 1):
            ends[absent, place] = starts[absent, place]
    starts[:, -1] = end
    ends[:, -1] = end + begun
    content, bounds = bytes_of(texts(pool, starts.ravel(), ends.ravel(), kind))
    lines = bounds[::width].astype(np.int32)
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(lines), pa.py_buffer(content)])


def _pool(data: Bytes, members: Sequence[Member]) -> tuple[Bytes, Int64s, Int64s, int]:
    """Return the bytes of the lines and of the constant texts, and where in them the latter are."""
    names = [f'"{member.name}":'.encode() for member in members]
    constant = b"".join(b"{" + name + b"," + name for name in names)
    sizes = np.array([len(name) + 1 for name in names])
    opened = len(data) + 2 * (np.cumsum(sizes) - sizes)
    pool = np.concatenate([data, np.frombuffer(constant + _END, np.uint8)])
    return pool, opened, opened + sizes, len(pool) - 1
