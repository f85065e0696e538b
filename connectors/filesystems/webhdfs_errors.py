"""What a NameNode's answers mean for us. Pure: no request is made here.

The name in `RemoteException.exception` decides, never the HTTP status: Hadoop answers 403 to nearly everything,
standby, safe mode and quota included.
"""

from __future__ import annotations

import enum
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import requests
import urllib3.exceptions

from ingest.api import FileExists, FileMissing, IngestError, OutcomeUnknown, Refused, Unavailable

_SHOWN = 300
"""Characters of a server's message that are repeated: the first line, without the Java stack behind it."""


class Reaction(enum.Enum):
    """What the caller does about an answer."""

    NEXT = "ask the next NameNode"
    WAIT = "nothing was changed, the same call may succeed later"
    EXISTS = "the path is there"
    MISSING = "the path is not there"
    REFUSE = "no, and not later either"
    UNKNOWN = "it may or may not have happened"


REACTIONS: Mapping[str, Reaction] = {
    # Another NameNode, or the same one later.
    "StandbyException": Reaction.NEXT,
    "RetriableException": Reaction.NEXT,
    "ObserverRetryOnActiveException": Reaction.NEXT,
    # A person or time mends it, and nothing was changed.
    "SafeModeException": Reaction.WAIT,
    "QuotaExceededException": Reaction.WAIT,
    "NSQuotaExceededException": Reaction.WAIT,
    "DSQuotaExceededException": Reaction.WAIT,
    "QuotaByStorageTypeExceededException": Reaction.WAIT,
    "NotReplicatedYetException": Reaction.WAIT,
    "AlreadyBeingCreatedException": Reaction.WAIT,
    "RecoveryInProgressException": Reaction.WAIT,
    "LeaseExpiredException": Reaction.WAIT,
    "ServerTooBusyException": Reaction.WAIT,
    # Answers that a commit is decided on.
    "FileAlreadyExistsException": Reaction.EXISTS,
    "FileNotFoundException": Reaction.MISSING,
    # A person has to change something.
    "AccessControlException": Reaction.REFUSE,
    "AuthorizationException": Reaction.REFUSE,
    "AuthenticationException": Reaction.REFUSE,
    "SecurityException": Reaction.REFUSE,
    "InvalidToken": Reaction.REFUSE,
    "IllegalArgumentException": Reaction.REFUSE,
    "HadoopIllegalArgumentException": Reaction.REFUSE,
    "InvalidPathException": Reaction.REFUSE,
    "ParentNotDirectoryException": Reaction.REFUSE,
    "PathComponentTooLongException": Reaction.REFUSE,
    "MaxDirectoryItemsExceededException": Reaction.REFUSE,
    "PathIsNotEmptyDirectoryException": Reaction.REFUSE,
    "UnsupportedOperationException": Reaction.REFUSE,
    "SnapshotException": Reaction.REFUSE,
    "SnapshotAccessControlException": Reaction.REFUSE,
}
"""By the exception's name; a name that is not here is UNKNOWN for a change and WAIT for a question."""

_SIGNS = (
    ("could only be replicated to", Reaction.WAIT),  # no DataNode is alive or has room
    ("could only be written to", Reaction.WAIT),
    ("must both be directories", Reaction.EXISTS),  # a file was to be renamed onto a directory
)
"""What a plain IOException, a name that says nothing, has in its message where the case is clear."""

_ADVICE = {
    "AccessControlException": "give the user permission there",
    "SafeModeException": "the NameNode is read-only until it leaves safe mode (hdfs dfsadmin -safemode get)",
    "NSQuotaExceededException": "raise the name quota or delete files",
    "DSQuotaExceededException": "raise the space quota or delete files",
    "InvalidToken": "get a new delegation token",
    "StandbyException": "add the other NameNode to urls, or wait for its failover",
}
_BUSY_STATUSES = (408, 429)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever its status. `location` is the redirect's target, if any."""

    status: int
    body: bytes
    location: str | None = None

    @property
    def ok(self) -> bool:
        """Return whether the status is 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `sent` tells whether the request may have reached the server, `lasting` whether it is so for good."""

    sent: bool
    reason: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer or a failure means. `text` holds no URL and no credential."""

    reaction: Reaction
    text: str


def meaning(outcome: Answer | Failure, *, changes: bool, kerberos: bool = False) -> Meaning:
    """Judge what is not a success.

    Args:
        outcome: an answer that is not 2xx, or why there is none.
        changes: True where the request asked for a change, so that a lost answer leaves the outcome open.
        kerberos: True where 401 may pass, because a ticket is renewed beside us.
    """
    open_end = Reaction.UNKNOWN if changes else Reaction.WAIT
    if isinstance(outcome, Failure):
        if outcome.lasting:
            return Meaning(Reaction.REFUSE, outcome.reason)
        return Meaning(Reaction.UNKNOWN if outcome.sent and changes else Reaction.NEXT, outcome.reason)
    remote = _remote(outcome.body)
    if remote is None:
        return _bare(outcome, open_end, kerberos)
    name, message = remote
    signs = [reaction for sign, reaction in _SIGNS if sign in message]
    reaction = REACTIONS.get(name) or (signs[0] if signs else open_end)
    advice = f"; {_ADVICE[name]}" if name in _ADVICE else ""
    return Meaning(reaction, f"{name}: {_first_line(message)}{advice}")


def _bare(answer: Answer, open_end: Reaction, kerberos: bool) -> Meaning:
    """Judge an answer that no Hadoop server wrote, or that says nothing but its status."""
    status = answer.status
    if status == 401:
        if kerberos:
            return Meaning(Reaction.WAIT, "401 authentication failed; is there a valid ticket (klist)?")
        return Meaning(Reaction.REFUSE, "401 authentication failed; does the cluster want kerberos = true?")
    if status in _BUSY_STATUSES:
        return Meaning(Reaction.WAIT, f"{status}, too busy")
    if status >= 500:
        return Meaning(open_end, f"{status} without a Hadoop error; is a proxy in between?")
    if 300 <= status < 400:
        return Meaning(Reaction.REFUSE, f"{status}, a redirect that is not followed; is the URL the NameNode's own?")
    return Meaning(Reaction.REFUSE, f"{status} without a Hadoop error; is the URL a NameNode's with WebHDFS on?")


def _remote(body: bytes) -> tuple[str, str] | None:
    """Return name and message of the RemoteException in a body."""
    try:
        remote = json.loads(body)["RemoteException"]
        return str(remote["exception"]), str(remote.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _first_line(message: str) -> str:
    line = message.strip().partition("\n")[0]
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def to_error(reaction: Reaction, text: str) -> IngestError:
    """Return the error of ours for a reaction."""
    kinds: dict[Reaction, type[IngestError]] = {
        Reaction.NEXT: Unavailable,
        Reaction.WAIT: Unavailable,
        Reaction.EXISTS: FileExists,
        Reaction.MISSING: FileMissing,
        Reaction.REFUSE: Refused,
        Reaction.UNKNOWN: OutcomeUnknown,
    }
    return kinds[reaction](text)


def failure(error: requests.RequestException) -> Failure:
    """Tell from the HTTP library's exception whether the request may have been sent.

    Its text is not repeated: it holds the URL, and the URL may hold a delegation token.
    """
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return Failure(sent=False, lasting=True, reason="the URL can't be used")
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.exceptions.SSLError):
        if any(isinstance(part, ssl.SSLCertVerificationError) for part in getattr(reason, "args", ())):
            return Failure(sent=False, lasting=True, reason="its certificate is not trusted; is ca_file right?")
        return Failure(sent=True, reason="TLS failed")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Failure(sent=False, reason="no connection in time")
    if isinstance(error, requests.exceptions.Timeout):
        return Failure(sent=True, reason="no answer in time")
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return Failure(sent=False, reason="the host's name is not known")
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return Failure(sent=False, reason="no connection")
    return Failure(sent=True, reason=f"the connection broke ({type(error).__name__})")
