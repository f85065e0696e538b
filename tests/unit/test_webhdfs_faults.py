"""WebHDFS nodes that misbehave, played by a stub; what a real HDFS shows is in tests/integration and tests/contract."""

import logging
import socket
import sys
import traceback

import msgspec
import pytest

from ingest.api import ConfigError, Duration, FileExists, FileMissing, OutcomeUnknown, Refused, Secret, Unavailable
from ingest.connectors.filesystems.webhdfs import WebHdfsFilesystem, WebHdfsOptions
from tests.servers.webhdfs_stub import DROP, HANG, Reply, StubNode, answer, file_status, remote

TOKEN = "very-secret-token"


@pytest.fixture
def data_node():
    with StubNode() as node:
        yield node


@pytest.fixture
def first(data_node):
    with StubNode(data_node=data_node) as node:
        yield node


@pytest.fixture
def second(data_node):
    with StubNode(data_node=data_node) as node:
        yield node


@pytest.fixture
def connect():
    made = []

    def connect(*nodes, **options):
        urls = [node if isinstance(node, str) else node.url for node in nodes]
        defaults = {"connect_timeout": Duration(2), "timeout": Duration(0.3)}
        filesystem = WebHdfsFilesystem(
            WebHdfsOptions(type="webhdfs", root="/warehouse", urls=urls, **{**defaults, **options})
        )
        made.append(filesystem)
        return filesystem

    yield connect
    for filesystem in made:
        filesystem.close()


@pytest.fixture
def nobody():
    """Address where nobody listens: bound, so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


# ── which NameNode ──


@pytest.mark.parametrize("exception", ["StandbyException", "RetriableException", "ObserverRetryOnActiveException"])
def test_a_standby_is_passed_over_and_the_active_one_remembered(connect, first, second, exception):
    first.replies["MKDIRS"] = remote(exception)
    filesystem = connect(first, second)
    filesystem.mkdir("a")
    filesystem.mkdir("b")
    assert first.ops == ["MKDIRS"]
    assert [request.path for request in second.requests] == ["/warehouse/a", "/warehouse/b"]


def test_two_standbys_are_unavailable_and_both_are_named(connect, first, second):
    first.replies["MKDIRS"] = second.replies["MKDIRS"] = remote("StandbyException")
    with pytest.raises(Unavailable) as caught:
        connect(first, second).mkdir("a")
    assert first.url in str(caught.value)
    assert second.url in str(caught.value)


def test_a_node_that_takes_no_connection_is_passed_over_for_a_change_too(connect, nobody, second):
    connect(nobody, second).mkdir("a")
    assert second.ops == ["MKDIRS"]


def test_nobody_there_is_unavailable(connect, nobody):
    with pytest.raises(Unavailable, match="no connection"):
        connect(nobody).mkdir("a")


def test_safe_mode_is_unavailable_and_nobody_else_is_asked(connect, first, second):
    first.replies["MKDIRS"] = remote("SafeModeException")
    with pytest.raises(Unavailable, match="safe mode"):
        connect(first, second).mkdir("a")
    assert second.requests == []


@pytest.mark.parametrize("lost", [DROP, HANG], ids=["drop", "hang"])
def test_a_question_whose_answer_was_lost_goes_to_the_next(connect, first, second, lost):
    first.replies["LISTSTATUS"] = lost
    assert connect(first, second).list("a") == []
    assert second.ops == ["LISTSTATUS"]


# ── changes whose answer was lost ──


@pytest.mark.parametrize("lost", [DROP, HANG, Reply(502, b"<html>"), Reply(200, b"<html>")])
@pytest.mark.parametrize(
    ("op", "change"),
    [
        ("MKDIRS", lambda filesystem: filesystem.mkdir("a")),
        ("RENAME", lambda filesystem: filesystem.move("a", "b")),
        ("DELETE", lambda filesystem: filesystem.delete("a")),
        ("RENAME", lambda filesystem: filesystem.create("a/b", b"x")),
    ],
    ids=["mkdir", "move", "delete", "create"],
)
def test_a_change_whose_answer_was_lost_is_never_repeated(connect, first, second, op, change, lost):
    first.replies[op] = lost
    with pytest.raises(OutcomeUnknown):
        change(connect(first, second))
    assert first.ops.count(op) == 1
    assert second.requests == []


def test_a_rename_with_a_lost_answer_can_not_happen_late(connect, first):
    first.replies["RENAME"] = HANG
    with pytest.raises(OutcomeUnknown):
        connect(first).create("a/b", b"x")
    assert first.ops[-1] == "DELETE"
    assert first.asked("DELETE")[0].path == first.asked("RENAME")[0].path


@pytest.mark.parametrize("op", ["MKDIRS", "CREATE", "GETFILESTATUS"])
def test_an_answer_lost_before_the_rename_says_that_nothing_was_created(connect, first, op):
    first.replies[op] = DROP
    with pytest.raises(Unavailable):
        connect(first).create("a/b", b"x")
    assert "RENAME" not in first.ops


# ── uploads ──


def test_an_upload_has_a_known_length_and_permissions(connect, first, data_node, tmp_path):
    filesystem = connect(first, replication=2)
    for number, content in enumerate((b"", b"12345")):
        source = tmp_path / str(number)
        source.write_bytes(content)
        filesystem.create(f"bytes{number}", content)
        filesystem.create(f"path{number}", source)
    assert [request.headers["content-length"] for request in data_node.requests] == ["0", "0", "5", "5"]
    assert all("transfer-encoding" not in request.headers for request in data_node.requests)
    query = first.asked("CREATE")[0].query
    assert (query["overwrite"], query["permission"], query["replication"]) == ("false", "640", "2")
    assert first.asked("MKDIRS")[0].query["permission"] == "750"


def test_an_upload_goes_to_a_temporary_name_and_is_renamed_without_overwriting(connect, first):
    connect(first).create("a/b", b"x")
    upload, rename = first.asked("CREATE")[0], first.asked("RENAME")[0]
    assert upload.path.startswith("/warehouse/_tmp/")
    assert rename.path == upload.path
    assert (rename.query["destination"], rename.query["renameoptions"]) == ("/warehouse/a/b", "NONE")


@pytest.mark.parametrize("broken", [DROP, HANG, Reply(500), remote("IOException"), Reply(200)])
def test_a_broken_upload_publishes_nothing_and_is_deleted(connect, first, data_node, broken):
    data_node.replies["data"] = broken
    with pytest.raises((Unavailable, Refused)):
        connect(first).create("a/b", b"x")
    assert "RENAME" not in first.ops
    assert first.ops[-1] == "DELETE"


def test_a_quota_at_the_second_step_is_unavailable(connect, first, data_node):
    data_node.replies["data"] = remote("DSQuotaExceededException")
    with pytest.raises(Unavailable, match="quota"):
        connect(first).create("a/b", b"x")


def test_an_upload_that_is_stored_short_is_not_published(connect, first):
    first.replies["GETFILESTATUS"] = answer(FileStatus=file_status(4))
    with pytest.raises(Unavailable, match="has 4 bytes, 5 were sent"):
        connect(first).create("a/b", b"12345")
    assert "RENAME" not in first.ops
    assert first.ops[-1] == "DELETE"


def test_a_temporary_name_that_is_taken_does_not_pass_for_the_file(connect, first, data_node):
    data_node.replies["data"] = remote("FileAlreadyExistsException")
    with pytest.raises(Unavailable):
        connect(first).create("a/b", b"x")


def test_a_taken_path_is_said_and_the_upload_deleted(connect, first):
    first.replies["RENAME"] = remote("FileAlreadyExistsException")
    with pytest.raises(FileExists):
        connect(first).create("a/b", b"x")
    assert first.ops[-1] == "DELETE"


def test_a_delete_that_fails_as_well_does_not_hide_the_first_error(connect, first):
    first.replies["RENAME"] = remote("FileAlreadyExistsException")
    first.replies["DELETE"] = DROP
    with pytest.raises(FileExists):
        connect(first).create("a/b", b"x")


def test_a_missing_local_source_is_refused(connect, first, tmp_path):
    with pytest.raises(Refused, match="local file"):
        connect(first).create("a/b", tmp_path / "nowhere")


# ── redirects ──


@pytest.mark.parametrize(
    "location", ["ftp://dn/x", "https://dn:9865/x", "file:///etc/passwd", "http://user:word@dn/x", "/relative", None]
)
def test_a_redirect_to_anything_but_a_data_node_of_the_same_scheme_is_refused(connect, first, location):
    first.replies["CREATE"] = first.replies["OPEN"] = Reply(307, location=location)
    filesystem = connect(first)
    with pytest.raises(Refused):
        filesystem.create("a/b", b"x")
    with pytest.raises(Refused):
        filesystem.read("a/b")


def test_a_redirect_of_anything_but_data_is_refused_and_not_followed(connect, first, second):
    for op in ("RENAME", "LISTSTATUS", "DELETE"):
        first.replies[op] = Reply(307, location=f"{second.url}/webhdfs/v1/x?op={op}")
    filesystem = connect(first)
    for call in (lambda: filesystem.move("a", "b"), lambda: filesystem.list("a"), lambda: filesystem.delete("a")):
        with pytest.raises(Refused, match="redirect"):
            call()
    assert second.requests == []


def test_a_data_node_that_redirects_again_is_not_followed(connect, first, data_node, second):
    data_node.replies["data"] = Reply(307, location=f"{second.url}/")
    with pytest.raises(Refused):
        connect(first).create("a/b", b"x")
    assert second.requests == []


def test_a_data_node_gets_no_credentials_but_those_in_the_redirect(connect, first, data_node):
    filesystem = connect(first, token=Secret(TOKEN))
    filesystem.create("a/b", b"x")
    filesystem.read("a/b")
    assert all(request.query["delegation"] == TOKEN for request in first.requests)
    assert [request.query for request in data_node.requests] == [{"given": "by-the-namenode"}] * 2
    assert not any({"authorization", "cookie"} & set(request.headers) for request in data_node.requests)


def test_a_gateway_that_redirects_to_itself_is_told_who_asks(connect):
    with StubNode() as gateway:
        connect(gateway, user="somebody").create("a/b", b"x")
        assert gateway.asked("data")[0].query["user.name"] == "somebody"


# ── reads and looks ──


@pytest.mark.parametrize("odd", [Reply(403), Reply(404), Reply(500), Reply(502), remote("AccessControlException")])
def test_only_hadoops_own_word_makes_a_path_missing(connect, first, odd):
    first.replies["LISTSTATUS"] = first.replies["OPEN"] = odd
    filesystem = connect(first)
    with pytest.raises((Unavailable, Refused)):
        filesystem.list("a")
    with pytest.raises((Unavailable, Refused)):
        filesystem.read("a")


def test_an_answer_that_breaks_off_is_not_taken_for_the_file(connect, first, data_node):
    data_node.replies["data"] = Reply(body=b"conte", length=7)
    with pytest.raises(Unavailable):
        connect(first).read("a")


def test_an_answer_of_another_kind_is_unavailable(connect, first):
    first.replies["LISTSTATUS"] = Reply(200, b"<html>")
    with pytest.raises(Unavailable, match="proxy"):
        connect(first).list("a")


# ── gateways that drop renameoptions ──


def missing():
    return remote("FileNotFoundException", status=404)


@pytest.mark.parametrize(
    ("looks", "error"),
    [
        ([missing()], FileMissing),
        ([answer(FileStatus=file_status(1)), answer(FileStatus=file_status(1))], FileExists),
        ([answer(FileStatus=file_status(1)), missing()], Refused),
    ],
    ids=["source gone", "target there", "no directory"],
)
@pytest.mark.parametrize("no", [answer(boolean=False), missing()], ids=["false", "not found"])
def test_a_move_that_was_not_done_is_explained_by_looking(connect, first, looks, error, no):
    first.replies["RENAME"] = no
    first.replies["GETFILESTATUS"] = list(looks)
    with pytest.raises(error):
        connect(first).move("a", "b")


def test_a_rename_answered_true_is_done(connect, first):
    first.replies["RENAME"] = answer(boolean=True)
    connect(first).move("a", "b")
    connect(first).create("a/b", b"x")


def test_check_refuses_a_gateway_that_overwrites(connect, first):
    with pytest.raises(Refused, match="renameoptions"):
        connect(first).check()


# ── secrets ──


@pytest.mark.parametrize("broken", [DROP, HANG, Reply(500), Reply(307, location="ftp://dn/?delegation=" + TOKEN)])
def test_no_error_shows_the_token(connect, first, broken, caplog):
    caplog.set_level(logging.INFO)
    for op in ("MKDIRS", "RENAME", "OPEN", "LISTSTATUS"):
        first.replies[op] = broken
    filesystem = connect(first, token=Secret(TOKEN))
    for call in (
        lambda: filesystem.mkdir("a"),
        lambda: filesystem.move("a", "b"),
        lambda: filesystem.read("a"),
        lambda: filesystem.list("a"),
    ):
        with pytest.raises((Unavailable, Refused, OutcomeUnknown)) as caught:
            call()
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(filesystem.options)


def test_no_error_shows_the_token_when_nobody_is_there(connect, nobody):
    with pytest.raises(Unavailable) as caught:
        connect(nobody, token=Secret(TOKEN)).mkdir("a")
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_the_environments_proxies_are_not_used(connect, first, nobody, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    connect(first).mkdir("a")
    assert first.ops == ["MKDIRS"]


# ── options ──


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"urls": []}, "no NameNode"),
        ({"urls": ["nn1:9870"]}, "such as"),
        ({"urls": ["hdfs://nn1:8020"]}, "such as"),
        ({"urls": ["http://me:word@nn1:9870"]}, "no user"),
        ({"urls": ["http://nn1:9870", "https://nn2:9871"]}, "mixes"),
        ({"root": "warehouse"}, "absolute"),
        ({"root": "/warehouse/../etc"}, "absolute"),
        ({"user": "me", "kerberos": True}, "exclude"),
        ({"file_mode": "0"}, "octal"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    given = {"type": "webhdfs", "root": "/warehouse", "urls": ["http://nn1:9870"], **options}
    with pytest.raises(msgspec.ValidationError, match=text) as caught:
        msgspec.convert(given, WebHdfsOptions)
    assert "word" not in str(caught.value)


def test_kerberos_without_its_package_says_what_to_install(connect, first, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdfs.ext.kerberos", None)
    with pytest.raises(ConfigError, match=r"ingest\[kerberos\]"):
        connect(first, kerberos=True)
