"""The private parts of kafka-python that we lean on: all of them, in this package, checked when it is imported.

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
      send_fetches                                the next fetch under way while one is decoded
    SubscriptionState.assignment[tp].seek         seeking with a leader epoch
    ConsumerCoordinator._send_heartbeat_request   hearing that another process took our name
      generation_if_stable, request_rejoin        joining again after a restart, see `KafkaBlockConsumer.settled`
      need_rejoin, _join_task                     not forgetting a join that is under way
    KafkaConnectionManager, NetworkSelector       metadata on demand, the last sign of life, one large read a wake-up
    ClusterMetadata.close, _refresh_future        closing without an error of its own making
    KafkaNetClient.connection_delay               a Sender that does not turn without a pause
    KafkaNetSocket, KafkaSSLTransport             closing the sockets of failed connects
    KafkaBytes                                    copying what was fetched once
"""

from __future__ import annotations

from ingest.broker.seams.consuming import (
    fetch_ahead,
    finish_joins,
    join_again,
    joined,
    position,
    read_with,
    resolve,
    seek,
    tell_when_fenced,
)
from ingest.broker.seams.network import ClientFactory
from ingest.broker.seams.pinned import choose_columnar
from ingest.broker.seams.producing import BatchQueue

__all__ = [
    "BatchQueue",
    "ClientFactory",
    "choose_columnar",
    "fetch_ahead",
    "finish_joins",
    "join_again",
    "joined",
    "position",
    "read_with",
    "resolve",
    "seek",
    "tell_when_fenced",
]
