"""Whether a gzip file was made of a file that is being read: a table."""

from dataclasses import dataclass

import pytest

from ingest.api import Framing
from ingest.connectors.marks.mark import HEAD, TAIL, Mark
from ingest.connectors.tail.admission import Newcomer, Wait, admit
from ingest.connectors.tail.tailed import TailedFile

LONG = b"".join(b"line %d\n" % number for number in range(2000))
SAME = b"the same line\n" * 1000


@dataclass
class Bytes:
    """A content in memory."""

    data: bytes

    def size(self):
        return len(self.data)

    def pread(self, length, start):
        return self.data[start : start + length]

    def mark(self, start, end):
        return Mark.of(self.data[start:end], end) if end <= len(self.data) else None


def live(data, position, *, compressed=False, due=False):
    head, tail = data[: min(HEAD, position)], data[max(0, position - TAIL) : position]
    return TailedFile(
        generation=1,
        name="/l/app.log",
        path="/l/app.log",
        key=(1, 1),
        serial=1,
        framing=Framing(1000, False),
        position=position,
        sent=position,
        head=Mark.of(head, len(head)),
        tail=Mark.of(tail, position),
        decision="new",
        compressed=compressed,
        due=due,
    )


@pytest.mark.parametrize(
    ("gzip", "original", "now", "waits"),
    [
        # (what was compressed, the live file, what that file holds now)
        (LONG, live(LONG, len(LONG)), LONG, True),
        (LONG, live(LONG, 500), LONG, True),
        (LONG, live(LONG, 0), LONG, True),
        (LONG[:8000], live(LONG, len(LONG)), LONG, True),
        (LONG[:500], live(LONG, len(LONG)), LONG, True),
        # other content
        (SAME, live(LONG, len(LONG)), LONG, False),
        (SAME, live(LONG, 0), LONG, False),
        (LONG, live(LONG[:8000], 8000), LONG[:8000], False),
        (SAME + LONG, live(SAME + SAME, 14_000), SAME + SAME, False),
        (b"", live(LONG, len(LONG)), LONG, False),
        # truncated since it was read: its generation is about to end
        (LONG, live(LONG, len(LONG)), b"new\n", True),
        (SAME, live(LONG, len(LONG)), b"new\n", False),
        # gzip itself: no bytes of it are at hand, marks are
        (LONG, live(LONG, len(LONG), compressed=True), None, True),
        (SAME, live(LONG, len(LONG), compressed=True), None, False),
        (LONG, live(LONG, 2000, compressed=True, due=True), None, True),
        (SAME, live(LONG, 2000, compressed=True, due=True), None, False),
    ],
)
def test_a_gzip_waits_for_a_live_file_of_which_it_may_have_been_made(gzip, original, now, waits):
    newcomer = Newcomer("/l/app.log.1.gz", (1, 2), len(gzip), 0, Bytes(gzip), False, True)

    verdict = admit(newcomer, [], [(original, None if now is None else Bytes(now))])

    assert isinstance(verdict, Wait) == waits
