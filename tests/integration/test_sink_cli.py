"""What is refused before anything is read: by the command itself, with the key, the nearest name, and no traceback."""

import json

import pytest

from ingest.config.registry import Registry
from tests.builders.box import Box, make_topic, send, until
from tests.builders.broker import new_name
from tests.crash.processes import run

CONFIG = """
[kafka]
bootstrap = ["localhost:1"]
[state]
dir = "{directory}/state"
[sink]
group = "g"
topics = ["logs"]
[sink.destination]
type = "local"
root = "{directory}/warehouse"
[sink.defaults]
parser = "raw"
"""


def refused(done, *texts):
    """The command said no, without a traceback, and says each of `texts`."""
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    errors = list(errors_of(done.stderr))
    for text in texts:
        assert [each for each in errors if text in each], done.stderr


def errors_of(stderr):
    """What was said before the log began, and in the log."""
    for line in stderr.splitlines():
        if line.startswith("{"):
            yield str(json.loads(line).get("error"))
        else:
            assert line.startswith("error: ")
            yield line


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ('group = "g"', 'group = "g"\nsesion_timeout = "30s"', ["sink.sesion_timeout", "session_timeout"]),
        ("[sink.defaults]", "[sink.defualts]", ["sink.defualts", "defaults"]),
        ('group = "g"', "group = 5", ["sink.group", "expected a string"]),
        ('topics = ["logs"]', 'topics = "logs"', ["sink.topics", "expected"]),
        (
            'parser = "raw"',
            'parser = "raw"\nrotate = {{ age = "10 minits" }}',
            ["rotate.age", "10 minits"],
        ),
        ('parser = "raw"', 'parser = "jsno"', ["sink.defaults.parser", "json"]),
        ('parser = "raw"', 'timezone = "UTC"', ["parser"]),
        ('type = "local"', 'type = "lokal"', ["sink.destination.type", "local"]),
        ('root = "{directory}/warehouse"', "", ["sink.destination.root"]),
        (
            'bootstrap = ["localhost:1"]',
            'bootstrap = ["localhost:1"]\nsecurity.password = "${{file:/nowhere/secret}}"',
            ["kafka.security.password", "/nowhere/secret"],
        ),
        (
            'bootstrap = ["localhost:1"]',
            'bootstrap = ["localhost:1"]\nsecurity = {{ protocol = "SSL", cert_file = "${{env:NO_SUCH_NAME}}" }}',
            ["kafka.security.cert_file", "NO_SUCH_NAME"],
        ),
        ('bootstrap = ["localhost:1"]', "", ["kafka.bootstrap: missing; ingest sink needs it"]),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_where_it_is(tmp_path, written, instead, told):
    assert written in CONFIG
    path = tmp_path / "ingest.toml"
    path.write_text(CONFIG.replace(written, instead).format(directory=tmp_path))

    refused(run(["sink", "-c", str(path), "--once"]), *told)
    assert [each.name for each in tmp_path.iterdir()] == ["ingest.toml"]


@pytest.mark.parametrize("command", ["sink", "status", "flush", "offsets", "accept-loss", "verify", "check"])
def test_a_file_that_is_not_there_is_named(tmp_path, command):
    refused(run([command, "-c", str(tmp_path / "gone.toml")]), "gone.toml: can't be read")


@pytest.mark.parametrize("command", ["offsets", "accept-loss"])
def test_a_broker_that_does_not_answer_is_a_failure_in_one_line(tmp_path, command):
    path = tmp_path / "ingest.toml"
    path.write_text(CONFIG.format(directory=tmp_path))
    connector = Registry().filesystem("local")
    warehouse = connector(connector.Options(type="local", root=f"{tmp_path}/warehouse"))
    warehouse.check()
    warehouse.create(
        "_ingest/root.json", b'{"cluster_id":"c","created_at":"","format":1,"group":"g","version":"","worker":""}'
    )
    warehouse.close()

    done = run([command, "-c", str(path)])

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "localhost:1" in done.stderr


@pytest.mark.kafka
def test_check_tries_what_the_configuration_names(kafka, tmp_path):
    topic, missing = make_topic(kafka, partitions=3), new_name("missing")
    box = Box(tmp_path, kafka, [topic, missing])

    fresh = box.run("check", "--online")

    assert fresh.returncode == 0, fresh.stdout
    assert f"topic {topic}: 3 partitions" in fresh.stdout
    assert f"topic {missing}: missing; the sink waits until it is made" in fresh.stdout
    assert "not there yet" in fresh.stdout
    assert not box.root.exists()
    assert not box.state.exists()

    box.config.write_text(box.config.read_text().replace(kafka.bootstrap, "127.0.0.1:1"))
    gone = box.run("check", "--online")
    assert gone.returncode == 1
    assert "FAIL  kafka: " in gone.stdout
    assert "Traceback" not in gone.stderr


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("create_topics = true\npartitions = 4", 0, "missing; ship would make it with 4 partitions"),
        ("", 2, "missing; make it, or set create_topics = true"),
    ],
)
def test_check_says_what_becomes_of_a_topic_to_ship_to(kafka, tmp_path, options, code, told):
    path = tmp_path / "ingest.toml"
    topic = new_name("missing")
    path.write_text(
        f'[kafka]\nbootstrap = ["{kafka.bootstrap}"]\n[[source]]\nname = "a"\ntype = "file"\npaths = ["/nowhere/*"]\n'
        f'topic = "{topic}"\n{options}\n'
    )

    done = run(["check", "-c", str(path), "--online"])

    assert done.returncode == code
    assert f"topic {topic}: {told}" in done.stdout


@pytest.mark.kafka
def test_a_second_process_on_a_state_directory_is_told_who_the_first_one_is(kafka, tmp_path):
    box = Box(tmp_path, kafka, [make_topic(kafka)])
    service = box.service()
    try:
        service.start()
        until((box.state / "sink.sock").exists)
        first = json.loads((box.state / "sink.lock").read_text())["pid"]

        refused(box.run("sink"), "another process owns sink of this state directory", f"process {first} on ")
        assert service.stop() == 0
    finally:
        service.end()


@pytest.mark.kafka
@pytest.mark.parametrize("other", ["group", "cluster"])
def test_a_root_of_another_group_or_cluster_is_refused(kafka, tmp_path, other):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [topic])
    send(kafka, topic, [b"one"])
    box.sink()
    root = box.root / "_ingest" / "root.json"
    if other == "group":
        stranger = Box(tmp_path, kafka, [topic], root=box.root, state="other")
    else:
        stranger = Box(tmp_path, kafka, [topic], root=box.root, state="other", group=box.group)
        root.chmod(0o600)
        root.write_text(root.read_text().replace('"cluster_id":"', '"cluster_id":"other-'))
    before = root.read_bytes()

    refused(stranger.run("sink", "--once"), f"the group {box.group}", "this warehouse belongs to the Kafka cluster")
    assert root.read_bytes() == before


@pytest.mark.kafka
def test_a_topic_that_a_pattern_finds_and_that_has_no_parser_is_named(kafka, tmp_path):
    topic = make_topic(kafka)
    box = Box(tmp_path, kafka, [])
    text = box.config.read_text().replace("topics = []", f'patterns = ["^{topic}$"]')
    box.config.write_text(text.replace('[sink.defaults]\nparser = "raw"', "[sink.defaults]"))

    refused(box.run("sink", "--once"), f'"{topic}"', "parser")
    tried = box.run("check", "--online")
    assert tried.returncode == 2
    assert "parser" in tried.stdout
