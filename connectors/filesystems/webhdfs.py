"""A warehouse on HDFS, through the NameNode's WebHDFS."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import requests
from hdfs.client import Client, InsecureClient, TokenClient

from ingest.api import (
    ConfigError,
    Duration,
    Entry,
    FileExists,
    FileMissing,
    Filesystem,
    FilesystemOptions,
    IngestError,
    OutcomeUnknown,
    Refused,
    Secret,
    Unavailable,
    option,
)

from .paths import TEMPORARY, octal, split, split_name
from .proof import prove
from .webhdfs_calls import Calls

_NO_OVERWRITE = {"renameoptions": "NONE"}


class WebHdfsOptions(FilesystemOptions):
    """[sink.destination] with type = "webhdfs"."""

    urls: Annotated[
        list[str],
        option("The NameNodes' web addresses, all of one cluster.", example=["http://nn1:9870", "http://nn2:9870"]),
    ]
    user: Annotated[
        str | None, option("The name to go by on a cluster without authentication; left out: the process's user.")
    ] = None
    kerberos: Annotated[
        bool, option("Authenticate by the Kerberos ticket in the cache; needs the extra `kerberos`.")
    ] = False
    token: Annotated[Secret | None, option("A delegation token, instead of Kerberos.", example="${cred:token}")] = None
    ca_file: Annotated[str | None, option("Certificates that https addresses are checked with.")] = None
    connect_timeout: Annotated[Duration, option("Longest wait for a connection.")] = Duration(5.0)
    timeout: Annotated[Duration, option("Longest wait for a byte of an answer.")] = Duration(60.0)
    file_mode: Annotated[str, option("Permissions of files, in octal; the cluster's umask does not matter.")] = "0640"
    dir_mode: Annotated[str, option("Permissions of directories that are made, in octal.")] = "0750"
    replication: Annotated[int | None, option("Copies of each block; left out: the cluster's default.", ge=1)] = None

    def __post_init__(self) -> None:
        octal(self.file_mode, 0o600)
        octal(self.dir_mode, 0o700)
        if not self.root.startswith("/") or any(part in (".", "..") for part in self.root.split("/")):
            raise ValueError(f'root must be an absolute path without "..", got "{self.root}"')
        if sum((self.user is not None, self.kerberos, self.token is not None)) > 1:
            raise ValueError("user, kerberos and token exclude each other")
        if not self.urls:
            raise ValueError("urls names no NameNode")
        for url in self.urls:
            _check_url(url)
        if len({urlsplit(url).scheme for url in self.urls}) > 1:
            raise ValueError("urls mixes http and https")


class WebHdfsFilesystem(Filesystem[WebHdfsOptions]):
    """Keeps files below `root` on HDFS.

    What returned survives kill -9 of ourselves and of the NameNode. WebHDFS knows no hsync: a power cut of all
    DataNodes that hold a block may take the last moments' data, unless the cluster sets dfs.datanode.synconclose.

    A file is uploaded whole to a fresh name in `_tmp` below the root, its length verified, then renamed with
    renameoptions=NONE, which the NameNode does atomically and never over something. Unfinished uploads of killed
    processes, which WebHDFS leaves as closed, short files, thus have no final name; `check` deletes them after a day.
    `source` files are left as they are.
    """

    Options = WebHdfsOptions

    def __init__(self, options: WebHdfsOptions) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigError: kerberos is asked for and its package is not installed.
        """
        super().__init__(options)
        self._root = options.root.rstrip("/")
        self._file_mode = format(octal(options.file_mode, 0o600), "o")
        self._dir_mode = format(octal(options.dir_mode, 0o700), "o")
        if options.kerberos:
            _kerberos_client()
        self._calls = Calls(
            [url.rstrip("/") for url in options.urls],
            connect=self._connect,
            data_session=self._session,
            timeout=(float(options.connect_timeout), float(options.timeout)),
            kerberos=options.kerberos,
        )

    def create(self, path: str, source: bytes | Path) -> None:
        """Make a whole file; see `Filesystem.create`."""
        parents, name = split_name(path)
        target = self._absolute((*parents, name))
        temporary = self._absolute((TEMPORARY, uuid.uuid4().hex))
        try:
            self._upload(temporary, source)
            self._make_for_create("/".join(parents))
            self._rename_upload(temporary, target)
        except IngestError:
            # Also after a lost answer: what is deleted here can't be renamed late. What stays is swept by `check`.
            with contextlib.suppress(IngestError):
                self._calls.change("DELETE", "DELETE", temporary, recursive="false")
            raise

    def mkdir(self, path: str) -> None:
        """Make a directory and its parents; see `Filesystem.mkdir`."""
        directory = self._absolute(split(path))
        try:
            answer = self._calls.change("PUT", "MKDIRS", directory, permission=self._dir_mode)
        except FileExists:
            raise Refused(f"can't make the directory {directory}: a file is there") from None
        if not _boolean(answer.body):
            raise Refused(f"can't make the directory {directory}: the NameNode says no, without a reason")

    def move(self, source: str, target: str) -> None:
        """Rename a file; see `Filesystem.move`."""
        origin, goal = (self._absolute((*parents, name)) for parents, name in (split_name(source), split_name(target)))
        try:
            renamed = self._rename(origin, goal)
        except FileMissing:
            renamed = False
        if renamed:
            return
        # "Not found" may mean either side, and a gateway says only "false": look.
        if self._status(origin) is None:
            raise FileMissing(f"can't move {origin}: it is not there")
        if self._status(goal) is not None:
            raise FileExists(f"can't move {origin} to {goal}: the target is there")
        raise Refused(f"can't move {origin} to {goal}: the target's directory is not there")

    def list(self, path: str) -> list[Entry]:
        """Return a directory's entries; see `Filesystem.list`."""
        parts = split(path)
        try:
            answer = self._calls.ask("LISTSTATUS", self._absolute(parts))
        except FileMissing:
            return []
        statuses = _json(answer.body, "FileStatuses", "FileStatus")
        hidden = TEMPORARY if not parts else None
        return [_entry(status, parts) for status in statuses if status["pathSuffix"] != hidden]

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Return a file's bytes; see `Filesystem.read`."""
        parents, name = split_name(path)
        target = self._absolute((*parents, name))
        params = {} if length is None else {"length": length}
        if start or length == 0:  # WebHDFS refuses an offset at or behind the end
            if start >= self._file_size(target) or length == 0:
                return b""
            params["offset"] = start
        try:
            return self._calls.download(target, **params)
        except FileMissing:
            self._file_size(target)  # a directory is "not found" as well
            raise

    def delete(self, path: str) -> bool:
        """Delete a file or an empty directory; see `Filesystem.delete`."""
        parents, name = split_name(path)
        answer = self._calls.change("DELETE", "DELETE", self._absolute((*parents, name)), recursive="false")
        return _boolean(answer.body)

    def check(self) -> None:
        """Make the root, prove that nothing overwrites there, delete leftovers of killed processes.

        Raises:
            Refused: no permission, or something between us and the NameNode drops renameoptions.
            Unavailable: no NameNode answers, or it is in safe mode.
        """
        self.mkdir("")
        prove(self)

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()

    def _upload(self, temporary: str, source: bytes | Path) -> None:
        """Upload and verify the length.

        Raises:
            Unavailable: not stored, or not all of it.
        """
        size = len(source) if isinstance(source, bytes) else _local_size(source)
        params: dict[str, object] = {"permission": self._file_mode}
        if self.options.replication is not None:
            params["replication"] = self.options.replication
        self._make_for_create(TEMPORARY)
        try:
            self._calls.upload(temporary, source, **params)
            stored = self._file_size(temporary)
        except (FileExists, FileMissing) as error:  # of the temporary name: says nothing of the path that was asked for
            raise Unavailable(f"the upload to {temporary} was lost: {error}") from None
        if stored != size:
            raise Unavailable(f"{temporary} has {stored} bytes, {size} were sent: the upload broke off")

    def _rename_upload(self, temporary: str, target: str) -> None:
        try:
            renamed = self._rename(temporary, target)
        except FileMissing:
            raise Unavailable(f"can't create {target}: its directory or the upload vanished meanwhile") from None
        if not renamed:
            if self._status(target) is not None:
                raise FileExists(f"can't create {target}: it is there")
            raise Unavailable(f"can't create {target}: the rename was refused without a reason")

    def _make_for_create(self, directory: str) -> None:
        """Make a directory on the way to a file; a lost answer changes nothing of the file."""
        try:
            self.mkdir(directory)
        except OutcomeUnknown as lost:
            raise Unavailable(str(lost)) from None

    def _rename(self, source: str, target: str) -> bool:
        """Rename without overwriting; False is a gateway's answer that dropped renameoptions.

        Raises:
            FileExists: there is a target.
            FileMissing: there is no source, or the target has no directory.
        """
        answer = self._calls.change("PUT", "RENAME", source, destination=target, **_NO_OVERWRITE)
        return not answer.body.strip() or _boolean(answer.body)

    def _status(self, absolute: str) -> dict[str, Any] | None:
        try:
            answer = self._calls.ask("GETFILESTATUS", absolute)
        except FileMissing:
            return None
        return dict(_json(answer.body, "FileStatus"))

    def _file_size(self, absolute: str) -> int:
        """Return a file's length.

        Raises:
            FileMissing: nothing is there.
            Refused: a directory is there.
        """
        status = self._status(absolute)
        if status is None:
            raise FileMissing(f"{absolute} is not there")
        if status["type"] != "FILE":
            raise Refused(f"{absolute} is no file")
        return int(status["length"])

    def _absolute(self, parts: tuple[str, ...]) -> str:
        return "/".join((self._root, *parts)) or "/"

    def _session(self) -> requests.Session:
        """Return a session that takes nothing from the environment: no proxies, no .netrc; and never repeats."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.options.ca_file or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=0))
        return session

    def _connect(self) -> Client:
        timeout = (float(self.options.connect_timeout), float(self.options.timeout))
        # The client's own choice among urls is not used: it would repeat a change whose answer was lost.
        given = {"url": self.options.urls[0], "timeout": timeout, "session": self._session()}
        if self.options.kerberos:
            return _kerberos_client()(**given)
        if self.options.token is not None:
            return TokenClient(token=self.options.token.reveal(), **given)
        return InsecureClient(user=self.options.user, **given)


def _kerberos_client() -> Any:
    try:
        from hdfs.ext.kerberos import KerberosClient
    except ImportError:
        raise ConfigError("kerberos", "needs a package: pip install 'ingest[kerberos]'") from None
    return KerberosClient


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'expected an address such as "http://namenode:9870", got "{url}"')
    if parts.username or parts.query or parts.fragment:
        raise ValueError(f'"{parts.scheme}://{parts.hostname}" must have no user, query or fragment')


def _local_size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise Refused(f"can't read the local file {source}: {error.strerror}") from error


def _entry(status: dict[str, Any], parts: tuple[str, ...]) -> Entry:
    """Return a FileStatus as an entry; a file's own listing names it by an empty suffix."""
    directory = status["type"] == "DIRECTORY"
    name = status["pathSuffix"] or parts[-1]
    return Entry(name, 0 if directory else int(status["length"]), directory, status["modificationTime"] / 1000)


def _boolean(body: bytes) -> bool:
    """Return what a change answered.

    Raises:
        OutcomeUnknown: it is no such answer, so nobody knows who gave it.
    """
    try:
        return bool(_json(body, "boolean"))
    except Unavailable as odd:
        raise OutcomeUnknown(str(odd)) from None


def _json(body: bytes, *keys: str) -> Any:
    """Return what stands under `keys` in an answer.

    Raises:
        Unavailable: it is no such answer.
    """
    try:
        found = json.loads(body)
        for key in keys:
            found = found[key]
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f'an answer without "{".".join(keys)}"; is a proxy in between?') from None
    return found
