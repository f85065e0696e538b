"""Errors, sorted by what the caller should do about them.

    IngestError
    ├── UsageError            tell the person; exit 2
    │   └── ConfigError       … with the path of the key
    ├── Retriable             wait and try again; nothing was changed
    │   └── Unavailable       a server or disk does not answer, or not now (safe mode, standby, full)
    ├── OutcomeUnknown        it may or may not have happened: look, then decide
    ├── FileMissing           answers of a filesystem, each decided on by the caller
    ├── FileExists
    ├── Fenced                somebody else won this range: read the chain again and go on
    ├── DataLoss              stop this partition until a person accepts it; exit 3
    └── Fatal                 stop; exit 1
        ├── Refused           a server or disk says no for good (permission, wrong kind of file)
        ├── StateDamaged      checkpoint, chain or lock files that must not be guessed about
        └── QuarantineBudget  too many records could not be parsed

An error's message names where it happened (topic, partition, offsets, path) and what to do next. No secret in it.
"""

from __future__ import annotations


class IngestError(Exception):
    """The root. `exit_code` is what the process ends with when nobody reacts."""

    exit_code = 1
    retriable = False


class UsageError(IngestError):
    """Wrong usage or configuration: a person must change something."""

    exit_code = 2


class ConfigError(UsageError):
    """A key of the configuration is unknown, missing, of a wrong type or contradicts another.

    `key` is its path as one would write it: `sink.topic."app-logs".rotate.age`.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem


class Retriable(IngestError):
    """Nothing was changed; the same call may succeed later."""

    retriable = True


class Unavailable(Retriable):
    """A server or a disk does not answer, or says that it can't for now."""


class OutcomeUnknown(IngestError):
    """A change was asked for and the answer was lost: it may have happened, or happen yet."""


class FileMissing(IngestError):
    """The path does not exist."""


class FileExists(IngestError):
    """The path exists already, and nothing was changed."""


class Fenced(IngestError):
    """Another worker committed this range: drop what is in hand, read the chain again, go on."""


class DataLoss(IngestError):
    """Records that should be there are not. The partition stops until a person accepts it.

    `kind` is "retention" (the log begins after our next offset), "recreated" (another topic id), "truncated" (the log
    was cut below what was read) or "went back" (the log ends before our next offset). [first, next) are the lost
    offsets where they are known; next = None: offsets go on in a new era.
    """

    exit_code = 3

    def __init__(self, message: str, *, kind: str, first: int | None = None, next: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.first = first
        self.next = next


class Fatal(IngestError):
    """Going on would be wrong; a person must look."""


class Refused(Fatal):
    """A server or a disk says no, and will say no again."""


class StateDamaged(Fatal):
    """Durable state that can't be trusted, or that a newer version wrote."""


class QuarantineBudget(Fatal):
    """More records were unparsable than the budget allows."""
