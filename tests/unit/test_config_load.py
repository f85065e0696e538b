import textwrap

import pytest

from ingest.config.load import load
from ingest.errors import ConfigError

GOOD = """
[kafka]
bootstrap = ["localhost:9092"]

[[source]]
name = "web"
type = "file"
topic = "app-logs"
paths = ["/var/log/app/*.log"]

[sink]
group = "warehouse"
topics = ["app-logs"]
[sink.destination]
type = "local"
root = "/srv/warehouse"
[sink.defaults]
parser = "json"
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "ingest.toml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def problems_of(path, **arguments):
    with pytest.raises(ConfigError) as caught:
        load(path, **arguments)
    return {error.key: error.problem for error in caught.value.errors}


def changed(*pairs):
    text = GOOD
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def sink(extra):
    """GOOD with more in [sink.defaults], which is last."""
    return GOOD + extra


def test_a_good_file_becomes_options(write):
    config = load(write(GOOD))

    assert config.kafka.bootstrap == ["localhost:9092"]
    assert config.source[0].paths == ["/var/log/app/*.log"]
    assert config.sink.destination.root == "/srv/warehouse"
    assert config.state.dir == "/var/lib/ingest"
    assert config.web is None
    assert config.for_topic("app-logs").parser_name == "json"


def test_an_empty_file_has_defaults_and_nothing_to_run(write):
    config = load(write(""))

    assert (config.source, config.sink, config.log.level) == ((), None, "info")
    for job in ("ship", "sink", "run"):
        with pytest.raises(ConfigError, match="missing"):
            config.require(job)


def test_a_sink_without_servers_can_only_backfill(write):
    config = load(write(changed(("[kafka]", ""), ('bootstrap = ["localhost:9092"]', ""))))

    with pytest.raises(ConfigError, match=r"^kafka\.bootstrap: missing"):
        config.require("sink")


def test_the_table_web_listens_on_the_local_host_unless_it_says_otherwise(write):
    assert load(write(GOOD + "[web]\n")).web.listen == "127.0.0.1:9464"


def test_the_command_line_overrides_state_and_address(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    config = load(write(GOOD), state="here", listen="[::1]:80")

    assert config.state.dir == str(tmp_path / "here")
    assert config.web.listen == "[::1]:80"


def test_an_address_from_the_command_line_is_checked_too(write):
    assert "web.listen" in problems_of(write(GOOD), listen="9464")


SECURED = "[kafka]\nsecurity = {{ {} }}\n"


def in_sink(line):
    return changed(("group =", f"{line}\ngroup ="))


BAD = [
    # unknown names, with the nearest known one
    ("[kafak]\n", "kafak", "unknown key; did you mean `kafka`?"),
    (changed(("bootstrap =", "bootstraps =")), "kafka.bootstraps", "did you mean `bootstrap`?"),
    (changed(("paths =", "path =")), "source[0].path", "unknown key; did you mean `paths`?"),
    (changed(("paths =", "path =")), "source[0].paths", 'missing; expected a list of strings, for example ["/var'),
    (changed(('"file"', '"fiel"')), "source[0].type", 'no source "fiel"; there are'),
    (changed(('"file"', '"fiel"')), "source[0].type", "did you mean `file`?"),
    (changed(('"local"', '"lokal"')), "sink.destination.type", "did you mean `local`?"),
    (changed(('type = "local"\n', "")), "sink.destination.type", "missing; one of local"),
    (changed(('"json"', '"jsn"')), "sink.defaults.parser", "did you mean `json`?"),
    (changed(("root =", "roots =")), "sink.destination.roots", "did you mean `root`?"),
    (sink("shema = {}"), "sink.defaults.shema", "unknown key; did you mean `schema`?"),
    (sink("rotate = { agee = '1m' }"), "sink.defaults.rotate.agee", "unknown key; did you mean `age`?"),
    (sink('[sink.topic."app-logs".rotate]\nagee = "1m"'), 'sink.topic."app-logs".rotate.agee', "did you mean `age`?"),
    (sink('[sink.topic."app-log"]'), 'sink.topic."app-log"', "does not read this topic; did you mean `app-logs`?"),
    (sink("columns = { kafka_ofset = 'o' }"), "sink.defaults.columns.kafka_ofset", "did you mean `kafka_offset`?"),
    # wrong types and values out of range
    (changed(("bootstrap = [", "bootstrap = 4 # [")), "kafka.bootstrap", "expected a list of strings, got 4"),
    (changed(('["localhost:9092"]', "[9092]")), "kafka.bootstrap[0]", "expected a string, got 9_092".replace("_", "")),
    ("kafka = 4", "kafka", "expected a table, got 4"),
    ("source = 4", "source", "expected a list of tables, got 4"),
    ("[source]\nname = 'a'", "source", "expected a list of tables, got a table"),
    ("[log]\nlevel = 'inof'", "log.level", 'expected one of "debug", "info", "warning", "error", got "inof"; did you'),
    (in_sink("session_timeout = 30"), "sink.session_timeout", 'expected a duration such as "250ms"'),
    (in_sink("session_timeout = '30'"), "sink.session_timeout", 'got "30"'),
    (in_sink("session_timeout = '1ms'"), "sink.session_timeout", "must be at least 1s"),
    (in_sink("memory = '5KiB'"), "sink.memory", 'must be at least 1MiB, got "5KiB"'),
    (in_sink("memory = '5 KB'"), "sink.memory", "expected a size such as"),
    (in_sink("start_at = 'first'"), "sink.start_at", 'or a whole number, got "first"'),
    (in_sink("start_at = -1"), "sink.start_at", "must be at least 0"),
    (in_sink("dedup_days = true"), "sink.dedup_days", "expected a whole number, got true"),
    (sink("quarantine = { max_ratio = 1.5 }"), "sink.defaults.quarantine.max_ratio", "must be at most 1, got 1.5"),
    (sink("quarantine = { max_ratio = nan }"), "sink.defaults.quarantine.max_ratio", "must be at least 0, got nan"),
    (sink("parquet = { level = 99 }"), "sink.defaults.parquet.level", "must be between 1 and 22 for zstd, got 99"),
    (sink("parquet = { compression = 'snappy', level = 1 }"), "sink.defaults.parquet.level", "has no levels"),
    (sink("parquet = { compression = 'zip' }"), "sink.defaults.parquet.compression", 'got "zip"'),
    (changed(("[kafka]", "[kafka]\ncompression = 'zst'")), "kafka.compression", "did you mean `zstd`?"),
    (sink("event_time = { earliest = 'long ago' }"), "sink.defaults.event_time.earliest", "expected a date such as"),
    (sink("event_time = { unit = 'sec' }"), "sink.defaults.event_time.unit", "expected one of"),
    # what is missing
    (changed(('group = "warehouse"\n', "")), "sink.group", 'missing; expected a string, for example "warehouse"'),
    (changed(('topics = ["app-logs"]\n', "")), "sink.topics", "missing; name topics, or give patterns"),
    (changed(('parser = "json"', "")), 'sink.topic."app-logs".parser', "missing; there is no default; one of clf, "),
    # contradictions
    (changed(("paths =", "create_topics = true\npaths =")), "source[0].partitions", "create_topics = true needs it"),
    (changed(("paths =", "partitions = 4\npaths =")), "source[0].partitions", "no use without create_topics = true"),
    (changed(("paths =", "partitions = 0\npaths =")), "source[0].partitions", "must be at least 1, got 0"),
    (changed(("paths =", "replication = 0\npaths =")), "source[0].replication", "must be at least 1, or -1"),
    (changed(('topic = "app-logs"', 'topic = "app logs"')), "source[0].topic", 'Kafka has no topic "app logs"'),
    (changed(('name = "web"', 'name = "a b"')), "source[0].name", "must be letters"),
    (changed(('topics = ["app-logs"]', "topics = ['app-logs', 'app-logs']")), "sink.topics[1]", "is there twice"),
    (changed(('topics = ["app-logs"]', "patterns = ['(']")), "sink.patterns[0]", "not a regular expression"),
    (in_sink("session_timeout = '10m'"), "sink.session_timeout", "max_poll_interval, which is 5m"),
    (changed(('["localhost:9092"]', "['localhost']")), "kafka.bootstrap[0]", 'such as "localhost:9092", got'),
    ("[web]\nlisten = ':80'", "web.listen", "expected host:port"),
    ("[web]\nlisten = 'localhost:70000'", "web.listen", "expected host:port"),
    ("[state]\ndir = 'state'", "state.dir", "must be an absolute path"),
    (changed(('"/srv/warehouse"', '"/var/lib"')), "sink.destination.root", "must lie apart from state.dir"),
    (changed(('"/srv/warehouse"', '"/var/lib/ingest/w"')), "sink.destination.root", "must lie apart from state.dir"),
    (sink("rotate = { cron = '60 * * * *' }"), "sink.defaults.rotate.cron", "minute"),
    (sink("rotate = { timezone = 'Europe/Berlim' }"), "sink.defaults.rotate.timezone", "did you mean `Europe/Berlin`?"),
    (sink("timezone = '../etc/passwd'"), "sink.defaults.timezone", "is not a time zone"),
    (sink("event_time = { field = 'ts', unit = 'ms' }\nschema = { tz = 'int64' }"), "sink.defaults.event_time.field",
     'parser "json" gives no column "ts"'),
    (sink("event_time = { unit = 'ms' }"), "sink.defaults.event_time.unit", "no use without event_time.field"),
    (changed(('parser = "json"', "parser = 'raw'\nevent_time = { field = 'ts' }")), "sink.defaults.event_time.field",
     'parser "raw" gives no column "ts"'),
    (sink("partition_by = 'site={site}'\nschema = { sight = 'string' }"), "sink.defaults.partition_by",
     'no column "site" in the schema; did you mean `sight`?'),
    (sink("partition_by = '%Y/%m'"), "sink.defaults.partition_by", "not of the form name=value"),
    (sink("partition_by = 'dt=%Q'"), "sink.defaults.partition_by", 'no directive "%Q"'),
    (sink("partition_by = ''"), "sink.defaults.partition_by", "at least one directory"),
    (sink("partition_by = 'hourly'"), "sink.defaults.partition_by", 'no partition-path function "hourly"'),
    (sink("partition_by = 'kafka_offset=%d'"), "sink.defaults.partition_by", "column of every row; rename it"),
    (sink("columns = { kafka_offset = 'kafka_key' }"), "sink.defaults.columns.kafka_key", "name of kafka_offset"),
    (sink("columns = { kafka_offset = '' }"), "sink.defaults.columns.kafka_offset", "must not be empty"),
    (sink("schema = { ts = 'timstamp' }"), "sink.defaults.schema.ts", 'no type "timstamp"'),
    # security
    (SECURED.format("protocol = 'SASL_SSL'"), "kafka.security.mechanism", "needs one"),
    (SECURED.format("protocol = 'SSL', username = 'u'"), "kafka.security.username", "none"),
    (SECURED.format("ca_file = '/ca'"), "kafka.security.ca_file", "takes none"),
    (SECURED.format("protocol = 'SSL', ca_file = 'ca'"), "kafka.security.ca_file", "absolute"),
    (SECURED.format("protocol = 'SSL', key_file = '/k'"), "kafka.security.key_file",
     "no use without cert_file"),
    (SECURED.format("protocol = 'SASL_SSL', mechanism = 'PLAIN'"),
     "kafka.security.username", "missing; PLAIN needs one"),
    (SECURED.format("protocol = 'SASL_PLAINTEXT', mechanism = 'PLAIN', username = 'u', password = 'hunter2'"),
     "kafka.security.protocol", "insecure = true"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "problem"), BAD, ids=[f"{key}-{text[:30]}" for _, key, text in BAD])
def test_what_is_wrong_is_refused_at_its_key_with_what_would_be_right(write, text, key, problem):
    found = problems_of(write(text))

    assert problem in found[key]
    assert "hunter2" not in str(found)


def test_a_password_in_the_clear_is_sent_if_the_file_says_so(write):
    security = "{ protocol = 'SASL_PLAINTEXT', mechanism = 'PLAIN', username = 'u', password = 'p', insecure = true }"

    assert load(write(changed(("[kafka]", f"[kafka]\nsecurity = {security}")))).kafka.security.insecure


def test_two_sources_of_one_name_are_refused(write):
    second = "[[source]]\nname = 'web'\ntype = 'file'\ntopic = 'b'\npaths = ['/b']\n"

    assert problems_of(write(GOOD + second)) == {"source[1].name": '"web" is the name of source[0] already'}


def test_two_sources_that_make_one_topic_differently_are_refused(write):
    one = "[[source]]\nname = '{}'\ntype = 'file'\ntopic = 'b'\npaths = ['/b']\ncreate_topics = true\npartitions = {}\n"

    found = problems_of(write(one.format("a", 1) + one.format("b", 2)))

    assert found == {"source[1]": 'wants topic "b" made otherwise than source[0] does'}


def test_every_problem_is_reported_on_a_line_of_its_own_with_its_line_in_the_file(write):
    path = write(
        """\
        [kafka]
        bootstrap = [
            "localhost:9092",   # a ] in a comment, and "one
            "x",
        ]
        colour = 'blue'
        [[source]]
        name = "a"
        type = "file"
        topic = "t"
        paths = ["/a"]
        [[source]]
        name = "b"
        type = "file"
        topic = "t"
        paths = ["/b"]
        linger = '''
        5'''
        [sink]
        topics = ["t"]
        [sink.destination]
        type = "local"
        root = "/w"
        [sink.topic.t]
        parser = "raw"
        "rotate".age = 5
        """
    )

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert [line.split(": ")[0:2] for line in str(caught.value).splitlines()] == [
        [f"{path}:6", "kafka.colour"],
        [f"{path}:17", "source[1].linger"],
        [f"{path}:19", "sink.group"],
        [f"{path}:26", 'sink.topic."t".rotate.age'],
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[kafka\n", "not TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"),
        (b"a = 1\na = 2\n", "not TOML: Cannot overwrite a value (at line 2"),
        (b"x = '\xff'", ":1: not UTF-8 text"),
        (b"x = " + b"[" * 5000, "not TOML"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(tmp_path, content, problem):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_can_not_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path)


FULL = """
[kafka]
bootstrap = ["localhost:9092"]
compression = "lz4"
security = { protocol = "SASL_SSL", mechanism = "SCRAM-SHA-512", username = "ingest", password = "p", ca_file = "/ca" }
[state]
dir = "/var/lib/ingest"
[web]
listen = "127.0.0.1:9464"
[log]
level = "info"
[[source]]
name = "web"
type = "file"
paths = ["/var/log/app/*.log"]
topic = "app-logs"
start_at = "beginning"
max_line = "1MiB"
close_after = "5m"
linger = "1s"
[sink]
group = "warehouse"
session_timeout = "30s"
max_poll_interval = "5m"
memory = "256MiB"
start_at = "earliest"
topics = ["app-logs"]
[sink.destination]
type = "local"
root = "/srv/warehouse"
[sink.defaults]
parser = "json"
quarantine = { max_ratio = 0.05, window = 10_000 }
event_time = { field = "ts" }
schema = { ts = "timestamp", status = "int32", latency_ms = "double", path = "string" }
partition_by = "dt=%Y-%m-%d/hour=%H"
rotate = { rows = 5_000_000, bytes = "256MiB", age = "10m", idle = "2m", cron = "0 * * * *" }
parquet = { compression = "zstd", level = 1 }
"""


def test_a_file_with_every_table_says_what_the_defaults_are(write):
    full, plain = load(write(FULL)), load(write(GOOD))

    assert (full.log, full.state, full.sink.memory) == (plain.log, plain.state, plain.sink.memory)
    ours, theirs = full.for_topic("app-logs").options, plain.for_topic("app-logs").options
    assert (ours.quarantine, ours.parquet, ours.partition_by) == (
        theirs.quarantine,
        theirs.parquet,
        theirs.partition_by,
    )
    assert (ours.event_time.field, ours.rotate.cron, theirs.rotate.cron) == ("ts", "0 * * * *", None)
    assert full.kafka.security.password.reveal() == "p"
