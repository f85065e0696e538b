"""How to connect: addresses, encryption and proof of identity, in kafka-python's words."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from ingest.errors import ConfigError
from ingest.options import Secret

# At debug level kafka-python logs each request with all its fields, and the frames as they are sent: the password too.
_TALKATIVE = ("kafka.net.connection", "kafka.protocol.parser")

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class SecurityOptions(Protocol):
    """The table [kafka] security; what is not needed is None."""

    @property
    def protocol(self) -> str:
        """One of PROTOCOLS."""
        ...

    @property
    def mechanism(self) -> str | None:
        """One of MECHANISMS."""
        ...

    @property
    def username(self) -> str | None:
        """For PLAIN and SCRAM."""
        ...

    @property
    def password(self) -> Secret | None:
        """For PLAIN and SCRAM."""
        ...

    @property
    def ca_file(self) -> str | None:
        """PEM file of the authorities to trust; None = the system's."""
        ...

    @property
    def cert_file(self) -> str | None:
        """PEM file of our own certificate chain."""
        ...

    @property
    def key_file(self) -> str | None:
        """PEM file of our own private key, where it is not in `cert_file`."""
        ...


class _Unprinted(str):
    """A password as kafka-python needs it, but hidden where it logs its own configuration."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where Kafka is and how to get in.

    Attributes:
        bootstrap: "host:port", at least one.
        security: None = plain text.
        client_id: names us in the broker's logs and quotas.
        timeout: seconds after which a broker that does not answer counts as unavailable.
    """

    bootstrap: tuple[str, ...]
    security: SecurityOptions | None = None
    client_id: str = "ingest"
    timeout: float = 10.0

    def __str__(self) -> str:
        return ",".join(self.bootstrap)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that every client of kafka-python takes.

        Raises:
            ConfigError: the security options contradict each other.
        """
        return {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": self.client_id,
            "bootstrap_timeout_ms": int(self.timeout * 1000),
            "reconnect_backoff_max_ms": 2_000,
            "metadata_max_age_ms": 30_000,
            **({} if self.security is None else security_arguments(self.security)),
        }


def security_arguments(options: SecurityOptions) -> dict[str, Any]:
    """Return the security arguments of kafka-python.

    Raises:
        ConfigError: something is missing for the protocol, or given for nothing.
    """
    protocol = options.protocol
    if protocol not in PROTOCOLS:
        raise ConfigError("kafka.security.protocol", f'no "{protocol}"; there are {", ".join(PROTOCOLS)}')
    arguments: dict[str, Any] = {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        arguments |= _sasl(options)
    elif options.mechanism or options.username or options.password:
        raise ConfigError("kafka.security.protocol", f"{protocol} takes no mechanism, username or password")
    if protocol.endswith("SSL"):
        arguments |= _tls(options)
    elif options.ca_file or options.cert_file or options.key_file:
        raise ConfigError("kafka.security.protocol", f"{protocol} takes no certificates")
    return arguments


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _sasl(options: SecurityOptions) -> dict[str, Any]:
    mechanism = options.mechanism
    if mechanism not in MECHANISMS:
        raise ConfigError("kafka.security.mechanism", f"needed with SASL: one of {', '.join(MECHANISMS)}")
    if mechanism == "GSSAPI":
        return {"sasl_mechanism": mechanism}
    if not options.username or options.password is None:
        raise ConfigError("kafka.security", f"{mechanism} needs username and password")
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_above_debug)
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": options.username,
        "sasl_plain_password": _Unprinted(options.password.reveal()),
    }


def _tls(options: SecurityOptions) -> dict[str, Any]:
    if options.key_file and not options.cert_file:
        raise ConfigError("kafka.security.key_file", "is of no use without cert_file")
    given = {"ssl_cafile": options.ca_file, "ssl_certfile": options.cert_file, "ssl_keyfile": options.key_file}
    return {name: value for name, value in given.items() if value}
