"""What lines of one shape have in common: constant texts, and between them the places of values.

Programs write the same fields in the same order, so that most of their lines are the same texts with values between
them. A template is what is constant. `template_scan` finds *marks* in many lines at once, places that most values begin
at; `template_shapes` learns templates from single lines and proves by the marks which lines have them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is read as a whole.

    Attributes:
        path: the names that lead to it.
        mark: which mark of the line is that of its name.
        lead: bytes from its mark to its start.
        before: the constant text between it and the leaf before it, or the start of the line.
    """

    path: tuple[str, ...]
    mark: int
    lead: int
    before: bytes


@dataclass(frozen=True, slots=True)
class Template:
    """What lines of one shape have in common.

    Attributes:
        marks: how many marks a line has.
        leaves: the values, at least one, in the order of the line.
        after: the constant text after the last leaf.
    """

    marks: int
    leaves: tuple[Leaf, ...]
    after: bytes
