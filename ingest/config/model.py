"""The tables of the configuration: each option declared once, with its type, default, limits and help.

The tables of connectors are not here: a [[source]], a [sink.destination] and a parser bring their own.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec

from ingest.api import FilesystemOptions, SourceOptions
from ingest.config.zones import check_zone
from ingest.cron import validate_cron
from ingest.errors import ConfigError
from ingest.options import Duration, Options, Secret, Size, option

# ── [kafka] ──────────────────────────────────────────────────────────────────


class SecurityOptions(Options):
    """How to reach Kafka safely."""

    protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        option("Whether connections are encrypted (SSL) and say who they are (SASL)."),
    ] = "PLAINTEXT"
    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] | None,
        option("How SASL proves who it is; GSSAPI is Kerberos.", example="SCRAM-SHA-512"),
    ] = None
    username: Annotated[str | None, option("For PLAIN and SCRAM.", example="ingest")] = None
    password: Annotated[
        Secret | None,
        option("For PLAIN and SCRAM; best as a reference, so that it is not in this file.", example="${cred:password}"),
    ] = None
    ca_file: Annotated[
        str | None,
        option(
            "PEM file with the authorities to trust. Left out: those of the system.",
            example="/etc/ingest/ca.pem",
            absolute=True,
        ),
    ] = None
    cert_file: Annotated[
        str | None, option("PEM file with the client's certificate.", example="/etc/ingest/client.pem", absolute=True)
    ] = None
    key_file: Annotated[
        str | None, option("PEM file with the client's key.", example="/etc/ingest/client.key", absolute=True)
    ] = None
    insecure: Annotated[
        bool, option("Say true to send a password over a connection that is not encrypted (SASL_PLAINTEXT).")
    ] = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and a password in the clear that nobody asked for."""
        sasl, tls = self.protocol.startswith("SASL"), self.protocol.endswith("SSL")
        if sasl and self.mechanism is None:
            raise ConfigError("mechanism", f'missing; {self.protocol} needs one, for example "SCRAM-SHA-512"')
        for key in ("mechanism", "username", "password"):
            if not sasl and getattr(self, key) is not None:
                raise ConfigError(key, f'{self.protocol} takes none; protocol = "SASL_SSL" does')
        for key in ("ca_file", "cert_file", "key_file"):
            if not tls and getattr(self, key) is not None:
                better = "SASL_SSL" if sasl else "SSL"
                raise ConfigError(key, f'{self.protocol} takes none; protocol = "{better}" does')
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file", "is of no use without cert_file")
        if sasl and self.mechanism != "GSSAPI":
            self._check_password()

    def _check_password(self) -> None:
        for key in ("username", "password"):
            if not getattr(self, key):
                raise ConfigError(key, f"missing; {self.mechanism} needs one")
        if self.protocol == "SASL_PLAINTEXT" and not self.insecure:
            raise ConfigError(
                "protocol", "SASL_PLAINTEXT sends the password unencrypted: use SASL_SSL, or say insecure = true"
            )


class KafkaOptions(Options):
    """The Kafka cluster."""

    bootstrap: Annotated[
        list[str],
        option("Brokers to ask first, as host:port. Needed by ship, sink and run.", example=["localhost:9092"]),
    ] = []
    client_id: Annotated[str, option("What the brokers' logs and quotas call this program.")] = "ingest"
    compression: Annotated[
        Literal["lz4", "zstd", "gzip", "snappy", "none"], option("How what ship sends is compressed.")
    ] = "lz4"
    security: Annotated[SecurityOptions, option("Encryption and identity.")] = msgspec.field(
        default_factory=SecurityOptions
    )


# ── [state], [web], [log] ────────────────────────────────────────────────────


class StateOptions(Options):
    """What must survive a restart."""

    dir: Annotated[
        str,
        option("Checkpoints, spool, locks, control sockets: on a local disk. `--state` overrides it.", absolute=True),
    ] = "/var/lib/ingest"


class WebOptions(Options):
    """Metrics, health and the status page. Without the table (and without `--listen`) nothing listens."""

    listen: Annotated[str, option("Address for /metrics (Prometheus), /healthz, /readyz and the status page at /.")] = (
        "127.0.0.1:9464"
    )


class LogOptions(Options):
    """What the program says of itself, on stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], option("The least important thing that is said.")
    ] = "info"
    format: Annotated[Literal["json", "console"], option("One JSON object a line, or lines for people.")] = "json"


# ── [sink] ───────────────────────────────────────────────────────────────────


class QuarantineOptions(Options):
    """How much may be unparsable before a partition stops."""

    max_ratio: Annotated[float, option("The part of a full window that may be quarantined.", ge=0, le=1)] = 0.05
    window: Annotated[int, option("So many records are looked at together.", ge=1)] = 10_000


class EventTimeOptions(Options):
    """When a record happened; it chooses the record's partition path."""

    field: Annotated[
        str | None,
        option('The column that says so. Left out, or "": the Kafka timestamp.', example="ts"),
    ] = None
    unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        option("What numbers in the column count, since 1970 UTC. Left out: told from their size.", example="ms"),
    ] = None
    max_ahead: Annotated[
        Duration, option("A time further ahead of now is absurd: the path comes from the Kafka timestamp.", ge=0)
    ] = Duration.of("1d")
    earliest: Annotated[
        datetime.date, option("A time before this day (UTC) is absurd: the path comes from the Kafka timestamp.")
    ] = datetime.date(2000, 1, 1)

    def __post_init__(self) -> None:
        """Let "" stand for no field: a topic's table can't take away what the defaults say in another way."""
        self.field = self.field or None


class RotateOptions(Options):
    """When the open files of a topic partition are closed and committed: whichever comes first."""

    rows: Annotated[int, option("After so many rows.", ge=1)] = 5_000_000
    bytes: Annotated[Size, option("After so many bytes of Parquet.", ge=1)] = Size.of("256MiB")
    age: Annotated[Duration, option("After so long since the first record.", ge=0.001)] = Duration.of("10m")
    idle: Annotated[Duration, option("After so long without a record.", ge=0.001)] = Duration.of("2m")
    cron: Annotated[
        str | None,
        option("At these times too: minute, hour, day, month, weekday, as cron has them.", example="0 * * * *"),
    ] = None
    timezone: Annotated[str, option("The time zone of `cron`.")] = "UTC"

    def __post_init__(self) -> None:
        """Refuse what can never be due or has no time."""
        check_zone("timezone", self.timezone)
        if self.cron is not None:
            try:
                validate_cron(self.cron)
            except ValueError as error:
                raise ConfigError("cron", str(error)) from error


class ParquetOptions(Options):
    """How the files are written."""

    compression: Annotated[
        Literal["zstd", "snappy", "gzip", "lz4", "brotli", "none"], option("How pages are compressed.")
    ] = "zstd"
    level: Annotated[
        int | None,
        option("How hard the compression tries. Left out: 1 for zstd, else the codec's own.", example=1),
    ] = None
    row_group: Annotated[int, option("Rows that a row group may have; where memory is short it has fewer.", ge=1)] = (
        100_000
    )

    def __post_init__(self) -> None:
        """Refuse a level that the codec does not have; choose zstd's."""
        if self.level is None:
            self.level = 1 if self.compression == "zstd" else None
            return
        levels = LEVELS.get(self.compression)
        if levels is None:
            raise ConfigError("level", f'compression "{self.compression}" has no levels')
        if self.level not in levels:
            raise ConfigError(
                "level", f"must be between {levels[0]} and {levels[-1]} for {self.compression}, got {self.level}"
            )


LEVELS = {"zstd": range(1, 23), "gzip": range(1, 10), "brotli": range(12), "lz4": range(1, 13)}
"""Codec → the levels it has in Parquet files."""


class ColumnsOptions(Options):
    """What the columns that say where a row came from are called."""

    kafka_partition: Annotated[str, option("The Kafka partition.")] = "kafka_partition"
    kafka_offset: Annotated[str, option("The offset of the record.")] = "kafka_offset"
    kafka_timestamp: Annotated[str, option("The timestamp of the record.")] = "kafka_timestamp"
    kafka_key: Annotated[str, option("The key of the record, where there is one.")] = "kafka_key"
    source_stream: Annotated[str, option('Host and path of the source, "host:path".')] = "source_stream"
    source_generation: Annotated[str, option("The generation of the stream, 16 hex digits.")] = "source_generation"
    source_position: Annotated[str, option("Where the line starts in the generation, in bytes.")] = "source_position"
    source_flags: Annotated[str, option("What is unusual about the line: truncated, partial.")] = "source_flags"

    def __post_init__(self) -> None:
        """Refuse two columns of one name, in any case of letters: many readers do not tell those apart."""
        seen: dict[str, str] = {}
        for key in self.__struct_fields__:
            name = getattr(self, key)
            if not name:
                raise ConfigError(key, "must not be empty")
            if name.casefold() in seen:
                raise ConfigError(key, f'"{name}" is the name of {seen[name.casefold()]} already')
            seen[name.casefold()] = key


class TopicOptions(Options):
    """What is done with a topic: [sink.defaults] for all, [sink.topic."name"] for one."""

    parser: Annotated[
        str | None, option("What the values are; there is no default. Its own options stand beside it.", example="json")
    ] = None
    partition_by: Annotated[
        str,
        option(
            "The directories of a row: a template of the event time (%Y %m %d %H %M …) and of columns ({name}), "
            "or the name of a partition-path function."
        ),
    ] = "dt=%Y-%m-%d/hour=%H"
    timezone: Annotated[str, option("The time zone of `partition_by`.")] = "UTC"
    quarantine: Annotated[QuarantineOptions, option("How much may be unparsable.")] = msgspec.field(
        default_factory=QuarantineOptions
    )
    event_time: Annotated[EventTimeOptions, option("When a record happened.")] = msgspec.field(
        default_factory=EventTimeOptions
    )
    rotate: Annotated[RotateOptions, option("When files are closed and committed.")] = msgspec.field(
        default_factory=RotateOptions
    )
    parquet: Annotated[ParquetOptions, option("How files are written.")] = msgspec.field(default_factory=ParquetOptions)
    columns: Annotated[ColumnsOptions, option("Names of the columns that say where a row came from.")] = msgspec.field(
        default_factory=ColumnsOptions
    )

    def __post_init__(self) -> None:
        """Refuse a time zone that is not known."""
        check_zone("timezone", self.timezone)


class SinkOptions(Options):
    """From Kafka to the warehouse."""

    group: Annotated[str, option("The consumer group; workers of one group share the topics.", example="warehouse")]
    destination: Annotated[FilesystemOptions, option("The warehouse.")]
    topics: Annotated[list[str], option("Topics to read.", example=["app-logs"])] = []
    patterns: Annotated[
        list[str], option("Regular expressions: every topic whose name one of them finds.", example=["^app-.*"])
    ] = []
    session_timeout: Annotated[
        Duration, option("A worker silent for so long loses its partitions to the others.", ge=1)
    ] = Duration.of("30s")
    max_poll_interval: Annotated[
        Duration, option("A worker that is busy for so long without reading loses its partitions.", ge=1)
    ] = Duration.of("5m")
    memory: Annotated[Size, option("The one bound on what is buffered, all partitions together.", ge=1 << 20)] = (
        Size.of("256MiB")
    )
    start_at: Annotated[
        Literal["earliest", "latest"] | int,
        option('"earliest", "latest" or an offset: only for partitions without a commit chain.', ge=0),
    ] = "earliest"
    dedup_days: Annotated[
        int, option("Streams seen in so many days are kept in every commit; older ones are looked up.", ge=1)
    ] = 14
    defaults: Annotated[dict[str, Any], option("What is done with every topic.")] = {}
    topic: Annotated[dict[str, dict[str, Any]], option("What is done otherwise with one topic.")] = {}


class Tables(Options):
    """The whole file."""

    kafka: Annotated[KafkaOptions, option("The cluster.")] = msgspec.field(default_factory=KafkaOptions)
    state: Annotated[StateOptions, option("What must survive a restart.")] = msgspec.field(default_factory=StateOptions)
    web: Annotated[WebOptions | None, option("Metrics, health and the status page.")] = None
    log: Annotated[LogOptions, option("What the program says of itself.")] = msgspec.field(default_factory=LogOptions)
    source: Annotated[list[SourceOptions], option("What ship reads.")] = []
    sink: Annotated[SinkOptions | None, option("From Kafka to the warehouse.")] = None
