"""The configuration that the demo runs with; it stays in the demo's directory, to be looked at and tried."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = """\
# Written by `ingest demo`. With a broker that still runs it can be used as it is: ingest status -c {file}

[kafka]
bootstrap = [{bootstrap}]

[state]
dir = "{directory}/state"

[log]
level = "info"

[[source]]
name = "app"
type = "file"
paths = ["{directory}/logs/app.jsonl*"]
topic = "{app}"
create_topics = true
partitions = {partitions}

[[source]]
name = "access"
type = "file"
paths = ["{directory}/logs/access.log*"]
topic = "{access}"
create_topics = true
partitions = {partitions}

[sink]
group = "{group}"
session_timeout = "6s"
topics = ["{app}", "{access}"]

[sink.destination]
type = "local"
root = "{directory}/warehouse"

[sink.defaults]
partition_by = "dt=%Y-%m-%d/hour=%H"

[sink.topic."{app}"]
parser = "json"
event_time = {{ field = "ts" }}

[sink.topic."{app}".schema]
ts = "timestamp"
level = "string"
service = "string"
host = "string"
path = "string"
status = "int32"
latency_ms = "double"
msg = "string"
trace = "string"

[sink.topic."{access}"]
parser = "raw"
"""


def write_configuration(directory: Path, bootstrap: list[str], tag: str, partitions: int) -> Path:
    """Write the configuration for a demo whose topics and group end in `tag`; return its path."""
    file = directory / "ingest.toml"
    file.write_text(
        _TEMPLATE.format(
            file=file,
            directory=directory,
            bootstrap=", ".join(f'"{address}"' for address in bootstrap),
            app=f"app-{tag}",
            access=f"access-{tag}",
            group=f"demo-{tag}",
            partitions=partitions,
        )
    )
    return file
