"""What is done with a file, as tables: from what the chains hold and what is seen of the file."""

import pytest

from ingest.backfill.content import Look
from ingest.backfill.decision import (
    Decision,
    Judged,
    Kind,
    Known,
    Origin,
    Place,
    Relation,
    decide,
    needs_origin,
    relation,
)
from ingest.backfill.generations import HEAD, RUNGS, generation_of, rungs

HERE = Place("h", "/a.log")
THERE = Place("h", "/b.log")
FREE = 99
BIG = 10 * HEAD


def known(length, generation=1, *, place=HERE, finished=True, again=False, longest=True, marks=None, digest="d"):
    return Known(generation, length, digest if length else None, place, finished, again, longest, marks or {})


@pytest.mark.parametrize(
    ("chain", "length", "digests", "expected"),
    [
        (known(0), 10, {}, Relation.BEGUN),
        (known(10), 10, {10: "d"}, Relation.SAME),
        (known(10), 10, {10: "x"}, Relation.OTHER),
        (known(10), 15, {10: "d"}, Relation.LONGER),
        (known(10), 15, {10: "x"}, Relation.OTHER),
        (known(10), 7, {7: "p"}, Relation.SHORTER),
        (known(10, marks={5: "m", 10: "d"}), 7, {5: "m", 7: "p"}, Relation.SHORTER),
        (known(10, marks={5: "m", 10: "d"}), 7, {5: "x", 7: "p"}, Relation.OTHER),
        (known(10, marks={5: "m", 10: "d"}), 5, {5: "m"}, Relation.WITHIN),
        (known(10, marks={5: "m", 10: "d"}), 5, {5: "x"}, Relation.OTHER),
    ],
)
def test_contents_are_compared_by_their_bytes_alone(chain, length, digests, expected):
    assert relation(chain, Look(length, digests)) is expected


@pytest.mark.parametrize(
    ("related", "finished", "expected"),
    [
        (Relation.BEGUN, True, False),
        (Relation.SAME, True, False),
        (Relation.OTHER, True, False),
        (Relation.LONGER, False, False),
        (Relation.LONGER, True, True),
        (Relation.SHORTER, True, True),
        (Relation.WITHIN, True, True),
    ],
)
def test_the_place_of_a_known_content_matters_only_where_bytes_do_not_decide(related, finished, expected):
    assert needs_origin(known(10, finished=finished), related) is expected


def decided(length, *judged, again=False):
    return decide(HERE, Look(length, {}), [Judged(*one) for one in judged], FREE, again=again)


NEW = Decision(Kind.NEW, FREE)
ALL_ORIGINS = list(Origin)
GONE_OR_HERE = [Origin.HERE, Origin.GONE]
ELSEWHERE = [Origin.INTACT, Origin.FOREIGN]


def test_a_file_without_content_is_nothing_to_take():
    assert decided(0) == Decision(Kind.EMPTY)


def test_an_unknown_content_is_begun():
    assert decided(10) == NEW


def test_another_content_with_the_same_head_is_begun_beside_it():
    assert decided(10, (known(10), Relation.OTHER, Origin.HERE)) == NEW


def test_the_same_content_is_there_already():
    assert decided(10, (known(10), Relation.SAME, Origin.HERE)) == Decision(Kind.THERE, 1, 10)


def test_the_same_content_under_another_path_is_said_to_be_the_same():
    assert decided(10, (known(10, place=THERE), Relation.SAME, Origin.HERE)) == Decision(Kind.SAME_AS, 1, 10, THERE)


def test_again_takes_whatever_is_known():
    assert decided(10, (known(10), Relation.SAME, Origin.HERE), again=True) == NEW


@pytest.mark.parametrize("origin", GONE_OR_HERE)
def test_a_grown_file_goes_on_where_it_ended(origin):
    place = HERE if origin is Origin.HERE else THERE
    expected = Decision(Kind.RESUME, 1, 10, None if place == HERE else THERE)

    assert decided(15, (known(10, place=place), Relation.LONGER, origin)) == expected


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_a_file_that_begins_with_all_of_another_small_one_is_a_file_of_its_own(origin):
    assert decided(15, (known(10, place=THERE), Relation.LONGER, origin)) == NEW


@pytest.mark.parametrize("origin", ALL_ORIGINS)
def test_what_begins_with_all_of_a_large_content_is_that_content_grown(origin):
    chain = known(HEAD, place=THERE)

    assert decided(BIG, (chain, Relation.LONGER, origin)) == Decision(Kind.RESUME, 1, HEAD, THERE)


@pytest.mark.parametrize("origin", ALL_ORIGINS)
def test_a_run_that_was_killed_is_completed_from_any_place(origin):
    chain = known(10, place=THERE, finished=False)

    assert decided(15, (chain, Relation.LONGER, origin)) == Decision(Kind.RESUME, 1, 10, THERE)


def test_a_killed_second_taking_is_completed_although_the_first_one_is_there():
    first, second = known(15, 1), known(7, 2, finished=False, again=True)

    chosen = decided(15, (first, Relation.SAME, Origin.HERE), (second, Relation.LONGER, Origin.HERE))

    assert chosen == Decision(Kind.RESUME, 2, 7)


@pytest.mark.parametrize("begun", [known(7, 2, finished=False), known(7, 2, finished=False, again=True, place=THERE)])
def test_a_content_that_is_there_does_not_complete_another_one_that_begins_alike(begun):
    chosen = decided(15, (known(15, 1), Relation.SAME, Origin.HERE), (begun, Relation.LONGER, Origin.HERE))

    assert chosen == Decision(Kind.THERE, 1, 15)


def test_a_file_goes_on_in_its_own_chain_also_where_another_holds_more_that_is_alike():
    own, other = known(7, 1), known(10, 2, place=THERE, finished=False)

    chosen = decided(15, (own, Relation.LONGER, Origin.HERE), (other, Relation.LONGER, Origin.HERE))

    assert chosen == Decision(Kind.RESUME, 1, 7)


def test_a_content_that_was_taken_twice_and_has_grown_goes_on_once():
    copies = [(known(10, generation), Relation.LONGER, Origin.HERE) for generation in (1, 2)]
    assert decided(15, *copies) == Decision(Kind.RESUME, 1, 10)

    grown = [(known(15, 1), Relation.SAME, Origin.HERE), (known(10, 2), Relation.LONGER, Origin.HERE)]
    assert decided(15, *grown) == Decision(Kind.THERE, 1, 15)


@pytest.mark.parametrize("origin", [Origin.HERE, Origin.GONE, Origin.FOREIGN])
@pytest.mark.parametrize("length", [7, BIG])
def test_a_person_is_asked_about_what_may_be_a_part_of_what_is_known(origin, length):
    chain = known(length + 3, place=THERE)

    assert decided(length, (chain, Relation.SHORTER, origin)) == Decision(Kind.UNCLEAR, 1, length + 3, THERE)


@pytest.mark.parametrize("origin", [Origin.HERE, Origin.GONE, Origin.FOREIGN])
def test_a_small_part_is_not_taken_for_the_same_by_chance(origin):
    assert decided(7, (known(10), Relation.WITHIN, origin)).kind is Kind.UNCLEAR


@pytest.mark.parametrize("origin", [Origin.INTACT, Origin.INTACT_LONGER])
@pytest.mark.parametrize("related", [Relation.WITHIN, Relation.SHORTER])
def test_a_small_file_beside_one_that_begins_with_it_is_a_file_of_its_own(related, origin):
    assert decided(7, (known(10, place=THERE), related, origin)) == NEW


@pytest.mark.parametrize(
    ("related", "origin", "expected"),
    [
        (Relation.WITHIN, Origin.FOREIGN, Kind.SAME_AS),
        (Relation.WITHIN, Origin.GONE, Kind.SAME_AS),
        (Relation.SHORTER, Origin.INTACT_LONGER, Kind.SAME_AS),
        (Relation.SHORTER, Origin.INTACT, Kind.NEW),
    ],
)
def test_a_large_part_is_there_where_that_is_proven(related, origin, expected):
    assert decided(HEAD, (known(BIG, place=THERE), related, origin)).kind is expected


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ([known(0, 1)], 1),
        ([known(0, 1, place=THERE)], 1),
        ([known(0, 1, place=THERE, longest=False)], FREE),
        ([known(0, 1, longest=False)], 1),
        ([known(0, 1, place=THERE), known(0, 2, longest=False)], 2),
    ],
)
def test_a_chain_that_has_begun_without_content_is_used_where_a_rival_would_be_met(begun, expected):
    judged = [(chain, Relation.BEGUN, Origin.HERE) for chain in begun]

    assert decided(10, *judged) == Decision(Kind.NEW, expected)


def test_a_proof_comes_before_a_doubt():
    part = (known(20, 1), Relation.SHORTER, Origin.HERE)
    same = (known(10, 2), Relation.SAME, Origin.HERE)

    assert decided(10, part, same) == Decision(Kind.THERE, 2, 10)


# ── generations ──────────────────────────────────────────────────────────────────


def test_a_content_that_grows_keeps_all_the_rungs_that_it_had():
    content = bytes(range(256)) * 1000
    seen = set()
    for length in (0, 1, 3, 4, 100, 5000, HEAD - 1, HEAD, len(content)):
        now = set(rungs(content[:length]))
        assert seen <= now
        seen |= now


def test_the_longest_rung_comes_first_and_none_is_longer_than_the_head():
    assert [len(rung) for rung in rungs(b"x" * (HEAD + 5))] == list(RUNGS)
    assert max(RUNGS) == HEAD
    assert [len(rung) for rung in rungs(b"x" * 20)] == [16, 4, 1]
    assert rungs(b"") == []


def test_generations_differ_by_head_and_salt_and_are_always_the_same():
    made = {generation_of(head, salt) for head in (b"a", b"b", b"aa") for salt in range(100)}

    assert len(made) == 300
    assert all(0 <= generation < 1 << 64 for generation in made)
    assert generation_of(b"a line", 1) == 0xAA2FCD089D3E375E
