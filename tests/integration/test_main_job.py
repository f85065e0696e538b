"""The main job on real servers: live logs → Kafka → Parquet, killed at random, read back by other tools."""

from __future__ import annotations

import json
import urllib.request

import pytest
from kafka import KafkaAdminClient

from tests.crash.main_job import Setup, on_hdfs, on_local
from tests.crash.processes import run
from tests.crash.proof import compare, download, visible_files

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SHIP_MB, SINK_MB = 250, 400
"""What ship, and a sink with memory = "128MiB", may hold resident."""


def shown(outcome):
    return "\n".join([*(f"{name}: {each}" for name, each in outcome.comparisons.items()), outcome.verify_text])


@pytest.mark.hdfs
def test_lines_reach_hdfs_exactly_once_through_kills_and_the_chain_proves_it(tmp_path, kafka, hdfs):
    setup = Setup(lines=60_000, kills=2, partitions=4, per_second=6_000)
    outcome = on_hdfs(tmp_path, kafka, hdfs, setup)

    assert outcome.exact, shown(outcome)
    assert (outcome.ship_kills, outcome.sink_kills) == (2, 2)
    assert outcome.rotations > 4
    assert outcome.ship_peak_mb < SHIP_MB
    assert outcome.sink_peak_mb < SINK_MB

    config = str(tmp_path / "ingest.toml")
    root = f"/warehouse-{tmp_path.name}"

    # Kafka forgets how far the group was: nothing is read into the warehouse twice.
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_groups([f"warehouse-{tmp_path.name}"])
    admin.close()
    again = run(["sink", "-c", config, "--once"])
    assert again.returncode == 0, again.stderr
    copy = download(hdfs.url, root, tmp_path / "second-copy")
    logs = sorted((tmp_path / "logs").glob("access.log*"))
    assert compare(logs, copy / f"access-{tmp_path.name}").exact

    # A file that is not what was committed is named.
    broken = visible_files(hdfs.url, f"{root}/app-{tmp_path.name}")[0]
    content = bytearray((tmp_path / "second-copy" / broken.removeprefix(f"{root}/")).read_bytes())
    content[len(content) // 2] ^= 1
    replace(hdfs, broken, bytes(content))
    verified = run(["verify", "-c", config])
    assert verified.returncode == 4
    assert broken.removeprefix(f"{root}/") in verified.stdout


def replace(hdfs, path, content):
    """Overwrite a file of the warehouse, as a careless hand would."""
    url = f"{hdfs.url}/webhdfs/v1{path}?op=CREATE&overwrite=true&noredirect=true&user.name=ingest"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=30) as answer:
        location = json.load(answer)["Location"]
    with urllib.request.urlopen(urllib.request.Request(location, data=content, method="PUT"), timeout=30):
        pass


def test_lines_of_files_that_are_compressed_reach_a_local_directory_exactly_once_over_many_partitions(tmp_path, kafka):
    setup = Setup(lines=40_000, kills=2, partitions=64, per_second=6_000, seed=5, compress=True)
    outcome = on_local(tmp_path, kafka, setup)

    assert outcome.exact, shown(outcome)
    assert outcome.ship_peak_mb < SHIP_MB
    assert outcome.sink_peak_mb < SINK_MB
