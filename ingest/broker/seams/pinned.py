"""Whether the kafka-python that is installed is the one that the columnar path was proven on."""

from __future__ import annotations

import logging

import kafka

PINNED = "3.0.12"

log = logging.getLogger(__name__)


def _find_fault() -> str:
    """Return why the columnar path can't run on the kafka-python that is installed, "" if it can."""
    if kafka.__version__ != PINNED:
        return f"kafka-python {kafka.__version__} is installed and the columnar path was proven on {PINNED}"
    try:
        from kafka.cluster import ClusterMetadata
        from kafka.consumer.fetcher import Fetcher
        from kafka.coordinator.consumer import ConsumerCoordinator
        from kafka.net.compat import KafkaNetClient
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
        (Fetcher, ["PartitionRecords", "_parse_fetched_data", "send_fetches"]),
        (Fetcher.PartitionRecords, ["_unpack_records", "_maybe_skip_record", "_consume_aborted_transactions_up_to"]),
        (ConsumerCoordinator, ["_send_heartbeat_request", "generation_if_stable", "request_rejoin", "need_rejoin"]),
        (KafkaNetClient, ["connection_delay"]),
        (ClusterMetadata, ["close", "metadata_refresh_in_progress", "request_update"]),
        (KafkaConnectionManager, ["_build_transport", "_connect", "connection_delay", "wait_for", "run"]),
    ]
    lacking = [f"{owner.__name__}.{name}" for owner, names in parts for name in names if not hasattr(owner, name)]
    return f"kafka-python {kafka.__version__} lacks {', '.join(lacking)}" if lacking else ""


FAULT = _find_fault()
COLUMNAR = not FAULT


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
