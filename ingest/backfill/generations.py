"""The generation of a content that never was in Kafka: made from its first bytes, so that every run finds it again.

A file grows, and while it is small its first bytes become more. So heads have a few fixed lengths, the rungs of a
ladder; a content is begun under the longest rung that it reaches, and looked for under every shorter one. Contents with
the same head are told apart by a salt.
"""

from __future__ import annotations

import hashlib
from typing import Final

HEAD: Final = 64 << 10
"""Bytes of the longest rung."""

RUNGS: Final = tuple(4**power for power in range(8, -1, -1))
"""The lengths of heads, the longest first."""


def rungs(head: bytes) -> list[bytes]:
    """Return the heads under which a content may be known, the longest first; none for no content."""
    return [head[:rung] for rung in RUNGS if rung <= len(head)]


def generation_of(head: bytes, salt: int) -> int:
    """Return the unsigned 64-bit id of the content number `salt` that begins with this head (one of `rungs`)."""
    digest = hashlib.blake2b(head, digest_size=8, salt=salt.to_bytes(8, "big"), person=b"ingest-backfill")
    return int.from_bytes(digest.digest(), "big")
