"""Every path below a warehouse's root, made and read back in this one place.

    _ingest/root.json
    _ingest/<topic>/<partition>/<era>/start.json
                                     commits/<first_offset:020d>.json
                                     stage/<first_offset:020d>+<id>.parquet
                                     archive/<first_offset:020d>.parquet
    _ingest/<topic>/backfill/<generation>/<era>/…        a backfill's chain: the generation takes the partition's place
    _ingest/<topic>/schema/<n>.json
    _ingest/<topic>/beginning.json
    <topic>/dt=…/hour=…/<topic>+<partition>+<first_offset:020d>+<last_offset:020d>.parquet
    _quarantine/<topic>/dt=…/hour=…/<same>.parquet

In an era above 0 a final name says so: `<topic>+<partition>+e<era>+<first>+<last>.parquet`. A backfill's files say
`backfill-<generation>` where others have the partition.

Why two final names never collide:

* Topics differ in their directory, partitions and backfills in the second part, eras in the third.
* Within an era the ranges of two commits are disjoint and a file's first and last offset lie inside its commit's range,
  so files of two commits differ in their first offset. (A void record's files are never moved.)
* Within a commit every offset is in one file, so two files in one partition path differ in their first offset; a
  row that was quarantined lies in another tree. `Commit` refuses records where this does not hold.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MAX_PART = 255
"""Bytes that one part of a path may have: the limit of Linux file systems and of HDFS."""

META = "_ingest"
QUARANTINE = "_quarantine"
ROOT = f"{META}/root.json"
START = "start.json"

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_HASH_DIGITS = 32
_OFFSET = r"(\d{20,})"
_OFFSET_NAME = re.compile(_OFFSET + r"\.(?:json|parquet)")
_STAGE_NAME = re.compile(_OFFSET + r"\+([A-Za-z0-9-]+)\.parquet")
_FINAL_NAME = re.compile(
    r"([^+/]+)\+(\d+|backfill-[0-9a-f]{16})\+(?:e([1-9]\d*)\+)?" + _OFFSET + r"\+" + _OFFSET + r"\.parquet"
)
_BACKFILL = re.compile(r"backfill/[0-9a-f]{16}")
_STAGE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class ChainKey:
    """Names a commit chain: a topic, and a Kafka partition or `backfill/<generation, 16 hex digits>` in its place.

    Raises:
        ValueError: no topic, or neither kind of partition.
    """

    topic: str
    partition: int | str

    def __post_init__(self) -> None:
        if not self.topic:
            raise ValueError("a chain needs a topic")
        if isinstance(self.partition, str) and not _BACKFILL.fullmatch(self.partition):
            raise ValueError(f'expected a partition number or "backfill/<16 hex digits>", got "{self.partition}"')
        if isinstance(self.partition, int) and self.partition < 0:
            raise ValueError(f"a partition is never negative, got {self.partition}")

    @classmethod
    def backfill(cls, topic: str, generation: int) -> ChainKey:
        """Return the key of the chain that holds one backfilled content, `generation` unsigned 64 bit."""
        return cls(topic, f"backfill/{generation:016x}")

    @property
    def is_backfill(self) -> bool:
        """Return whether positions take the place of offsets in this chain."""
        return isinstance(self.partition, str)

    def __str__(self) -> str:
        return f"{self.topic} {self.partition}"


@dataclass(frozen=True, slots=True)
class FinalName:
    """A visible file's name, taken apart. `topic` as it stands there: escaped, perhaps shortened."""

    topic: str
    partition: int | str
    era: int
    first_offset: int
    last_offset: int


# ── parts ──────────────────────────────────────────────────────────────────


def escape(text: str) -> str:
    """Return `text` as one safe part of a path: bytes but letters, digits, "." "_" "-" become %XX.

    A leading "_" or "." is escaped too, as it would hide the directory from Hive and Spark. What Kafka allows
    in a topic's name otherwise stays as it is. Two texts never have the same result.

    Raises:
        ValueError: `text` is empty.
    """
    if not text:
        raise ValueError("an empty name can't be part of a path")
    raw = text.encode("utf-8", "surrogatepass")
    hidden = raw[:1] in (b"_", b".")
    parts = [chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw]
    if hidden:
        parts[0] = f"%{raw[0]:02X}"
    return "".join(parts)


def fit(token: str, limit: int) -> str:
    """Return an escaped token in at most `limit` bytes: what is too long keeps its head, then "~" and a hash.

    "~" is in no escaped token, so what is shortened meets neither what is not nor another shortened one.
    """
    if len(token) <= limit:
        return token
    digest = hashlib.sha256(token.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{token[: limit - _HASH_DIGITS - 1]}~{digest}"


def topic_part(topic: str) -> str:
    """Return the directory name that stands for a topic."""
    return fit(escape(topic), MAX_PART)


def checked_partition_path(path: str) -> str:
    """Return `path` if each of its parts may stand below a topic's directory; "" is the directory itself.

    Raises:
        ValueError: a part is empty, hidden ("_…", "…"), longer than 255 bytes or holds a control character.
    """
    for part in path.split("/") if path else ():
        if not part or part[0] in "_." or len(part.encode("utf-8", "surrogatepass")) > MAX_PART:
            raise ValueError(f'"{part}" can\'t be a directory of the warehouse, in the partition path "{path}"')
        if any(character < " " or character == "\x7f" for character in part):
            raise ValueError(f"control characters can't be in the partition path {path!r}")
    return path


# ── the chain's own files ──────────────────────────────────────────────────────────────────


def topic_dir(topic: str) -> str:
    """Return where a topic's chains and schemas are."""
    return f"{META}/{topic_part(topic)}"


def chain_dir(key: ChainKey) -> str:
    """Return the directory that holds the chain's eras."""
    return f"{topic_dir(key.topic)}/{key.partition}"


def era_dir(key: ChainKey, era: int) -> str:
    """Return the directory of one era."""
    return f"{chain_dir(key)}/{era}"


def start_path(key: ChainKey, era: int) -> str:
    """Return the path of the record where an era begins."""
    return f"{era_dir(key, era)}/{START}"


def commits_dir(key: ChainKey, era: int) -> str:
    """Return the directory of the commits that are not folded yet."""
    return f"{era_dir(key, era)}/commits"


def commit_name(first_offset: int) -> str:
    """Return the file name of the commit that begins at an offset; the end is not in it, so that one of two wins."""
    return f"{first_offset:020d}.json"


def commit_path(key: ChainKey, era: int, first_offset: int) -> str:
    """Return the path of the commit that begins at an offset."""
    return f"{commits_dir(key, era)}/{commit_name(first_offset)}"


def stage_dir(key: ChainKey, era: int) -> str:
    """Return the directory of files that no reader may see yet."""
    return f"{era_dir(key, era)}/stage"


def stage_path(key: ChainKey, era: int, first_offset: int, file_id: str) -> str:
    """Return the path of a staged file of the commit that begins at `first_offset`.

    Raises:
        ValueError: `file_id` is not made of letters, digits and "-".
    """
    if not _STAGE_ID.fullmatch(file_id):
        raise ValueError(f'"{file_id}" can\'t be the id of a staged file')
    return f"{stage_dir(key, era)}/{first_offset:020d}+{file_id}.parquet"


def archive_dir(key: ChainKey, era: int) -> str:
    """Return the directory of folded commits."""
    return f"{era_dir(key, era)}/archive"


def archive_path(key: ChainKey, era: int, first_offset: int) -> str:
    """Return the path of the archive whose first commit begins at an offset."""
    return f"{archive_dir(key, era)}/{first_offset:020d}.parquet"


def beginning_path(topic: str) -> str:
    """Return the path of the record that says where a topic's partitions begin."""
    return f"{topic_dir(topic)}/beginning.json"


def schema_dir(topic: str) -> str:
    """Return the directory of a topic's agreed columns."""
    return f"{topic_dir(topic)}/schema"


def schema_path(topic: str, number: int) -> str:
    """Return the path of one version of a topic's agreed columns."""
    return f"{schema_dir(topic)}/{number}.json"


# ── what readers see ──────────────────────────────────────────────────────────────────


def data_dir(topic: str) -> str:
    """Return the directory that readers open as the topic's table."""
    return topic_part(topic)


def quarantine_dir(topic: str) -> str:
    """Return the directory of a topic's rejects."""
    return f"{QUARANTINE}/{topic_part(topic)}"


def final_path(topic: str, partition_path: str, partition: int | str, era: int, first: int, last: int) -> str:
    """Return where readers find a data file whose own first and last offsets (both inclusive) are given.

    Raises:
        ValueError: `partition_path` would leave the table or hide the file.
    """
    return _joined(data_dir(topic), partition_path, final_name(topic, partition, era, first, last))


def quarantine_path(topic: str, partition_path: str, partition: int | str, era: int, first: int, last: int) -> str:
    """Return where a file of rejects ends up; arguments and errors as of `final_path`."""
    return _joined(quarantine_dir(topic), partition_path, final_name(topic, partition, era, first, last))


def final_name(topic: str, partition: int | str, era: int, first: int, last: int) -> str:
    """Return a visible file's name, at most 255 bytes: a long topic is shortened in it."""
    token = str(partition).replace("/", "-")
    marked = f"e{era}+" if era else ""
    rest = f"+{token}+{marked}{first:020d}+{last:020d}.parquet"
    return fit(escape(topic), MAX_PART - len(rest)) + rest


def _joined(directory: str, partition_path: str, name: str) -> str:
    checked_partition_path(partition_path)
    return f"{directory}/{partition_path}/{name}" if partition_path else f"{directory}/{name}"


# ── reading names back ──────────────────────────────────────────────────────────────────


def parent(path: str) -> str:
    """Return the directory of a path, "" for the root."""
    return path.rpartition("/")[0]


def base(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def parse_offset(name: str) -> int | None:
    """Return the first offset that a commit's or an archive's file name holds, None if it is neither."""
    match = _OFFSET_NAME.fullmatch(name)
    return int(match[1]) if match else None


def parse_stage(name: str) -> tuple[int, str] | None:
    """Return (first offset of the commit, id) from a staged file's name, None if it is no such name."""
    match = _STAGE_NAME.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


def parse_number(name: str) -> int | None:
    """Return a partition's or era's number from its directory's name, or a schema's without its ".json"."""
    canonical = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
    return int(name) if canonical else None


def parse_final(name: str) -> FinalName | None:
    """Take a visible file's name apart, None if no commit gives such names."""
    match = _FINAL_NAME.fullmatch(name)
    if match is None:
        return None
    partition = match[2].replace("-", "/") if match[2].startswith("backfill") else int(match[2])
    return FinalName(match[1], partition, int(match[3] or 0), int(match[4]), int(match[5]))
