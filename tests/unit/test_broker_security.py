"""The security options in kafka-python's words."""

from dataclasses import dataclass

import pytest

from ingest.broker.security import Connection, security_arguments
from ingest.errors import ConfigError
from ingest.options import Secret


@dataclass
class Given:
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: Secret | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


PASSWORD = Secret("hunter2")


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (Given(), {"security_protocol": "PLAINTEXT"}),
        (Given("SSL"), {"security_protocol": "SSL"}),
        (
            Given("SSL", ca_file="ca.pem", cert_file="me.pem", key_file="key.pem"),
            {
                "security_protocol": "SSL",
                "ssl_cafile": "ca.pem",
                "ssl_certfile": "me.pem",
                "ssl_keyfile": "key.pem",
            },
        ),
        (
            Given("SASL_SSL", "SCRAM-SHA-512", "u", PASSWORD, "ca.pem"),
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "u",
                "sasl_plain_password": "hunter2",
                "ssl_cafile": "ca.pem",
            },
        ),
        (Given("SASL_PLAINTEXT", "GSSAPI"), {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI"}),
    ],
)
def test_options_become_arguments(given, arguments):
    assert security_arguments(given) == arguments


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (Given("TLS"), "kafka.security.protocol"),
        (Given("SASL_SSL"), "kafka.security.mechanism"),
        (Given("SASL_SSL", "MAGIC"), "kafka.security.mechanism"),
        (Given("SASL_SSL", "PLAIN", "u"), "kafka.security"),
        (Given("SSL", username="u"), "kafka.security.protocol"),
        (Given("PLAINTEXT", ca_file="ca.pem"), "kafka.security.protocol"),
        (Given("SSL", key_file="key.pem"), "kafka.security.key_file"),
    ],
)
def test_contradictions_are_refused_with_their_key(given, key):
    with pytest.raises(ConfigError) as caught:
        security_arguments(given)
    assert caught.value.key == key


def test_the_password_shows_in_no_output_of_the_arguments():
    security = Given("SASL_SSL", "PLAIN", "u", PASSWORD)
    arguments = Connection(("h:1",), security).arguments()
    assert "hunter2" not in repr(arguments)
    assert "hunter2" not in f"{arguments}"
    assert "hunter2" not in repr(Connection(("h:1",), security))
