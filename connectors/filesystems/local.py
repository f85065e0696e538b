"""A warehouse on a local disk, through power cuts."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from ingest.api import Entry, FileExists, FileMissing, Filesystem, FilesystemOptions, Refused, option

from .local_errors import already_changed, nothing_changed
from .local_rename import rename_new
from .local_tree import Tree
from .paths import TEMPORARY, octal, split, split_name
from .proof import prove

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a planted pipe must not hang us
_NO_SECOND_NAME = (errno.EXDEV, errno.EPERM, errno.EMLINK)


class LocalOptions(FilesystemOptions):
    """[sink.destination] with type = "local"."""

    file_mode: Annotated[str, option("Permissions of files, in octal; the umask does not matter.")] = "0640"
    dir_mode: Annotated[str, option("Permissions of directories that are made, in octal.")] = "0750"

    def __post_init__(self) -> None:
        octal(self.file_mode, 0o600)
        octal(self.dir_mode, 0o700)
        if not os.path.isabs(self.root):
            raise ValueError(f'root must be an absolute path, got "{self.root}"')


class LocalFilesystem(Filesystem[LocalOptions]):
    """Keeps files below `root` on one local file system.

    What returned survives a power cut, as far as the disk does what fsync asks: files, and every directory on the way
    that was made, are fsynced before a verb returns. `check` makes the root when its parent exists; the other verbs
    say Unavailable where it is missing, so that an unmounted disk is never taken for an empty warehouse.

    Files are written to `_tmp` below the root and linked to their final name. A local source file on the same file
    system that belongs to this user is not copied: its inode gets the final name, its old name goes. Several processes
    may share a root on one host; several hosts may not.
    """

    Options = LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options)
        self._file_mode = octal(options.file_mode, 0o600)
        self._tree = Tree(Path(options.root), octal(options.dir_mode, 0o700))

    def create(self, path: str, source: bytes | Path) -> None:
        """Make a whole file, durably; see `Filesystem.create`."""
        parents, name = split_name(path)
        with nothing_changed("create", path), self._tree.directory(parents, make=True) as directory:
            try:
                adopted = isinstance(source, Path) and self._adopt(source, directory, name)
                if not adopted:
                    self._write(source, directory, name)
            except FileExistsError:
                raise FileExists(f"can't create {path}: it is there") from None
            with already_changed("create", path):
                os.fsync(directory)
        if adopted and isinstance(source, Path):
            _forget(source)

    def mkdir(self, path: str) -> None:
        """Make a directory and its parents, durably; see `Filesystem.mkdir`."""
        with nothing_changed("make the directory", path), self._tree.directory(split(path), make=True):
            pass

    def move(self, source: str, target: str) -> None:
        """Rename a file, durably; see `Filesystem.move`."""
        (source_parents, source_name), (target_parents, target_name) = split_name(source), split_name(target)
        with nothing_changed("move", f"{source} to {target}"), contextlib.ExitStack() as stack:
            try:
                source_dir = stack.enter_context(self._tree.directory(source_parents))
                _require_file(source_dir, source_name, source)
            except FileNotFoundError:
                raise FileMissing(f"can't move {source}: it is not there") from None
            try:
                target_dir = stack.enter_context(self._tree.directory(target_parents))
            except FileNotFoundError:
                raise Refused(f"can't move {source} to {target}: the target's directory is not there") from None
            try:
                rename_new(source_dir, source_name, target_dir, target_name)
            except FileExistsError:
                raise FileExists(f"can't move {source} to {target}: the target is there") from None
            except FileNotFoundError:
                raise FileMissing(f"can't move {source}: it is gone") from None
            with already_changed("move", f"{source} to {target}"):
                os.fsync(target_dir)
                os.fsync(source_dir)

    def list(self, path: str) -> list[Entry]:
        """Return a directory's entries; see `Filesystem.list`."""
        parts = split(path)
        with nothing_changed("list", path):
            try:
                with self._tree.directory(parts) as directory:
                    return list(_entries(directory, hidden=TEMPORARY if not parts else None))
            except NotADirectoryError:
                return [self._entry(parts, path)]
            except FileNotFoundError:
                return []

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Return a file's bytes; see `Filesystem.read`."""
        with nothing_changed("read", path), self._reading(path) as (descriptor, size):
            end = size if length is None else min(size, start + length)
            parts = []
            while start < end:
                part = os.pread(descriptor, min(end - start, _CHUNK), start)
                if not part:
                    break
                parts.append(part)
                start += len(part)
            return b"".join(parts)

    def delete(self, path: str) -> bool:
        """Delete a file or an empty directory, durably; see `Filesystem.delete`."""
        parents, name = split_name(path)
        with nothing_changed("delete", path), contextlib.ExitStack() as stack:
            try:
                directory = stack.enter_context(self._tree.directory(parents))
                _remove(directory, name)
            except FileNotFoundError:
                return False
            with already_changed("delete", path):
                os.fsync(directory)
        return True

    def check(self) -> None:
        """Make the root, prove that nothing overwrites there, delete leftovers of killed processes.

        Raises:
            Refused: the root's parent is missing, everybody may write there, or the file system overwrites.
            Unavailable: it can't be tried now (no space).
        """
        with nothing_changed("use", self.options.root):
            self._tree.make_root()
        prove(self)

    def _adopt(self, source: Path, directory: int, name: str) -> bool:
        """Give the source's inode the final name; return False where it must be copied.

        Only a plain file of our own with a single name is taken: another name would let somebody change the content
        afterwards.
        """
        try:
            status = os.lstat(source)
        except FileNotFoundError:
            raise Refused(f"the local file {source} is not there") from None
        mine = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        if not mine or status.st_dev != os.fstat(directory).st_dev:
            return False
        with open(os.open(source, _READ), "rb") as handle:
            os.fchmod(handle.fileno(), self._file_mode)
            os.fsync(handle.fileno())
        try:
            os.link(source, name, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_SECOND_NAME:
                return False
            raise
        return True

    def _write(self, source: bytes | Path, directory: int, name: str) -> None:
        """Write and fsync a temporary file, then link it to the final name."""
        temporary = uuid.uuid4().hex
        with self._tree.directory((TEMPORARY,), make=True) as shelf:
            try:
                with open(os.open(temporary, _NEW, self._file_mode, dir_fd=shelf), "wb", buffering=0) as target:
                    _copy(source, target.fileno())
                    os.fchmod(target.fileno(), self._file_mode)
                    os.fsync(target.fileno())
                os.link(temporary, name, src_dir_fd=shelf, dst_dir_fd=directory, follow_symlinks=False)
            finally:
                _forget(temporary, shelf)

    def _entry(self, parts: tuple[str, ...], path: str) -> Entry:
        with self._tree.directory(parts[:-1]) as directory:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{path} is neither a file nor a directory; symbolic links are not followed")
        return Entry(parts[-1], status.st_size, False, status.st_mtime)

    @contextmanager
    def _reading(self, path: str) -> Iterator[tuple[int, int]]:
        parents, name = split_name(path)
        with contextlib.ExitStack() as stack:
            try:
                directory = stack.enter_context(self._tree.directory(parents))
                descriptor = os.open(name, _READ, dir_fd=directory)
            except FileNotFoundError:
                raise FileMissing(f"can't read {path}: it is not there") from None
            stack.callback(os.close, descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(f"can't read {path}: it is no file")
            yield descriptor, status.st_size


def _copy(source: bytes | Path, target: int) -> None:
    """Write all of the source, a chunk at a time."""
    if isinstance(source, bytes):
        _write_all(target, source)
        return
    with source.open("rb", buffering=0) as handle:
        while chunk := handle.read(_CHUNK):
            _write_all(target, chunk)


def _write_all(target: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(target, left) :]


def _forget(name: str | Path, directory: int | None = None) -> None:
    """Take a name away whose file is done with; should that fail, `check` sweeps it (or its owner does) later."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory)


def _require_file(directory: int, name: str, path: str) -> None:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise Refused(f"can't move {path}: it is no file")


def _remove(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=directory)


def _entries(directory: int, hidden: str | None) -> Iterator[Entry]:
    with os.scandir(directory) as found:
        for entry in found:
            if entry.name == hidden:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted while we looked
            is_directory = stat.S_ISDIR(status.st_mode)
            yield Entry(entry.name, 0 if is_directory else status.st_size, is_directory, status.st_mtime)
