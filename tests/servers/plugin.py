"""Fixtures for the real servers. Without Java or Maven their tests are skipped; under CI they fail instead."""

from __future__ import annotations

import os

import pytest

from tests.servers.kafka import KafkaServer
from tests.servers.maven import ToolMissing, require_tools


def under_ci() -> bool:
    """Return whether the environment says that this is CI, where nothing may be skipped."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def require_servers() -> None:
    """Skip the test that asks when real servers can't run here; fail it under CI."""
    try:
        require_tools()
    except ToolMissing as missing:
        if under_ci():
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """A running broker that all tests share: use topics and groups of your own, and leave it running."""
    require_servers()
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        server = getattr(item, "funcargs", {}).get("kafka")
        if isinstance(server, KafkaServer):
            report.sections.append(("end of the broker's log", server.tail()))
