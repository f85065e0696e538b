r"""Bytes → columns of lines: where each starts and ends, which are cut, which are dropped.

    framing     what a line is: how long it may be, its encoding, what makes an event of several, what is left out
    split       `split_lines`, `long_line`: pure functions of the bytes and their position alone
    events      lines that belong together (a traceback) become one
    encoding    UTF-16 and other encodings than UTF-8, where their newlines are
    assembler   for bytes that come once and in pieces

Reading the same bytes again gives the same lines with the same positions, however they were divided into chunks.
"""

from ingest.lines.assembler import Assembler
from ingest.lines.events import wanted_lines
from ingest.lines.framing import Framing, check_framing
from ingest.lines.split import EMPTY, EXCLUDED, HOLE, PARTIAL, TRUNCATED, Lines, cut, long_line, split_lines

__all__ = [
    "EMPTY",
    "EXCLUDED",
    "HOLE",
    "PARTIAL",
    "TRUNCATED",
    "Assembler",
    "Framing",
    "Lines",
    "check_framing",
    "cut",
    "long_line",
    "split_lines",
    "wanted_lines",
]
