"""What a real HDFS does when something goes wrong: each test has a cluster of its own making or puts things right."""

import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.api import Duration, FileExists, OutcomeUnknown, Refused, Unavailable
from ingest.connectors.filesystems.webhdfs import WebHdfsFilesystem, WebHdfsOptions
from tests.servers.hdfs import HdfsServer
from tests.servers.plugin import require_servers

pytestmark = pytest.mark.hdfs

KILLED_WHILE_UPLOADING = """
import os, signal, sys
from pathlib import Path
from ingest.connectors.filesystems.webhdfs import WebHdfsFilesystem, WebHdfsOptions
from ingest.connectors.filesystems import webhdfs_calls

class Dying:
    def __init__(self, source):
        self.source = source
        self.left = 1 << 20
    def __len__(self):
        return 8 << 20
    def read(self, size):
        self.left -= size
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return b"x" * size

url, user, root = sys.argv[1:]
filesystem = WebHdfsFilesystem(WebHdfsOptions(type="webhdfs", root=root, urls=[url], user=user))
follow = webhdfs_calls.Calls._follow
webhdfs_calls.Calls._follow = lambda self, method, answer, url, body: follow(self, method, answer, url, Dying(body))
filesystem.create("d/file", b"x" * (8 << 20))
"""


@pytest.fixture
def connect():
    made = []

    def connect(server, root=None, **options):
        root = root or f"/faults/{uuid.uuid4().hex}"
        options = {"user": server.user, "timeout": Duration(5), **options}
        made.append(WebHdfsFilesystem(WebHdfsOptions(type="webhdfs", root=root, urls=[server.url], **options)))
        return made[-1]

    yield connect
    for filesystem in made:
        filesystem.close()


@pytest.fixture
def filesystem(hdfs, connect):
    filesystem = connect(hdfs)
    filesystem.check()
    return filesystem


@pytest.fixture(scope="module")
def own_hdfs(tmp_path_factory):
    """A cluster whose daemons may be killed; each test leaves it serving again."""
    require_servers()
    with HdfsServer(tmp_path_factory.mktemp("own-hdfs")) as server:
        yield server


def names(filesystem, path=""):
    return sorted(entry.name for entry in filesystem.list(path))


def leftovers(server, filesystem):
    found = server.call("GET", f"{filesystem.options.root}/_tmp", op="LISTSTATUS")
    return [status["pathSuffix"] for status in found["FileStatuses"]["FileStatus"]]


def test_permissions_and_replication_are_set(hdfs, connect):
    filesystem = connect(hdfs, file_mode="0604", dir_mode="0705", replication=2)
    filesystem.check()
    filesystem.create("a/b/file", b"x")
    root = filesystem.options.root
    status = {
        path: hdfs.call("GET", f"{root}{path}", op="GETFILESTATUS")["FileStatus"]
        for path in ("", "/a", "/a/b", "/a/b/file")
    }
    assert [entry["permission"] for entry in status.values()] == ["705", "705", "705", "604"]
    assert status["/a/b/file"]["replication"] == 2


def test_safe_mode_is_waited_for(hdfs, filesystem):
    filesystem.create("before", b"x")
    hdfs.admin("-safemode", "enter")
    try:
        for change in (
            lambda: filesystem.create("a/file", b"x"),
            lambda: filesystem.mkdir("d"),
            lambda: filesystem.move("before", "after"),
            lambda: filesystem.delete("before"),
        ):
            with pytest.raises(Unavailable, match="safe mode"):
                change()
        assert filesystem.read("before") == b"x"
    finally:
        hdfs.admin("-safemode", "leave")
    filesystem.create("a/file", b"x")
    assert filesystem.read("a/file") == b"x"


def test_a_space_quota_leaves_no_file_and_passes(hdfs, filesystem):
    root = filesystem.options.root
    hdfs.admin("-setSpaceQuota", str(6 << 20), root)  # one block fits, the second does not: it fails in mid-file
    with pytest.raises(Unavailable):
        filesystem.create("d/file", b"x" * (9 << 20))
    assert names(filesystem, "d") == []
    assert leftovers(hdfs, filesystem) == []
    hdfs.admin("-clrSpaceQuota", root)
    filesystem.create("d/file", b"x" * (9 << 20))
    assert [entry.size for entry in filesystem.list("d")] == [9 << 20]


def test_a_name_quota_leaves_no_file_and_passes(hdfs, filesystem):
    root = filesystem.options.root
    hdfs.admin("-setQuota", "2", root)  # the root and _tmp
    with pytest.raises(Unavailable, match="quota"):
        filesystem.create("d/file", b"x")
    hdfs.admin("-clrQuota", root)
    filesystem.create("d/file", b"x")
    assert filesystem.read("d/file") == b"x"


def test_no_permission_is_refused(hdfs, filesystem, connect):
    filesystem.create("d/file", b"x")
    stranger = connect(hdfs, root=filesystem.options.root, user="stranger")
    for call in (
        stranger.check,
        lambda: stranger.create("d/other", b"x"),
        lambda: stranger.read("d/file"),
        lambda: stranger.list("d"),
        lambda: stranger.delete("d/file"),
        lambda: stranger.move("d/file", "d/mine"),
    ):
        with pytest.raises(Refused, match="AccessControlException"):
            call()
    assert names(filesystem, "d") == ["file"]


def test_a_client_killed_while_uploading_leaves_no_file_and_its_leftover_is_swept(hdfs, filesystem):
    root = filesystem.options.root
    command = [sys.executable, "-c", KILLED_WHILE_UPLOADING, hdfs.url, hdfs.user, root]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9
    assert names(filesystem, "d") == []
    (leftover,) = leftovers(hdfs, filesystem)
    filesystem.check()
    assert leftovers(hdfs, filesystem) == [leftover], "it may still be in use"
    status = hdfs.call("GET", f"{root}/_tmp/{leftover}", op="GETFILESTATUS")["FileStatus"]
    long_ago = status["modificationTime"] - 90_000_000
    hdfs.call("PUT", f"{root}/_tmp/{leftover}", op="SETTIMES", modificationtime=str(long_ago))
    filesystem.check()
    assert leftovers(hdfs, filesystem) == []


def test_a_dead_namenode_is_unavailable_and_what_returned_is_there_after_its_restart(own_hdfs, connect):
    filesystem = connect(own_hdfs)
    filesystem.check()
    filesystem.create("d/file", b"x" * 1000)
    filesystem.mkdir("e")
    filesystem.move("d/file", "e/file")
    own_hdfs.kill()
    for call in (
        lambda: filesystem.list("e"),
        lambda: filesystem.create("f", b"x"),
        lambda: filesystem.delete("e/file"),
    ):
        with pytest.raises(Unavailable, match="connection"):
            call()
    own_hdfs.start()
    assert filesystem.read("e/file") == b"x" * 1000
    assert names(filesystem) == ["d", "e"]


def test_a_namenode_that_hangs_leaves_the_outcome_open_and_may_do_it_late(own_hdfs, connect):
    filesystem = connect(own_hdfs, timeout=Duration(1))
    filesystem.check()
    filesystem.create("file", b"x")
    own_hdfs.name_node.suspend()
    try:
        with pytest.raises(OutcomeUnknown):
            filesystem.mkdir("late")
        with pytest.raises(Unavailable):
            filesystem.list("")
        with pytest.raises(Unavailable):
            filesystem.create("other", b"x")
    finally:
        own_hdfs.name_node.resume()
    own_hdfs.ready()
    assert filesystem.read("file") == b"x"
    assert "other" not in names(filesystem)


def test_a_dead_datanode_makes_uploads_unavailable_until_it_is_back(own_hdfs, connect):
    filesystem = connect(own_hdfs)
    filesystem.check()
    own_hdfs.data_node.kill()
    with pytest.raises(Unavailable):
        filesystem.create("d/file", b"x")
    assert names(filesystem, "d") == []
    own_hdfs.ready()
    filesystem.create("d/file", b"x")
    assert filesystem.read("d/file") == b"x"


def test_a_datanode_killed_in_the_middle_of_an_upload_publishes_nothing_short(own_hdfs, connect, tmp_path):
    filesystem = connect(own_hdfs)
    filesystem.check()
    size = 64 << 20
    source = tmp_path / "large"
    source.write_bytes(b"x" * size)

    def upload():
        try:
            filesystem.create("d/file", source)
        except Unavailable:
            return "unavailable"
        return "created"

    uploading = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(upload)
        while not uploading.is_set() and not running.done():
            if leftovers(own_hdfs, filesystem):
                uploading.set()
        own_hdfs.data_node.kill()
        outcome = running.result()
    own_hdfs.ready()
    assert [entry.size for entry in filesystem.list("d")] == ([size] if outcome == "created" else [])
    if outcome == "unavailable":
        filesystem.create("d/file", source)
        assert [entry.size for entry in filesystem.list("d")] == [size]


def test_many_rivals_of_two_clients_have_one_winner(hdfs, connect):
    root = f"/faults/{uuid.uuid4().hex}"
    clients = [connect(hdfs, root=root) for _ in range(2)]
    clients[0].check()

    def attempt(rival):
        try:
            clients[rival % 2].create("commits/00000000000000000000.json", b"%d" % rival)
        except FileExists:
            return None
        return rival

    with ThreadPoolExecutor(8) as pool:
        winners = [rival for rival in pool.map(attempt, range(24)) if rival is not None]
    assert len(winners) == 1
    assert clients[1].read("commits/00000000000000000000.json") == b"%d" % winners[0]
    assert leftovers(hdfs, clients[0]) == []
