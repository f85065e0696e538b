"""Names that rotation gives: which file is a rotated form of which, and what is compressed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_ENDING = re.compile(r"[._-](?:\d[\w.:-]*|old|bak|prev)$", re.ASCII)
_SEPARATORS = frozenset("._-")
_GZIP = ".gz"


def originals(path: str) -> Iterator[str]:
    """Yield the file names (not paths: rotated files may live elsewhere) that `path` may be a rotated form of.

    `app.log.1` and `app.log-20261123` are rotated forms of `app.log`.
    """
    name = os.path.basename(path)
    for place, letter in enumerate(name):
        if place and letter in _SEPARATORS and _ENDING.match(name, place):
            yield name[:place]


def is_compressed(path: str) -> bool:
    """Whether the name says that the bytes are not text."""
    return path.endswith(_GZIP)


def plain_name(path: str) -> str:
    """Return the file name (not path) that a file has or, if the name says that it is compressed, had before."""
    return os.path.basename(path).removesuffix(_GZIP)


def family(path: str) -> str:
    """Return the file name that all rotated forms of one file have in common, compressed ones too."""
    name = plain_name(path)
    return next(originals(name), name)
