import errno
import os
import signal
import stat
import subprocess
import sys

import msgspec
import pytest

from ingest.api import FileExists, OutcomeUnknown, Refused, Unavailable
from ingest.connectors.filesystems import local, local_rename
from ingest.connectors.filesystems.local import LocalFilesystem, LocalOptions


@pytest.fixture
def root(tmp_path):
    return tmp_path / "warehouse"


@pytest.fixture
def filesystem(root):
    filesystem = LocalFilesystem(LocalOptions(type="local", root=str(root)))
    filesystem.check()
    return filesystem


def failing(number, when=lambda *args: True):
    """Stand in for a system call that fails with `number` where `when` holds; the rest goes to the real one."""

    def install(monkeypatch, name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if when(*args):
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    return install


def is_directory(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def is_file(descriptor):
    return not is_directory(descriptor)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(filesystem, path=""):
    return sorted(entry.name for entry in filesystem.list(path))


# ── a local source ──


def test_a_source_on_the_same_file_system_is_linked_not_copied(filesystem, root, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    inode = source.stat().st_ino
    filesystem.create("d/file", source)
    assert (root / "d/file").stat().st_ino == inode
    assert (root / "d/file").stat().st_nlink == 1
    assert not source.exists()


def test_a_source_on_another_file_system_is_copied(filesystem, root, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"x" * (3 << 20))
    failing(errno.EXDEV, lambda src, *_: src == source)(monkeypatch, "link")
    filesystem.create("d/file", source)
    assert (root / "d/file").read_bytes() == b"x" * (3 << 20)
    assert source.exists()


def test_a_source_that_has_another_name_is_copied(filesystem, root, tmp_path):
    source, other = tmp_path / "source", tmp_path / "other"
    source.write_bytes(b"first")
    os.link(source, other)
    filesystem.create("file", source)
    other.write_bytes(b"later")
    assert (root / "file").read_bytes() == b"first"


def test_a_symbolic_link_as_source_is_copied_through(filesystem, root, tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "source").symlink_to(tmp_path / "real")
    filesystem.create("file", tmp_path / "source")
    assert not (root / "file").is_symlink()
    assert (root / "file").read_bytes() == b"x"


def test_a_missing_source_is_refused(filesystem, tmp_path):
    with pytest.raises(Refused, match="nowhere is not there"):
        filesystem.create("file", tmp_path / "nowhere")
    assert names(filesystem) == []


# ── permissions ──


def test_permissions_do_not_depend_on_the_umask(filesystem, root, tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    before = os.umask(0o077)
    try:
        filesystem.create("d/e/bytes", b"x")
        filesystem.create("d/e/path", tmp_path / "source")
    finally:
        os.umask(before)
    assert [mode(root / path) for path in ("d", "d/e", "d/e/bytes", "d/e/path")] == [0o750, 0o750, 0o640, 0o640]


def test_permissions_are_as_the_options_say(root):
    filesystem = LocalFilesystem(LocalOptions(type="local", root=str(root), file_mode="0664", dir_mode="0775"))
    filesystem.check()
    filesystem.create("d/file", b"x")
    assert [mode(path) for path in (root, root / "d", root / "d/file")] == [0o775, 0o775, 0o664]


def test_an_inherited_group_stays_inherited(filesystem, root):
    root.chmod(0o2750)
    filesystem.mkdir("d/e")
    assert mode(root / "d") & stat.S_ISGID == root.stat().st_mode & stat.S_ISGID


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"file_mode": "rw-r-----"}, "octal"),
        ({"file_mode": "0440"}, "locks the owner out"),
        ({"dir_mode": "0640"}, "locks the owner out"),
        ({"root": "warehouse"}, "absolute"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert({"type": "local", "root": "/srv/warehouse", **options}, LocalOptions)


# ── the root ──


def test_check_makes_the_root_when_its_parent_is_there(tmp_path):
    LocalFilesystem(LocalOptions(type="local", root=str(tmp_path / "new"))).check()
    assert (tmp_path / "new").is_dir()


def test_check_does_not_make_the_roots_parent(tmp_path):
    with pytest.raises(Refused, match="mount its disk"):
        LocalFilesystem(LocalOptions(type="local", root=str(tmp_path / "no" / "where"))).check()
    assert not (tmp_path / "no").exists()


def test_check_refuses_a_root_that_everybody_may_write_into(root):
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(Refused, match="chmod o-w"):
        LocalFilesystem(LocalOptions(type="local", root=str(root))).check()


def test_a_missing_root_is_unavailable_and_not_an_empty_warehouse(root):
    filesystem = LocalFilesystem(LocalOptions(type="local", root=str(root)))
    for call in (lambda: filesystem.list(""), lambda: filesystem.create("a", b""), lambda: filesystem.read("a")):
        with pytest.raises(Unavailable, match="mounted"):
            call()
    assert not root.exists()


def test_a_root_that_became_another_directory_is_unavailable(filesystem, root):
    filesystem.create("a", b"x")
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    with pytest.raises(Unavailable, match="another directory"):
        filesystem.list("")


# ── planted links ──


def test_a_symbolic_link_below_the_root_is_not_followed(filesystem, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    for call in (
        lambda: filesystem.create("link/file", b"y"),
        lambda: filesystem.mkdir("link/d"),
        lambda: filesystem.list("link"),
        lambda: filesystem.read("link/secret"),
        lambda: filesystem.read("file"),
        lambda: filesystem.move("file", "other"),
        lambda: filesystem.delete("link/secret"),
    ):
        with pytest.raises(Refused):
            call()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_planted_pipe_does_not_hang_a_read(filesystem, root):
    os.mkfifo(root / "pipe")
    with pytest.raises(Refused):
        filesystem.read("pipe")


# ── disks that fail ──


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE])
def test_an_error_that_may_pass_is_unavailable_and_leaves_nothing(filesystem, root, monkeypatch, number):
    with monkeypatch.context() as patch:
        failing(number)(patch, "write")
        with pytest.raises(Unavailable, match="can't create d/file"):
            filesystem.create("d/file", b"x")
    assert names(filesystem, "d") == []
    assert list((root / "_tmp").iterdir()) == []


def test_a_failed_fsync_of_the_file_publishes_nothing(filesystem, root, monkeypatch):
    with monkeypatch.context() as patch:
        failing(errno.EIO, is_file)(patch, "fsync")
        with pytest.raises(Unavailable):
            filesystem.create("file", b"x")
    assert names(filesystem) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_an_error_that_stays_is_refused(filesystem, monkeypatch, number):
    with monkeypatch.context() as patch:
        failing(number)(patch, "link")
        with pytest.raises(Refused, match="can't create file"):
            filesystem.create("file", b"x")
    assert names(filesystem) == []


def test_a_failed_fsync_of_the_directory_leaves_the_outcome_open(filesystem, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    filesystem.create("old", b"x")
    filesystem.mkdir("d")
    with monkeypatch.context() as patch:
        failing(errno.EIO, is_directory)(patch, "fsync")
        for call in (
            lambda: filesystem.create("file", b"x"),
            lambda: filesystem.create("path", source),
            lambda: filesystem.move("old", "d/new"),
        ):
            with pytest.raises(OutcomeUnknown, match="power cut"):
                call()
        with pytest.raises(OutcomeUnknown):
            filesystem.delete("file")
    assert source.exists()


def test_every_directory_on_the_way_is_fsynced(filesystem, root, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    filesystem.create("a/b/file", b"x")
    directories = [path for path in synced if "_tmp" not in path]
    assert directories == [str(root), str(root / "a"), str(root / "a/b")]
    synced.clear()
    filesystem.mkdir("c")
    filesystem.move("a/b/file", "c/file")
    assert {str(root / "a/b"), str(root / "c")} <= set(synced)


# ── processes that die ──


KILLED_BEFORE_THE_LINK = """
import os, signal, sys
from ingest.connectors.filesystems.local import LocalFilesystem, LocalOptions
os.link = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
LocalFilesystem(LocalOptions(type="local", root=sys.argv[1])).create("d/file", b"x")
"""


def test_a_process_killed_before_the_link_leaves_no_file_and_its_leftover_is_swept(filesystem, root):
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_LINK, str(root)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert names(filesystem, "d") == []
    (leftover,) = (root / "_tmp").iterdir()
    filesystem.check()
    assert leftover.exists(), "it may still be in use"
    os.utime(leftover, (0, leftover.stat().st_mtime - 90_000))
    filesystem.check()
    assert not leftover.exists()


# ── kernels without renameat2 ──


@pytest.fixture(params=["absent", "unsupported"])
def old_kernel(request, monkeypatch):
    if request.param == "absent":
        monkeypatch.setattr(local_rename, "_renameat2", None)
    else:
        monkeypatch.setattr(local_rename, "_call", lambda *args: errno.EINVAL)


def test_a_move_without_renameat2_looks_first(filesystem, old_kernel):
    filesystem.create("a", b"a")
    filesystem.create("b", b"b")
    with pytest.raises(FileExists):
        filesystem.move("a", "b")
    filesystem.move("a", "c")
    assert (names(filesystem), filesystem.read("b"), filesystem.read("c")) == (["b", "c"], b"b", b"a")


def test_check_refuses_a_destination_that_overwrites(filesystem, monkeypatch):
    monkeypatch.setattr(
        local,
        "rename_new",
        lambda source_dir, source, target_dir, target: os.replace(
            source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir
        ),
    )
    with pytest.raises(Refused, match="rename onto a file"):
        filesystem.check()
