"""Reads the next chunk of a file as lines, and notices when the bytes before it are no longer those that were read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ingest.api import Lines, long_line, split_lines
from ingest.connectors.marks.mark import HEAD, TAIL, Content, Mark

from .tailed import TailedFile

_SMALL: Final = 64 << 10  # below, a copy is cheaper than keeping the whole chunk in memory until it is acknowledged


@dataclass(frozen=True, slots=True)
class Changed:
    """The file holds other bytes than those that were read: this generation has ended."""

    reason: str


def read(file: TailedFile, content: Content, quantum: int) -> Lines | Changed | None:
    """Read about `quantum` bytes of whole lines and move the file on; None = nothing to hand out (now, or yet).

    Every read begins with the bytes that are marked before the position, in the same system call: a file that was
    truncated and has grown past the position since is found out before a byte of it is handed out.

    Raises:
        OSError: the disk says so; nothing was changed.
    """
    size = content.size()
    boundary = file.boundaries[0] if file.boundaries else None
    if size < max(file.handed_out, file.searched):
        return Changed("reread: shorter than what was read of it")
    if file.proof is not None and not file.proof.matches(content):
        return Changed("reread: the bytes after the position, sent before, changed")
    if size != file.size:  # it grew since it was looked at: somebody still writes
        file.size, file.closing, file.settled = size, False, False
    if not _resolve(file, content):
        return None
    stop = file.goal if boundary is None else min(boundary, file.goal)
    if file.searched:
        return _search(file, content, quantum, stop, boundary)
    begin = file.tail.length
    start = file.position - begin
    want = min(stop - file.position, max(quantum, file.framing.span + file.framing.width))
    buffer = content.pread(begin + want, start)
    if Mark.of(buffer[:begin], file.position) != file.tail:
        return Changed("reread: the bytes before the position changed")
    file.read_to = start + len(buffer)
    closing = _closes(file, boundary)
    settled = file.settled and file.read_to == file.size
    lines = split_lines(buffer, begin, file.position, file.sent, file.framing, closing, settled)
    file.due = file.read_to < file.goal
    if lines.end == file.position:
        if file.read_to - file.position > file.framing.span:
            file.searched = _aligned(file, file.read_to)
        return None
    end = lines.end - start
    head = Mark.of(buffer[: min(HEAD, end)], min(HEAD, end)) if start == 0 and file.head.length < HEAD else file.head
    tail = Mark.of(buffer[max(0, end - TAIL) : end], lines.end)
    file.advance(lines.end, int(lines.positions[-1]), head, tail)
    return _trim(begin, end, lines) if lines.data is buffer else lines


def _closes(file: TailedFile, boundary: int | None) -> bool:
    """Whether what was read up to `read_to` is to be taken even without a newline."""
    return file.read_to == boundary or (file.closing and file.read_to == file.size)


def _resolve(file: TailedFile, content: Content) -> bool:
    """Find out the encoding where the file's first bytes tell; False = they are not there yet."""
    framing = file.framing.resolved(b"") or file.framing.resolved(content.pread(2, 0))
    if framing is None:
        file.due = False
        return False
    file.framing = framing
    return True


def _aligned(file: TailedFile, position: int) -> int:
    """Return the position, or the one before where a character may have begun there."""
    return position - position % file.framing.width


def _trim(begin: int, end: int, lines: Lines) -> Lines:
    if end - begin >= _SMALL:
        return lines
    return replace(lines, data=lines.data[begin:end], starts=lines.starts - begin, ends=lines.ends - begin)


def _search(
    file: TailedFile, content: Content, quantum: int, stop: int, boundary: int | None
) -> Lines | Changed | None:
    """Look for the end of an over-long line, holding no more than a chunk of it."""
    if not file.tail.matches(content):
        return Changed("reread: the bytes before the position changed")
    framing = file.framing
    width = framing.width
    chunk = content.pread(min(quantum, stop - file.searched), file.searched)
    found = framing.find_newline(chunk)
    file.read_to = file.searched + len(chunk)
    partial = found < 0
    if partial and not _closes(file, boundary):
        file.searched = _aligned(file, file.read_to)
        file.due = file.read_to < file.goal
        return None
    end = file.read_to if partial else file.searched + found + width
    length = end - file.position - (0 if partial else width)
    first = content.pread(framing.span + width, file.position)
    tail = content.mark(end - min(TAIL, end), end)
    head = file.head if file.head.length == HEAD else content.mark(0, min(HEAD, end))
    if tail is None or head is None or len(first) <= framing.span:
        return Changed("reread: became shorter while it was read")
    lines = long_line(first, length, partial, end, file.sent, framing)
    file.read_to = end
    file.due = end < file.goal
    file.advance(end, int(lines.positions[-1]), head, tail)
    return lines
