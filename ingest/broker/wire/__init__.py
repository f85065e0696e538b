"""Kafka's v2 record batches ↔ columns: the only place that knows the format. No Kafka client is needed here.

encode_lines, encode_records → EncodedRecords → seal → a whole batch → stamp (producer id, epoch, sequence; in place)
fetched bytes → batch_spans → BatchHeader → decode_batch, decode_batches → RecordBlock

layout   the header of a batch, where batches lie       varint   numbers of variable length
encode   lines → records                                headers  what travels with a record
seal     records → batch                                codecs   compression
walk     where records begin                            pieces   one big gather of byte strings
decode   batch → columns                                reshape  slices and joins of blocks
"""

from ingest.broker.wire.codecs import MAX_UNCOMPRESSED, Codec
from ingest.broker.wire.decode import ControlType, control_type, decode_batch, decode_batches
from ingest.broker.wire.encode import EncodedRecords, encode_lines, encode_records
from ingest.broker.wire.headers import HEADER_FLAGS, HEADER_POS, HEADER_SRC
from ingest.broker.wire.layout import BatchHeader, CorruptBatch, OldFormat, TimestampType, batch_spans
from ingest.broker.wire.reshape import concat, slice_block
from ingest.broker.wire.seal import seal, stamp

__all__ = [
    "HEADER_FLAGS",
    "HEADER_POS",
    "HEADER_SRC",
    "MAX_UNCOMPRESSED",
    "BatchHeader",
    "Codec",
    "ControlType",
    "CorruptBatch",
    "EncodedRecords",
    "OldFormat",
    "TimestampType",
    "batch_spans",
    "concat",
    "control_type",
    "decode_batch",
    "decode_batches",
    "encode_lines",
    "encode_records",
    "seal",
    "slice_block",
    "stamp",
]
