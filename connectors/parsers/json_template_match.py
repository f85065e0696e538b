"""Which lines have which JSON templates. See `template_shapes`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.json_template import JsonTemplate, Member, learn
from ingest.connectors.parsers.spans import Bytes
from ingest.connectors.parsers.template_shapes import Placed, TemplateShapes

LEAST = 256
"""Fewer lines are read as fast without templates."""

FEW = 16
"""Fewer lines of one shape are not worth the calls that they cost."""

_SPACE = 0x20

Group: TypeAlias = Placed[JsonTemplate]
"""Lines that have one template; each of their values has a byte at least."""


class Shapes(TemplateShapes[JsonTemplate]):
    """Templates of JSON lines, each of which ends with a brace."""

    shortest = 1
    ending = b"}"

    def __init__(self, least: int = LEAST, few: int = FEW) -> None:
        super().__init__(least, few)

    def learn(self, line: bytes) -> JsonTemplate | None:
        """See `TemplateShapes`."""
        return learn(line)

    def begins(self, data: Bytes, starts: Int64s) -> Bools | np.bool_:
        """Return which lines have no space before the first value: others have a template of their own."""
        found: Bools = data[starts] > _SPACE
        return found


def span(group: Group, member: Member) -> tuple[Int64s, Int64s]:
    """Return where the member's value starts and ends in each line."""
    return group.starts[member.first] - member.opening, group.ends[member.last] + member.closing
