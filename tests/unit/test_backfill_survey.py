"""What is looked at before a decision, with chains that are only said to be there."""

import gzip
import hashlib

import pytest

from ingest.backfill.chains import with_head
from ingest.backfill.content import Content, Look
from ingest.backfill.decision import Decision, Kind, Known, Origin, Place
from ingest.backfill.generations import HEAD, generation_of, rungs
from ingest.backfill.survey import origin, survey

A = b"".join(b"line %d\n" % number for number in range(100))


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Chains(dict):
    """generation → Known; what was asked for is remembered."""

    def __init__(self):
        super().__init__()
        self.marked = {}
        self.asked = []

    def hold(self, content, path, *, salt=0, host="h", marks=(), finished=True):
        """Pretend that a content was taken."""
        generation = generation_of(rungs(content)[0], salt)
        self[generation] = Known(generation, len(content), digest(content), Place(host, path), finished)
        self.marked[generation] = {at: digest(content[:at]) for at in (*marks, len(content))}
        return generation

    def begin(self, content, path):
        """Pretend that a chain was begun, and that its run was killed."""
        generation = generation_of(rungs(content)[0], 0)
        self[generation] = Known(generation, 0, None, Place("", path), False)
        return generation

    def find(self, generation):
        self.asked.append(generation)
        return self.get(generation)

    def marks(self, generation):
        return self.marked[generation]


@pytest.fixture
def chains():
    return Chains()


def look(tmp_path, chains, content, name="a.log", *, again=False):
    path = tmp_path / name
    path.write_bytes(content)
    return survey(Place("h", str(path)), str(path), chains, Content, again=again)


def test_nothing_known_begins_under_the_longest_rung(tmp_path, chains):
    found = look(tmp_path, chains, A)

    assert found.decision == Decision(Kind.NEW, generation_of(A[:256], 0))
    assert len(chains.asked) == 5


def test_salts_are_tried_until_one_is_free(tmp_path, chains):
    for salt in range(3):
        chains.hold(A + b"%d" % salt, "/b.log", salt=salt)

    found = look(tmp_path, chains, A + b"another")

    assert found.decision == Decision(Kind.NEW, generation_of(A[:256], 3))
    assert found.seen == {generation_of(A[:256], salt) for salt in range(3)}


def test_a_content_that_grew_over_a_rung_is_found_under_the_shorter_one(tmp_path, chains):
    generation = chains.hold(A[:100], str(tmp_path / "a.log"))

    found = look(tmp_path, chains, A)

    assert found.decision == Decision(Kind.RESUME, generation, 100)
    assert found.matching == (generation,)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_the_same_content_is_found_whatever_it_is_packed_in(tmp_path, chains, compress):
    generation = chains.hold(A, "/b.log")

    found = look(tmp_path, chains, compress(A))

    assert found.decision == Decision(Kind.SAME_AS, generation, len(A), Place("h", "/b.log"))


def test_earlier_commits_tell_that_a_shorter_file_is_another_content(tmp_path, chains):
    chains.hold(A, "/gone.log", marks=(290, 600))

    found = look(tmp_path, chains, A[:280] + b"another" + A[:100])

    assert found.decision == Decision(Kind.NEW, generation_of(A[:256], 1))


def test_a_shorter_file_that_nothing_tells_apart_is_for_a_person(tmp_path, chains):
    generation = chains.hold(A, "/gone.log", marks=(600,))

    found = look(tmp_path, chains, A[:300])

    assert found.decision == Decision(Kind.UNCLEAR, generation, len(A), Place("h", "/gone.log"))


def test_files_with_the_same_banner_are_files_of_their_own(tmp_path, chains):
    banner = tmp_path / "banner.log"
    banner.write_bytes(A[:300])
    chains.hold(A[:300], str(banner))

    assert look(tmp_path, chains, A).decision == Decision(Kind.NEW, generation_of(A[:256], 1))

    chains.clear()
    longer = tmp_path / "longer.log"
    longer.write_bytes(A)
    chains.hold(A, str(longer))
    assert look(tmp_path, chains, A[:300]).decision == Decision(Kind.NEW, generation_of(A[:256], 1))


def test_a_copy_of_the_beginning_of_a_large_log_is_in_it(tmp_path, chains):
    log = A * 200
    place = tmp_path / "log"
    place.write_bytes(log)
    generation = chains.hold(log, str(place))

    found = look(tmp_path, chains, log[: HEAD + 100])

    assert found.decision == Decision(Kind.SAME_AS, generation, len(log), Place("h", str(place)))


def test_a_run_that_was_killed_before_its_first_commit_goes_on_in_its_chain(tmp_path, chains):
    generation = chains.begin(A[:100], str(tmp_path / "a.log"))

    assert look(tmp_path, chains, A).decision == Decision(Kind.NEW, generation)


def test_again_begins_beside_everything(tmp_path, chains):
    chains.hold(A, str(tmp_path / "a.log"))

    assert look(tmp_path, chains, A, again=True).decision == Decision(Kind.NEW, generation_of(A[:256], 1))


def test_an_empty_file_asks_for_no_chain(tmp_path, chains):
    assert look(tmp_path, chains, b"").decision == Decision(Kind.EMPTY)
    assert chains.asked == []


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, Origin.GONE),
        (A, Origin.INTACT),
        (A + b"more\n", Origin.GONE),
        (A[:-1], Origin.GONE),
        (A.replace(b"7", b"8"), Origin.GONE),
    ],
)
def test_the_place_of_a_known_content_is_looked_at(tmp_path, compress, there, expected):
    place = tmp_path / "b.log"
    if there is not None:
        place.write_bytes(compress(there))
    known = Known(1, len(A), digest(A), Place("h", str(place)))

    assert origin(Place("h", "/a.log"), known, Look(2000, {}), Content) is expected


def test_another_host_or_a_directory_says_nothing(tmp_path):
    for place in (Place("other", "/a.log"), Place("h", str(tmp_path))):
        known = Known(1, len(A), digest(A), place)
        assert origin(Place("h", "/a.log"), known, Look(2000, {}), Content) is Origin.FOREIGN


def test_chains_of_the_longest_rung_are_told_from_others(chains):
    short, long = chains.hold(A[:20], "/a"), chains.hold(A, "/b")

    found = with_head(chains, A)

    assert [(known.generation, known.longest_rung) for known in found.known] == [(long, True), (short, False)]
    assert found.free == generation_of(A[:256], 1)
