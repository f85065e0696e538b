"""Fixture for the real HDFS."""

from __future__ import annotations

import pytest

from tests.servers.hdfs import HdfsServer
from tests.servers.plugin import require_servers


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory):
    """A running HDFS that all tests share: use a directory of your own, and leave it running."""
    require_servers()
    with HdfsServer(tmp_path_factory.mktemp("hdfs")) as server:
        yield server


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        server = getattr(item, "funcargs", {}).get("hdfs")
        if isinstance(server, HdfsServer):
            report.sections.append(("ends of HDFS's logs", server.tail()))
