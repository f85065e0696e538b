"""The private parts of kafka-python that we lean on: all of them, in this module, checked when it is imported.

kafka-python's own Sender, Fetcher and group coordinator stay in charge; only the bytes of a batch are built and read by
us. That needs a few parts that are not its public interface, so the columnar path runs on exactly the version it was
tested with. On any other the reference path runs: the same promises through the public interface, one Python object a
record, some twenty times slower.

    part                                          used for
    RecordAccumulator._batches, _tp_lock,         putting a ready batch where the Sender takes it from
      _incomplete, split_and_reenqueue
    ProducerBatch(tp, records).produce_future     its acknowledgement
    TransactionManager.set_sequence_number        taking a refused batch's numbers back before it is cut in two
    KafkaProducer._sender                         wake-up, topics to know, the hard stop
    Fetcher.PartitionRecords, _parse_fetched_data reading a fetched partition as columns; errors as values
    SubscriptionState.assignment[tp].seek         seeking with a leader epoch
    ConsumerCoordinator._send_heartbeat_request   hearing that another process took our name
      generation_if_stable, request_rejoin        joining again after a restart, see `KafkaBlockConsumer.settled`
      need_rejoin, _join_task                     not forgetting a join that is under way
    KafkaConnectionManager, NetworkSelector       metadata on demand, the last sign of life, one large read a wake-up,
                                                  no turning without a pause
    KafkaNetSocket, KafkaSSLTransport             closing the sockets of failed connects
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import kafka
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

PINNED = "3.0.12"
_READ_SIZE = 1 << 20
_BUSY_MS = 50.0
REFUSED_IDENTITY = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.AuthorizationError,
)

log = logging.getLogger(__name__)


def _find_fault() -> str:
    """Return why the columnar path can't run on the kafka-python that is installed, "" if it can."""
    if kafka.__version__ != PINNED:
        return f"kafka-python {kafka.__version__} is installed and the columnar path was proven on {PINNED}"
    try:
        from kafka.consumer.fetcher import Fetcher
        from kafka.coordinator.consumer import ConsumerCoordinator
        from kafka.net.manager import KafkaConnectionManager
        from kafka.producer.record_accumulator import RecordAccumulator
        from kafka.producer.sender import Sender
        from kafka.producer.transaction_manager import TransactionManager
    except ImportError as error:
        return f"kafka-python {kafka.__version__} lacks a module: {error}"
    parts: list[tuple[type, list[str]]] = [
        (RecordAccumulator, ["_tp_lock", "split_and_reenqueue", "abort_undrained_batches"]),
        (Sender, ["run_once", "wakeup", "add_topic", "force_close"]),
        (TransactionManager, ["set_sequence_number"]),
        (Fetcher, ["PartitionRecords", "_parse_fetched_data"]),
        (Fetcher.PartitionRecords, ["_unpack_records", "_maybe_skip_record", "_consume_aborted_transactions_up_to"]),
        (ConsumerCoordinator, ["_send_heartbeat_request", "generation_if_stable", "request_rejoin", "need_rejoin"]),
        (KafkaConnectionManager, ["_build_transport", "_connect", "connection_delay", "wait_for", "run"]),
    ]
    lacking = [f"{owner.__name__}.{name}" for owner, names in parts for name in names if not hasattr(owner, name)]
    return f"kafka-python {kafka.__version__} lacks {', '.join(lacking)}" if lacking else ""


FAULT = _find_fault()
COLUMNAR = not FAULT


def _close_failed_connections() -> None:
    """Have kafka-python close sockets whose connect or TLS handshake failed, which it leaves lying about."""
    from kafka.net.inet import KafkaNetSocket
    from kafka.net.transport import KafkaSSLTransport

    connect = KafkaNetSocket.sock_connect
    handshake = KafkaSSLTransport.handshake

    async def connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
        try:
            return await connect(self, net, sock, address, timeout_at=timeout_at)
        except BaseException:  # also GeneratorExit, when the loop is closed meanwhile
            sock.close()
            raise

    async def handshake_or_close(self: Any) -> None:
        try:
            await handshake(self)
        except BaseException:  # also GeneratorExit, when the loop is closed meanwhile
            self._sock.close()
            raise

    KafkaNetSocket.sock_connect = connect_or_close
    KafkaSSLTransport.handshake = handshake_or_close


if COLUMNAR:
    _close_failed_connections()


def choose_columnar(wanted: bool | None) -> bool:
    """Return whether the columnar path runs: as wanted, else wherever it can; says so once where it can't.

    Raises:
        RuntimeError: it is wanted and can't run.
    """
    if wanted and FAULT:
        raise RuntimeError(FAULT)
    if wanted is None and FAULT:
        log.warning("%s: records go one by one, which is much slower. Install kafka-python==%s.", FAULT, PINNED)
    return COLUMNAR if wanted is None else wanted


class ClientFactory:
    """The argument `kafka_client` of kafka-python's clients: keeps hold of the network client that it makes.

    So that it can be closed when the constructor around it fails, never asks brokers to make a missing topic, and reads
    sockets in large pieces.
    """

    def __init__(self) -> None:
        self.client: Any = None

    def __call__(self, **configs: Any) -> Any:
        """Make the network client; called by kafka-python."""
        from kafka.net.compat import KafkaNetClient

        self.client = KafkaNetClient(**configs)
        self.client.cluster.config["allow_auto_create_topics"] = False
        if COLUMNAR:
            _read_in_large_pieces(self.client._manager)
            _give_up_when_refused(self.client._manager)
            _pause_while_busy(self.client)
        return self.client

    def discard(self) -> None:
        """Close what was made, after a constructor failed."""
        if self.client is not None:
            self.client.close()

    def last_contact(self) -> float | None:
        """Return when (`time.monotonic`) a broker was last heard, of the connections that are open; None = of none."""
        connections = list(self.client._manager._conns.values())
        heard = [c.transport.last_read for c in connections if c.connected and c.transport is not None]
        return max(heard, default=None)

    def ask_for_news(self) -> None:
        """Have the metadata refreshed in the background, which shows whether a broker answers."""
        self.client.cluster.request_update()
        self.client.wakeup()

    def refresh_metadata(self, timeout: float) -> Any:
        """Refresh the metadata and return the cluster's description.

        Only where an I/O thread runs (consumers). At most one request is under way, whoever asks.

        Raises:
            KafkaTimeoutError: no answer within `timeout` seconds.
        """
        manager = self.client._manager
        manager.run(manager.wait_for, manager.cluster.request_update(), timeout * 1000)
        return manager.cluster

    def metadata_age(self) -> float:
        """Return seconds since metadata last came."""
        return time.monotonic() - float(self.client.cluster._last_successful_refresh_ms) / 1000


def _read_in_large_pieces(manager: Any) -> None:
    from kafka.net.transport import KafkaTCPTransport

    build = manager._build_transport

    async def build_with_large_reads(node: Any, timeout_at: float | None = None) -> Any:
        transport = await build(node, timeout_at=timeout_at)
        if type(transport) is KafkaTCPTransport:
            transport._sock_recv = lambda: _receive(transport)
        return transport

    manager._build_transport = build_with_large_reads


def _give_up_when_refused(manager: Any) -> None:
    """Have the first connection fail at once when a broker refuses our identity, instead of at its time-out.

    Later on kafka-python goes on trying, with growing pauses: passwords can be given back.
    """
    connect = manager._connect

    async def connect_and_note(node: Any, connection: Any, **options: Any) -> None:
        await connect(node, connection, **options)
        ready = connection.init_future
        if ready.failed() and isinstance(ready.exception, REFUSED_IDENTITY) and not manager.bootstrapped:
            manager._auth_failures[node.node_id] = ready.exception

    manager._connect = connect_and_note


def _pause_while_busy(client: Any) -> None:
    """Have the Sender sleep while a broker's connection takes no more requests, instead of turning without a pause.

    It asks for a delay in milliseconds and is told seconds, and of a connection with as many requests in flight as it
    may have it is told 0. An answer wakes it up in any case.
    """
    delay = client._manager.connection_delay
    client.connection_delay = lambda node: max(1000 * delay(node), _BUSY_MS)


def _receive(transport: Any) -> tuple[bytes, Exception | None]:
    """Read what is there, in one call instead of one every 4 KiB; (bytes, error) as the transport expects it."""
    try:
        data = transport._sock.recv(_READ_SIZE)
    except (BlockingIOError, InterruptedError):
        return b"", None
    except OSError as error:
        return b"", kafka_errors.KafkaConnectionError(error)
    if not data:
        return b"", kafka_errors.KafkaConnectionError("socket disconnected")
    return data, None


# ── producer ──────────────────────────────────────────────────────────────────


class BatchQueue:
    """Where a KafkaProducer's Sender takes its batches from.

    Batches of a partition go out in the order of the queue, one at a time; between partitions there is no order.
    """

    def __init__(self, producer: KafkaProducer, on_too_large: Callable[[Any], None]) -> None:
        """Hook into a producer before anything was sent.

        Args:
            producer: whose Sender takes the batches.
            on_too_large: called with a batch of several records that the broker refused for its size, on the Sender's
                thread. It must put the batch's parts in front, the last one first. (The stock split decodes all records
                and forgets the acknowledgement of the whole.)
        """
        self._sender: Any = producer._sender
        self._accumulator: Any = producer._accumulator
        self._transactions: Any = producer._transaction_manager
        self._abort_with: Exception | None = None
        self._run_once = self._sender.run_once
        self._sender.run_once = self._abort_and_run
        self._accumulator.split_and_reenqueue = lambda batch, now=None: self._split(batch, on_too_large)

    def batch(self, topic: str, partition: int, records: Any) -> Any:
        """Return a ProducerBatch around `records`, which has the methods of kafka-python's MemoryRecordsBuilder."""
        from kafka.producer.producer_batch import ProducerBatch

        return ProducerBatch(TopicPartition(topic, partition), records)

    def put(self, batch: Any, front: bool = False) -> None:
        """Queue a batch; never blocks. It waits while the topic's leader is unknown."""
        target = batch.topic_partition
        self._sender.add_topic(target.topic)
        with self._accumulator._tp_lock(target):
            queue = self._accumulator._batches[target]
            if front:
                queue.appendleft(batch)
            else:
                queue.append(batch)
            self._accumulator._incomplete.add(batch)
        self._sender.wakeup()

    def abort_waiting(self, error: Exception) -> None:
        """From the Sender's next round on, fail every batch that was never on its way to a broker.

        Not at once: the Sender may be in the middle of failing batches itself, and must not find one failed already.
        """
        self._abort_with = error
        self._sender.wakeup()

    def stop(self, timeout: float) -> None:
        """Fail every batch and end the Sender's thread; returns when it ended, or after `timeout` seconds."""
        self._sender.force_close()
        self._sender.join(timeout)

    def _abort_and_run(self) -> None:
        if self._abort_with is not None:
            self._accumulator.abort_undrained_batches(self._abort_with)
        self._run_once()

    def _split(self, batch: Any, on_too_large: Callable[[Any], None]) -> int:
        if self._transactions is not None and batch.has_sequence:
            self._transactions.set_sequence_number(batch.topic_partition, batch.base_sequence)
        on_too_large(batch)
        return 2


# ── consumer ──────────────────────────────────────────────────────────────────


def read_with(consumer: KafkaConsumer, partition_records: type, on_error: Callable[[Any, Exception], None]) -> None:
    """Have fetched partitions read by `partition_records`, and errors of one partition told instead of raised.

    Args:
        consumer: before it is subscribed.
        partition_records: a subclass of Fetcher.PartitionRecords.
        on_error: called with (TopicPartition, error) inside poll. The partition must not be fetched again until it was
            given a new position: after an error inside it, kafka-python's next poll would never return.
    """
    fetcher: Any = consumer._fetcher
    fetcher.PartitionRecords = partition_records
    parse = fetcher._parse_fetched_data

    def parse_or_tell(completed: Any) -> Any:
        truncated = fetcher._cached_log_truncation
        if truncated is not None and completed.topic_partition in truncated.divergent_offsets:
            return None
        try:
            return parse(completed)
        except kafka_errors.KafkaError as error:
            on_error(completed.topic_partition, error)
            return None

    fetcher._parse_fetched_data = parse_or_tell


def seek(consumer: KafkaConsumer, target: TopicPartition, offset: int, leader_epoch: int) -> None:
    """Seek; with a leader epoch >= 0 the broker is asked whether its log still holds what was read before `offset`."""
    if leader_epoch < 0 or not COLUMNAR:
        consumer.seek(target, offset)
    else:
        consumer._subscription.assignment[target].seek(OffsetAndMetadata(offset, "", leader_epoch))


def position(consumer: KafkaConsumer, target: TopicPartition) -> int | None:
    """Return the next offset to fetch without asking a broker; None = not assigned, or never placed."""
    state = consumer._subscription.assignment.get(target)
    return None if state is None or state.position is None else int(state.position.offset)


def joined(consumer: KafkaConsumer) -> bool:
    """Return whether the group has settled and this member with it."""
    coordinator: Any = consumer._coordinator
    return coordinator.generation_if_stable() is not None and not coordinator.rejoin_needed


def join_again(consumer: KafkaConsumer) -> None:
    """Have the consumer join the group once more at its next poll, keeping what it has."""
    consumer._coordinator.request_rejoin()


def finish_joins(consumer: KafkaConsumer) -> None:
    """Have a join that is under way be waited for by every poll until it ended.

    kafka-python asks at each poll whether to join, and forgets that it does: when it joins because topics changed, as
    the group's leader, the reason is gone once it shared the partitions out. A poll that ran out of time just then
    was the last one to wait. The member never hears what it got, and sends no heartbeats any more.
    """
    coordinator: Any = consumer._coordinator
    need_rejoin = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: getattr(coordinator, "_join_task", None) is not None or need_rejoin()


def tell_when_fenced(consumer: KafkaConsumer, on_fenced: Callable[[Exception], None]) -> None:
    """Call `on_fenced` (on the I/O thread) when a heartbeat says FENCED_INSTANCE_ID.

    kafka-python itself only stops the heartbeat then, and goes on fetching.
    """
    coordinator: Any = consumer._coordinator
    send = coordinator._send_heartbeat_request

    async def send_and_tell() -> Any:
        try:
            return await send()
        except kafka_errors.FencedInstanceIdError as error:
            on_fenced(error)
            raise

    coordinator._send_heartbeat_request = send_and_tell


def resolve(consumer: KafkaConsumer, future: Any) -> None:
    """Complete a future that a coroutine on the consumer's I/O thread awaits; from any thread."""
    consumer._net.call_soon_threadsafe(lambda: future.success(None))
