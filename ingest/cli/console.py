"""How commands speak to people: tables that fit a terminal or a pipe, errors in plain lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.service.redaction import escape_controls


def suit_any_locale() -> None:
    """Let a terminal or pipe that does not speak UTF-8 get escapes instead of the program an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def print_line(text: str = "") -> None:
    """Write a line to stdout; control characters in it are escaped."""
    sys.stdout.write(f"{escape_controls(text)}\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to stdout: ruled on a terminal, in aligned columns without colour, rules or wrapping elsewhere."""
    cells = [[escape_controls(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*headers, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell, overflow="fold") for cell in row))
        Console(file=sys.stdout, highlight=False).print(table)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal that something goes on; elsewhere nothing."""
    if not sys.stdout.isatty():
        yield
        return
    with Console(file=sys.stdout, highlight=False).status(escape_controls(text)):
        yield


def print_error(error: Exception) -> None:
    """Write an error to stderr, each of its lines after "error: "."""
    for line in str(error).splitlines() or [type(error).__name__]:
        sys.stderr.write(f"error: {escape_controls(line)}\n")


def flush() -> bool:
    """Hand on what was written; return False when nobody reads it any more.

    Afterwards the interpreter's own last flush has nothing left to complain about.
    """
    whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            whole = False
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return whole
