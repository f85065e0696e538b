import os

import pytest

from ingest.connectors.marks.mark import HEAD, TAIL, Mark
from ingest.connectors.tail.identity import Evidence, decide, examine
from ingest.connectors.tail.plain import Plain
from ingest.connectors.tail.rotation import family, originals


@pytest.mark.parametrize(
    ("kinship", "known", "read", "size", "head", "tail", "same", "reason"),
    [
        # (what it is)                                          same?
        ("inode", 100, 500, 500, True, True, True, "resumed: head and tail match"),
        ("inode", 100, 500, 900, True, True, True, "resumed: head and tail match"),
        ("inode", 0, 0, 0, True, True, True, "resumed: same inode, nothing was read of it"),
        ("inode", 0, 0, 700, True, True, True, "resumed: same inode, nothing was read of it"),
        # truncated, or the inode used again: shorter, equal, longer content
        ("inode", 100, 500, 0, False, False, False, "reread: shorter than what was read of it"),
        ("inode", 100, 500, 499, True, False, False, "reread: shorter than what was read of it"),
        ("inode", 100, 500, 500, False, False, False, "reread: its head changed"),
        ("inode", 100, 500, 900, False, True, False, "reread: its head changed"),
        # copytruncate with the same header
        ("inode", HEAD, 5000, 9000, True, False, False, "reread: the bytes before the position changed"),
        # mounted again
        ("device", 100, 500, 500, True, True, True, "resumed: on another device, head and tail match"),
        ("device", 100, 500, 400, True, False, False, "reread: shorter than what was read of it"),
        ("device", 0, 0, 700, True, True, False, "new: nothing known to compare with"),
        # rotated copy of a file that was truncated
        ("copy", 17, 17, 500, True, True, True, "resumed: in its rotated copy, head and tail match"),
        ("copy", 0, 0, 500, True, True, False, "new: nothing known to compare with"),
        ("copy", 17, 170, 100, True, False, False, "reread: shorter than what was read of it"),
        # restored or moved; two files with the same head
        ("content", HEAD, 5000, 5000, True, True, True, "resumed: under another inode, head and tail match"),
        ("content", HEAD, 5000, 9000, True, False, False, "reread: the bytes before the position changed"),
        (
            "content",
            HEAD - 1,
            HEAD - 1,
            9000,
            True,
            True,
            False,
            "new: too little is known to trust a match of content alone",
        ),
    ],
)
def test_the_decision_follows_the_evidence(kinship, known, read, size, head, tail, same, reason):
    decision = decide(Evidence(kinship, known, read, size, head, tail))

    assert (decision.same, decision.reason) == (same, reason)


@pytest.fixture
def examined(tmp_path):
    """Mark `old` as read to its end, then look at a file with `new` in it."""

    def look(old, new, kinship="inode"):
        path = tmp_path / "file"
        path.write_bytes(new)
        fd = os.open(path, os.O_RDONLY)
        try:
            return decide(
                examine(
                    Plain(fd),
                    kinship,
                    Mark.of(old[:HEAD], min(HEAD, len(old))),
                    Mark.of(old[-TAIL:], len(old)),
                    len(old),
                )
            )
        finally:
            os.close(fd)

    return look


HEADER = b"date,time,status\n" * 100
SAME = b"the same line\n" * 1000


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (b"a\nb\n", b"a\nb\n", True),
        (b"a\nb\n", b"a\nb\nc\n", True),
        (b"a\nb\n", b"a\n", False),
        (b"a\nb\n", b"c\nd\n", False),
        (b"a\nb\n", b"c\nd\ne\n", False),
        (HEADER + b"1\n", HEADER + b"2\n3\n", False),
        (HEADER + b"1\n" + SAME, HEADER + b"2\n" + SAME + SAME, True),
        (SAME[:700] + b"x\n" + SAME, SAME[:700] + b"y\n" + SAME, False),
        (SAME + b"x\n" + SAME[:2800], SAME + b"y\n" + SAME[:2800], False),
    ],
    ids=["equal", "grown", "shorter", "other", "other-longer", "same-header", "beyond-the-marks", "head", "tail"],
)
def test_content_is_told_apart_where_the_marks_can_see_it(examined, old, new, same):
    """What lies between the marks of a file is not looked at: "beyond-the-marks" says so."""
    assert examined(old, new).same == same


@pytest.mark.parametrize(
    ("path", "original", "expected"),
    [
        ("/l/app.log.1", "/l/app.log", True),
        ("/old/app.log.12", "/l/app.log", True),
        ("/l/app.log-20261123", "/l/app.log", True),
        ("/l/app.log.2026-11-23", "/l/app.log", True),
        ("/l/app.log.old", "/l/app.log", True),
        ("/l/app.log", "/l/app.log", False),
        ("/l/app.log.error", "/l/app.log", False),
        ("/l/app-error.log", "/l/app.log", False),
        ("/l/app.log.2", "/l/app.log.1", False),
        ("/l/other.log.1", "/l/app.log", False),
    ],
)
def test_rotated_names_are_known(path, original, expected):
    assert (os.path.basename(original) in originals(path)) == expected


@pytest.mark.parametrize(
    "name", ["app.log", "app.log.1", "app.log.1.gz", "app.log.gz", "app.log-20261123.gz", "app.log.2026-11-23.1.gz"]
)
def test_all_rotated_forms_of_a_name_are_one_family(name):
    assert family(f"/somewhere/{name}") == "app.log"


def test_a_mark_survives_json_and_nonsense_is_refused():
    mark = Mark.of(b"abc", 10)

    assert Mark.from_json(mark.to_json()) == mark
    for nonsense in (None, [], [1, 2], ["a", 1, "b"], [1, 2, "b"], 7):
        with pytest.raises((TypeError, ValueError)):
            Mark.from_json(nonsense)
