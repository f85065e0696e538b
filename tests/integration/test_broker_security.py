"""Encryption and passwords against a real Kafka."""

import shutil
import subprocess
import time
from dataclasses import dataclass

import pytest

from ingest.broker.producer import KafkaLineProducer
from ingest.broker.security import Connection
from ingest.errors import Refused, Unavailable
from ingest.options import Secret
from tests.builders.broker import TIMEOUT, Acks, make_topic, read_back
from tests.builders.lines import numbered
from tests.servers.kafka import KafkaServer
from tests.servers.plugin import require_servers

pytestmark = pytest.mark.kafka


SESSION_MS = 1500
"""The broker hangs up on whoever has not shown its password again by then."""


@dataclass
class Security:
    password: Secret
    ca_file: str | None
    protocol: str = "SASL_SSL"
    mechanism: str = "PLAIN"
    username: str = "ingest"
    cert_file: str | None = None
    key_file: str | None = None


def make_certificate(directory, name):
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 "
        f"-keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    return key, certificate


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    require_servers()
    if shutil.which("openssl") is None:
        pytest.skip("openssl not on PATH")
    directory = tmp_path_factory.mktemp("secured")
    key, certificate = make_certificate(directory, "server")
    store = directory / "store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    properties = {
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(store),
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.connections.max.reauth.ms": str(SESSION_MS),
        "listener.name.secure.plain.sasl.jaas.config": f'{login} user_ingest="hunter2";',
    }
    with KafkaServer(directory / "data", properties=properties, listeners={"SECURE": "SASL_SSL"}) as server:
        yield server, str(certificate)


def connection(server, password, ca_file, **changes):
    security = Security(Secret(password), ca_file)
    return Connection((server.address("SECURE"),), security, **{"timeout": 20.0, **changes})


def test_lines_go_through_tls_with_a_password(secured):
    server, certificate = secured
    topic = make_topic(server)
    acks = Acks()
    producer = KafkaLineProducer(connection(server, "hunter2", certificate))
    try:
        assert producer.partitions(topic) == 1
        producer.send(topic, 0, [(numbered(1000, width=1000), b"{}")], acks.of(0))
        acks.wait(1)
    finally:
        producer.close(TIMEOUT)
    assert acks.errors == []
    assert len(read_back(server, topic)) == 1000


def test_lines_go_on_in_order_when_the_broker_wants_the_password_again(secured):
    server, certificate = secured
    topic = make_topic(server)
    producer = KafkaLineProducer(connection(server, "hunter2", certificate))
    acks = Acks()
    position = sent = 0
    until = time.monotonic() + 4 * SESSION_MS / 1000
    while time.monotonic() < until:
        block = numbered(20, begin=position)
        position = block.end
        producer.send(topic, 0, [(block, b"{}")], acks.of(sent))
        sent += 1
        acks.wait(sent)
    producer.close(TIMEOUT)

    assert acks.errors == []
    values = [record.value for record in read_back(server, topic)]
    assert len(values) == 20 * sent
    assert [dict(record.headers)["ingest-pos"] for record in read_back(server, topic)] == sorted(
        dict(record.headers)["ingest-pos"] for record in read_back(server, topic)
    )


def test_a_wrong_password_is_refused_and_not_shown(secured, caplog):
    server, certificate = secured
    caplog.set_level("DEBUG")
    with pytest.raises(Refused) as caught:
        KafkaLineProducer(connection(server, "opensesame", certificate))
    assert "opensesame" not in str(caught.value)
    assert "opensesame" not in caplog.text


def test_a_certificate_of_an_unknown_authority_is_not_trusted(secured, tmp_path):
    server, _ = secured
    _, other = make_certificate(tmp_path, "other")
    with pytest.raises(Unavailable):
        KafkaLineProducer(connection(server, "hunter2", str(other), timeout=1.5))
