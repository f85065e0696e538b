"""kafka-python's exceptions → ours, sorted by what the caller should do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka

from ingest.errors import Fatal, IngestError, Refused, Unavailable, UsageError


class ConsumerFenced(Fatal):
    """Another process took this one's place in the consumer group (FENCED_INSTANCE_ID)."""


class ProducerBroken(Unavailable):
    """This producer sends no more: what it had in hand is not acknowledged, though some of it may be in Kafka.

    Make a new producer and send again from the last acknowledged position.
    """


class TopicMissing(UsageError):
    """A topic that must exist does not."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f'there is no topic "{topic}"; make it, or set create_topics = true and partitions = N in its [[source]]'
        )
        self.topic = topic


_REFUSALS = (
    kafka.AuthorizationError,
    kafka.SaslAuthenticationFailedError,
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
    kafka.SecurityDisabledError,
)
_MISUSES = (kafka.KafkaConfigurationError, kafka.InvalidTopicError, kafka.InvalidGroupIdError)


def translate(error: Exception, where: str) -> IngestError:
    """Return what `error`, raised by kafka-python, means to us.

    Args:
        error: as caught.
        where: what was tried, for the message: "reading topic app-logs from localhost:9092".
    """
    if isinstance(error, kafka.FencedInstanceIdError):
        return ConsumerFenced(
            f"{where}: another process uses the same member name ({error}); "
            "every worker needs a state directory of its own"
        )
    if isinstance(error, _REFUSALS):
        return Refused(f"{where}: the broker refuses: {error}; check the user's password, ACLs and [kafka] security")
    if isinstance(error, _MISUSES):
        return UsageError(f"{where}: {error}")
    if isinstance(error, (kafka.RetriableError, OSError)):
        return Unavailable(f"{where}: {error or type(error).__name__}")
    return Fatal(f"{where}: {error or type(error).__name__}")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Let only our errors out of the block; see `translate`."""
    try:
        yield
    except (kafka.KafkaError, OSError) as error:
        raise translate(error, where) from error
