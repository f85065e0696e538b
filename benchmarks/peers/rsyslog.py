"""A configuration of rsyslog: imfile → omkafka, nothing in between (Direct queues)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


def missing() -> str | None:
    """Return why rsyslog can't run here; None = it can."""
    if not shutil.which("rsyslogd", path=_PATH):
        return "no rsyslogd (Debian: rsyslog)"
    if not any(Path("/usr/lib").glob("*/rsyslog/omkafka.so")) and not Path("/usr/lib/rsyslog/omkafka.so").exists():
        return "no omkafka (Debian: rsyslog-kafka)"
    return None


def release() -> str:
    """Return which rsyslog this is."""
    said = subprocess.run([_program(), "-v"], capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


def command(directory: Path, bootstrap: str, topic: str, glob: str, imfile: str = "") -> list[str | Path]:
    """Write the configuration to `directory` and return the command, which stays in the foreground.

    `imfile`: further parameters of the input.
    """
    text = f"""
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imfile")
module(load="omkafka")
main_queue(queue.type="Direct")
template(name="line" type="string" string="%msg%")
ruleset(name="out") {{
    action(
        type="omkafka" broker=["{bootstrap}"] topic="{topic}" template="line" partitions.auto="on"
        action.resumeRetryCount="-1"
        confParam=[
            "compression.codec=lz4", "linger.ms=20", "batch.num.messages=100000",
            "queue.buffering.max.messages=1000000", "queue.buffering.max.kbytes=524288"
        ]
        topicConfParam=["acks=all"]
    )
}}
input(type="imfile" File="{glob}" Tag="bench:" ruleset="out" freshStartTail="off" {imfile})
"""
    configuration = directory / "rsyslog.conf"
    configuration.write_text(text)
    return [_program(), "-n", "-f", configuration, "-i", directory / "rsyslog.pid"]


def _program() -> str:
    return shutil.which("rsyslogd", path=_PATH) or "rsyslogd"
