"""What one line of logfmt shows of others like it. See `template`.

A *mark* is the first = after each space, and after the start of the line: a value begins behind it, if the space is not
in a quoted one.
"""

from __future__ import annotations

import re

import numpy as np

from ingest.api import Bools, Int64s
from ingest.connectors.parsers.logfmt_pairs import pairs
from ingest.connectors.parsers.reasons import Reject
from ingest.connectors.parsers.spans import Bytes
from ingest.connectors.parsers.template import Leaf, Template
from ingest.connectors.parsers.template_shapes import TemplateShapes

TELLING = 1
"""Before a mark is one byte of a key, or a space."""

MOST_MARKS = 256
"""Lines with more marks than this are not learned from."""

_EQUALS, _SPACE = b"= "
_MARK = re.compile(rb"(?:^|(?<= ))[^ =]*=")


def marks_in(plain: Bytes, quoted: Bools, bounds: Int64s) -> Int64s:
    """Return the marks of lines; see `template_scan.Finder`."""
    equals = plain == _EQUALS
    at = np.flatnonzero(equals | (plain == _SPACE))
    is_mark = equals[at]
    after = np.concatenate([[False], is_mark[:-1]])
    first = np.searchsorted(at, bounds[:-1])
    after[first[first < len(at)]] = False
    is_mark &= ~after
    marks: Int64s = at[is_mark]
    return marks


class LogfmtShapes(TemplateShapes[Template]):
    """Templates of lines of logfmt in which no key stands alone. A value may be empty."""

    shortest = 0
    ending = b""

    def learn(self, line: bytes) -> Template | None:
        """See `TemplateShapes`."""
        marks = [match.end() - 1 for match in _MARK.finditer(line)]
        try:
            # As many characters as bytes.
            found = list(pairs(line.decode("latin-1")))
        except Reject:
            return None
        if len(marks) > MOST_MARKS or len({pair.key for pair in found}) < len(found):
            return None
        leaves, end = [], 0
        for pair in found:
            if pair.value is None or pair.value[0] - 1 not in marks:
                return None
            start = pair.value[0]
            leaves.append(Leaf((pair.key.encode("latin-1").decode(),), marks.index(start - 1), 1, line[end:start]))
            end = pair.value[1]
        constant = b"".join(leaf.before for leaf in leaves) + line[end:]
        return Template(len(marks), tuple(leaves), line[end:]) if leaves and b"\\" not in constant else None
