import itertools

import pytest

from ingest.commit import names
from ingest.commit.names import ChainKey, FinalName

LONG = "a" * 249


@pytest.mark.parametrize(
    ("topic", "part"),
    [
        ("app-logs", "app-logs"),
        ("a.b_c", "a.b_c"),
        ("_ingest", "%5Fingest"),
        (".hidden", "%2Ehidden"),
        ("..", "%2E."),
        ("a/b", "a%2Fb"),
        ("a=b+c~d%e", "a%3Db%2Bc%7Ed%25e"),
        ("ü", "%C3%BC"),
        (LONG, LONG),
    ],
)
def test_a_topic_becomes_one_safe_visible_part(topic, part):
    assert names.topic_part(topic) == part


def test_an_empty_topic_is_refused():
    with pytest.raises(ValueError, match="topic"):
        ChainKey("", 0)
    with pytest.raises(ValueError, match="empty"):
        names.escape("")


def test_long_topics_are_shortened_and_never_meet():
    topics = ["x" * 300 + str(number) for number in range(50)] + ["x" * length for length in range(200, 320)]
    parts = [names.topic_part(topic) for topic in topics]
    assert len(set(parts)) == len(topics)
    assert max(map(len, parts)) <= 255
    files = [names.final_name(topic, 7, 3, 0, 1) for topic in topics]
    assert len(set(files)) == len(topics)
    assert max(map(len, files)) <= 255


@pytest.mark.parametrize("topic", ["t", "_" + "z" * 248, "ü" * 120])
@pytest.mark.parametrize("partition", [0, 2147483647, "backfill/00112233445566ff"])
@pytest.mark.parametrize("era", [0, 1, 10**18])
def test_no_part_of_any_path_is_longer_than_255_bytes(topic, partition, era):
    key = ChainKey(topic, partition)
    last = 2**63 - 1
    paths = [
        names.start_path(key, era),
        names.commit_path(key, era, last),
        names.stage_path(key, era, last, "f" * 32),
        names.archive_path(key, era, last),
        names.schema_path(topic, 10**9),
        names.beginning_path(topic),
        names.final_path(topic, "dt=1/hour=2", partition, era, last, last),
        names.quarantine_path(topic, "", partition, era, last, last),
    ]
    for path in paths:
        assert all(0 < len(part.encode()) <= 255 for part in path.split("/"))


def test_paths_are_those_of_the_design():
    key = ChainKey("app-logs", 3)
    assert names.start_path(key, 0) == "_ingest/app-logs/3/0/start.json"
    assert names.commit_path(key, 0, 42) == "_ingest/app-logs/3/0/commits/00000000000000000042.json"
    assert names.stage_path(key, 1, 42, "u-1") == "_ingest/app-logs/3/1/stage/00000000000000000042+u-1.parquet"
    assert names.archive_path(key, 0, 42) == "_ingest/app-logs/3/0/archive/00000000000000000042.parquet"
    assert names.schema_path("app-logs", 2) == "_ingest/app-logs/schema/2.json"
    assert names.final_path("app-logs", "dt=2026-11-23/hour=01", 3, 0, 42, 99) == (
        "app-logs/dt=2026-11-23/hour=01/app-logs+3+00000000000000000042+00000000000000000099.parquet"
    )
    assert names.quarantine_path("app-logs", "dt=x", 3, 2, 42, 99) == (
        "_quarantine/app-logs/dt=x/app-logs+3+e2+00000000000000000042+00000000000000000099.parquet"
    )
    assert names.start_path(ChainKey.backfill("app-logs", 0xAB), 0) == (
        "_ingest/app-logs/backfill/00000000000000ab/0/start.json"
    )


def test_final_names_of_different_commits_never_meet():
    """Topics, partitions, eras and first offsets all tell names apart; ranges of one era are disjoint."""
    partitions = [0, 1, 11, "backfill/0000000000000001", "backfill/0000000000000011"]
    ranges = [(0, 0), (1, 1), (2, 11), (12, 12)]
    combinations = itertools.product(["t", "t+1", "t+1+e1", "T"], partitions, [0, 1, 11], ranges)
    paths = [
        place(topic, "dt=1", partition, era, first, last)
        for topic, partition, era, (first, last) in combinations
        for place in (names.final_path, names.quarantine_path)
    ]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("path", ["..", "a/../b", "a//b", "/a", "_a", ".a", "a/_b", "a\nb", "x" * 256, "ü" * 128])
def test_partition_paths_that_leave_or_hide_are_refused(path):
    with pytest.raises(ValueError, match="partition path"):
        names.final_path("t", path, 0, 0, 0, 0)


@pytest.mark.parametrize("partition", [-1, "3", "backfill/1", "backfill/00112233445566FF", "../../etc"])
def test_keys_that_are_no_partition_are_refused(partition):
    with pytest.raises(ValueError, match="partition"):
        ChainKey("t", partition)


@pytest.mark.parametrize("stage_id", ["", "a/b", "a+b", "ü", "x" * 65])
def test_ids_that_would_break_a_staged_name_are_refused(stage_id):
    with pytest.raises(ValueError, match="id"):
        names.stage_path(ChainKey("t", 0), 0, 0, stage_id)


def test_names_are_read_back():
    assert names.parse_offset("00000000000000000042.json") == 42
    assert names.parse_offset("00000000000000000042.parquet") == 42
    assert names.parse_stage("00000000000000000042+ab-1.parquet") == (42, "ab-1")
    for topic, partition, era in itertools.product(["t", "_t", LONG * 2], [0, 12, "backfill/0011223344556677"], [0, 7]):
        parsed = names.parse_final(names.final_name(topic, partition, era, 5, 9))
        assert parsed is not None
        assert (parsed.partition, parsed.era, parsed.first_offset, parsed.last_offset) == (partition, era, 5, 9)
    assert names.parse_final("t+0+00000000000000000005+00000000000000000009.parquet") == FinalName("t", 0, 0, 5, 9)


@pytest.mark.parametrize("name", ["42.json", "00000000000000000042.json.tmp", "x.json", ".00000000000000000042.json"])
def test_other_names_are_no_commits(name):
    assert names.parse_offset(name) is None
    assert names.parse_stage(name) is None
    assert names.parse_final(name) is None


@pytest.mark.parametrize(
    ("name", "number"), [("0", 0), ("12", 12), ("01", None), ("-1", None), ("²", None), ("", None)]
)
def test_a_partition_or_era_directory_is_a_plain_number(name, number):
    assert names.parse_number(name) == number
