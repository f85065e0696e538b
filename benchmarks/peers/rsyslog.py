"""A configuration of rsyslog: imfile → omkafka, nothing in between (Direct queues)."""

from __future__ import annotations

import shutil
from pathlib import Path


def missing() -> str | None:
    """Return why rsyslog can't run here; None = it can."""
    if not shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"):
        return "no rsyslogd (Debian: rsyslog)"
    if not any(Path("/usr/lib").glob("*/rsyslog/omkafka.so")) and not Path("/usr/lib/rsyslog/omkafka.so").exists():
        return "no omkafka (Debian: rsyslog-kafka)"
    return None


def command(directory: Path, bootstrap: str, topic: str, glob: str) -> list[str | Path]:
    """Write the configuration to `directory` and return the command, which stays in the foreground."""
    text = f"""
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imfile")
module(load="omkafka")
main_queue(queue.type="Direct")
template(name="line" type="string" string="%msg%")
ruleset(name="out") {{
    action(
        type="omkafka" broker=["{bootstrap}"] topic="{topic}" template="line" partitions.auto="on"
        confParam=[
            "compression.codec=lz4", "linger.ms=20", "batch.num.messages=100000",
            "queue.buffering.max.messages=1000000", "queue.buffering.max.kbytes=524288"
        ]
        topicConfParam=["acks=all"]
    )
}}
input(type="imfile" File="{glob}" Tag="bench:" ruleset="out" freshStartTail="off")
"""
    configuration = directory / "rsyslog.conf"
    configuration.write_text(text)
    program = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or "rsyslogd"
    return [program, "-n", "-f", configuration, "-i", directory / "rsyslog.pid"]
