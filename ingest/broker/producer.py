"""Lines to Kafka: encoded in columns, sent by kafka-python's own idempotent Sender, acknowledged once."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka

from ingest.blocks import LineBlock
from ingest.broker import reference
from ingest.broker.admin import DEFAULT_MAX_BATCH, ClusterAdmin
from ingest.broker.batches import OutgoingBatch, Part, Segments, cut, seal_parts
from ingest.broker.encoders import Encoders
from ingest.broker.failures import ProducerBroken, translate, translated
from ingest.broker.seams import BatchQueue, ClientFactory, choose_columnar
from ingest.broker.security import Connection
from ingest.broker.wire import Codec
from ingest.clock import Clock, SystemClock
from ingest.errors import IngestError, Refused, Retriable

_STALE_CONTACT = 5.0
_STOP = 5.0
_FORGET_NUMBERS = (
    kafka.OutOfOrderSequenceNumberError,
    kafka.UnknownProducerIdError,
    kafka.InvalidProducerEpochError,
    kafka.ProducerFencedError,
    kafka.IllegalStateError,
)
_TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)


class LineTooLarge(Refused):
    """A single line is larger than its topic takes."""


class KafkaLineProducer:
    """Sends blocks of lines. One thread sends; `on_done` runs on another.

    Sends are retried without end: while Kafka is gone they wait in flight and go on by themselves. A partition's
    batches are written in the order in which they were sent, each exactly once, as long as this producer lives; after
    an error it is `broken`, everything in flight is told so, and whoever sends makes a new one and sends again from the
    last acknowledged position (what was written but not acknowledged then comes twice, and readers drop it by its
    identity).

    Args:
        connection: where Kafka is.
        compression: "lz4", "zstd", "gzip", "snappy" or "none".
        request_bytes: size at which a produce request is full, over all partitions of a broker.
        request_timeout: seconds after which a request without an answer is repeated on a new connection.
        clock: stamps the records.
        columnar: False = the reference path, True = insist on the columnar one, None = the best that can run.

    Raises:
        Unavailable: no broker answered within `connection.timeout`.
        Refused: user, password or certificate are not accepted.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        compression: str = "lz4",
        request_bytes: int = 8 << 20,
        request_timeout: float = 30.0,
        clock: Clock | None = None,
        columnar: bool | None = None,
    ) -> None:
        self._connection = connection
        self._admin = ClusterAdmin(connection)
        self._clock = clock or SystemClock()
        self._codec = Codec.of(compression)
        self._columnar = choose_columnar(columnar)
        self._limits: dict[str, int] = {}
        self._state = threading.Condition()
        self._pending = 0
        self._inflight = 0
        self._broken: IngestError | None = None
        self._factory = ClientFactory()
        self._heard = self._asked = time.monotonic()
        self._producer = self._open(request_bytes, request_timeout)
        self._queue = BatchQueue(self._producer, self._cut_in_two) if self._columnar else None
        self._encoders: Encoders[list[Part]] = Encoders()

    # ── topics ──

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, asking the cluster.

        Raises:
            TopicMissing: there is no such topic.
            Unavailable: no broker answers.
        """
        return self._admin.topic(topic).partitions

    def topic_id(self, topic: str) -> str:
        """Return a topic's id, 32 hex digits, "" where brokers have none; raises as `partitions`."""
        return self._admin.topic(topic).id

    def cluster_id(self) -> str:
        """Return the cluster's id; raises Unavailable."""
        return self._admin.cluster_id()

    def ensure_topic(self, topic: str, partitions: int | None, replication: int = -1) -> None:
        """Make a topic unless it is there; None and -1 leave its shape to the broker. Raises Unavailable, Refused."""
        self._admin.ensure_topic(topic, -1 if partitions is None else partitions, replication)

    def max_record_bytes(self, topic: str) -> int:
        """Return how long a line may be so that the topic takes it, whatever its compression and headers.

        Asks the cluster, which is also how the topic's limit for batches is learned: call it before the first send.
        Raises as `partitions`.
        """
        limit = self._limits[topic] = self._admin.max_batch_bytes(topic)
        return limit - min(limit // 4, 8192 + limit // 200)

    # ── sending ──

    @property
    def inflight_bytes(self) -> int:
        """Return the bytes of lines sent and not done: the caller stops sending when they are too many."""
        return self._inflight

    @property
    def broken(self) -> bool:
        """Return whether this producer sends no more: close it and make another."""
        return self._broken is not None

    @property
    def failure(self) -> IngestError | None:
        """Return why it is broken, or None."""
        return self._broken

    def send(
        self, topic: str, partition: int, segments: Segments, on_done: Callable[[IngestError | None], None]
    ) -> None:
        """Send lines; never waits for the network. They are encoded and compressed on other threads.

        Args:
            topic: where to; its metadata need not be known yet.
            partition: where to.
            segments: blocks, each with the value of `ingest-src` for its first record (repeated where a batch must be
                cut). Blocks without lines are skipped; there must be one line at least. They are held until done.
            on_done: called exactly once, on another thread, in order within a partition: with None when all
                records are acknowledged by all in-sync replicas, else with why they never will be. Must not raise, or
                block.

        Raises:
            ProducerBroken: see `broken`; nothing was sent and `on_done` will not be called.
        """
        lines = [segment for segment in segments if segment[0].rows]
        sending = _Sending(topic, partition, on_done, sum(_value_bytes(block) for block, _ in lines))
        timestamp_ms = int(self._clock.now() * 1000)
        if self._queue is None:
            self._send_one_by_one(sending, lines, timestamp_ms)
            return
        with self._state:
            self._begin(sending, 1)
        limit = self._limits.get(topic, DEFAULT_MAX_BATCH)
        self._encoders.submit(
            (topic, partition),
            lambda: seal_parts(lines, self._codec, timestamp_ms, limit),
            lambda sealed: self._enqueue(sending, sealed),
        )

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is in flight; return whether that came true within `timeout` seconds."""
        with self._state:
            return self._state.wait_for(lambda: self._pending == 0, timeout)

    def contact_age(self) -> float:
        """Return seconds since a broker was last heard; never blocks.

        Asks for news in the background when that is long ago: call it every few seconds to know whether Kafka is there.
        """
        now = time.monotonic()
        self._heard = max(self._heard, self._factory.last_contact() or 0.0)
        if now - max(self._heard, self._asked) > _STALE_CONTACT:
            self._asked = now
            self._factory.ask_for_news()
        return now - self._heard

    def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is in flight; what is not done then is told ProducerBroken."""
        self.flush(timeout)
        self._break(ProducerBroken(f"the producer for {self._connection} was closed"))
        self._encoders.close()
        if self._queue is not None:
            self._queue.stop(_STOP)
        # A Sender that waits for a silent broker ends by itself, later: all was told as far as it can be.
        with contextlib.suppress(kafka.KafkaTimeoutError):
            self._producer.close(timeout=_STOP)

    # ── inside ──

    def _open(self, request_bytes: int, request_timeout: float) -> KafkaProducer:
        with translated(f"connecting to {self._connection}"):
            try:
                return KafkaProducer(
                    acks="all",
                    enable_idempotence=True,
                    compression_type=None if self._codec is Codec.NONE else self._codec.name.lower(),
                    delivery_timeout_ms=float("inf"),
                    request_timeout_ms=int(request_timeout * 1000),
                    max_request_size=request_bytes,
                    batch_size=1 << 20,
                    linger_ms=5,
                    metrics_enabled=False,
                    kafka_client=self._factory,
                    **self._connection.arguments(),
                )
            except kafka.KafkaError:
                self._factory.discard()
                raise

    def _enqueue(self, sending: _Sending, sealed: Future[list[Part]]) -> None:
        """Give the Sender what was encoded; runs on an encoder's thread, for each partition in order."""
        assert self._queue is not None
        failure: Exception
        try:
            parts = sealed.result()
        except Exception as error:  # noqa: BLE001 - told to whoever sent it, and the producer is broken
            failure = error
        else:
            with self._state:
                sending.left = len(parts)
                if self._broken is None:
                    for part in parts:
                        self._queue.put(self._batch(self._queue, sending, part))
                    return
                sending.left = 1
                failure = ProducerBroken(f"not sent to {self._connection}, after: {self._broken}")
        self._told(sending, failure)

    def _begin(self, sending: _Sending, parts: int) -> None:
        """Count a sending in; `_state` is held, so that nothing is queued behind an error."""
        if self._broken is not None:
            raise ProducerBroken(f"nothing more is sent to {self._connection}: {self._broken}")
        sending.left = parts
        self._pending += 1
        self._inflight += sending.size

    def _batch(self, queue: BatchQueue, sending: _Sending, part: Part) -> Any:
        batch = queue.batch(sending.topic, sending.partition, OutgoingBatch(part, sending))
        batch.produce_future.add_callback(lambda result: self._acknowledged(batch.records, result))
        return batch

    def _acknowledged(self, records: OutgoingBatch, result: tuple[int, int, Callable[[int], Exception] | None]) -> None:
        _base_offset, _append_time, error_of = result
        self._told(records.sending, None if error_of is None else error_of(0), records.part)

    def _cut_in_two(self, batch: Any) -> None:
        """Send what the broker found too large as smaller batches, and remember the size for the topic."""
        records: OutgoingBatch = batch.records
        part, sending = records.part, records.sending
        known = self._limits.get(sending.topic, DEFAULT_MAX_BATCH)
        limit = self._limits[sending.topic] = max(1, min(known, len(part.sealed) // 2))
        pieces = cut(part.segments, 2)
        parts = [small for piece in pieces for small in seal_parts(piece, self._codec, part.timestamp_ms, limit)]
        sending.left += len(parts) - 1
        assert self._queue is not None
        for small in reversed(parts):
            self._queue.put(self._batch(self._queue, sending, small), front=True)

    def _send_one_by_one(self, sending: _Sending, lines: Segments, timestamp_ms: int) -> None:
        with self._state:
            self._begin(sending, sum(block.rows for block, _ in lines))
        told = functools.partial(self._told, sending)
        reference.send_lines(self._producer, sending.topic, sending.partition, lines, timestamp_ms, told)

    def _told(self, sending: _Sending, raised: Exception | None, part: Part | None = None) -> None:
        """One part of a sending is done for; runs on the Sender's thread."""
        if raised is not None and sending.error is None:
            sending.error = _verdict(raised, sending, part)
            self._break(sending.error)
        with self._state:
            sending.left -= 1
            if sending.left:
                return
            self._inflight -= sending.size
        sending.on_done(sending.error)
        with self._state:
            self._pending -= 1
            self._state.notify_all()

    def _break(self, error: IngestError) -> None:
        with self._state:
            if self._broken is None:
                self._broken = error
        if self._queue is not None:
            self._queue.abort_waiting(ProducerBroken(f"not sent to {self._connection}, after: {error}"))


@dataclass(slots=True)
class _Sending:
    """One call of `send`: done when all its parts are."""

    topic: str
    partition: int
    on_done: Callable[[IngestError | None], None]
    size: int
    left: int = 0
    error: IngestError | None = None


def _verdict(raised: Exception, sending: _Sending, part: Part | None) -> IngestError:
    """Return what a failed batch means for whoever sent it."""
    where = f"sending to topic {sending.topic} partition {sending.partition}"
    if isinstance(raised, IngestError):
        return raised
    if isinstance(raised, _TOO_LARGE):
        line = "a line" if part is None else _name_of(part)
        return LineTooLarge(
            f"{where}: {line} is larger than the topic takes; "
            f"raise its max.message.bytes, or set max_line below it so that such lines are cut"
        )
    error = translate(raised, where)
    if isinstance(raised, _FORGET_NUMBERS) or isinstance(error, Retriable):
        return ProducerBroken(f"{error}; what was not acknowledged must be sent again by a new producer")
    return error


def _name_of(part: Part) -> str:
    generation, position = part.first
    stream = part.segments[0][0].stream
    return (
        f"the line of {stream.host}:{stream.path} at position {position} of generation {generation:016x} "
        f"({part.uncompressed} bytes, {len(part.sealed)} as a compressed batch)"
    )


def _value_bytes(block: LineBlock) -> int:
    return int((block.ends - block.starts).sum())
