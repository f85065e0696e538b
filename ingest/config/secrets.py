"""References in the values of a configuration: ${file:/path}, ${env:NAME}, ${cred:name}.

They are read once, when the file is loaded, and only there: never in data. `$${` stands for a plain `${`.
What a reference stood for is a `Secret` from then on, so that no error shows it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest.config.keys import KeyPath, hint
from ingest.config.problems import Problems
from ingest.options import Secret

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([A-Za-z]+):([^}]*)\}")
_KINDS = ("file", "env", "cred")
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


def expand(data: Any, environment: Mapping[str, str], problems: Problems, path: KeyPath = ()) -> Any:
    """Return `data` (what TOML held) with the references in all its texts replaced.

    A reference that can't be read is a problem at its key, which names the variable or file, and stays as written.
    """
    if isinstance(data, dict):
        return {key: expand(value, environment, problems, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [expand(value, environment, problems, (*path, number)) for number, value in enumerate(data)]
    if not isinstance(data, str) or "${" not in data:
        return data

    def value_of(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        try:
            return _read(match[2], match[3], environment)
        except ValueError as error:
            problems.add(path, str(error))
            return match[0]

    text = _REFERENCE.sub(value_of, data)
    return Secret(text) if any(match[2] for match in _REFERENCE.finditer(data)) else text


def _read(kind: str, name: str, environment: Mapping[str, str]) -> str:
    """Return what a reference stands for; ValueError says why there is nothing, never what there is."""
    if kind == "env":
        if name not in environment:
            raise ValueError(f"the environment variable {name} is not set")
        return environment[name]
    if kind == "file":
        if not name.startswith("/"):
            raise ValueError(f'${{file:{name}}} needs an absolute path, such as "${{file:/etc/ingest/password}}"')
        return _file(Path(name))
    if kind == "cred":
        if _CREDENTIALS not in environment:
            raise ValueError(
                f"${{cred:{name}}} needs ${_CREDENTIALS}, which systemd sets for a unit with LoadCredential={name}:…"
            )
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"${{cred:{name}}} must be the plain name of a credential")
        return _file(Path(environment[_CREDENTIALS]) / name)
    raise ValueError(f"no reference ${{{kind}:…}}; there are ${{file:…}}, ${{env:…}}, ${{cred:…}}{hint(kind, _KINDS)}")


def _file(path: Path) -> str:
    """Return a secret file's text without its last newline."""
    try:
        # Non-blocking: never wait for the writer of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = _content(path, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from error
    if content.endswith(b"\n"):
        content = content[:-1].removesuffix(b"\r")
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Not chained: that error holds the bytes.
        raise ValueError(f"{path} is not UTF-8 text") from None


def _content(path: Path, descriptor: int) -> bytes:
    # The mode is asked of the open file: its name may point elsewhere a moment later.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is not a regular file")
    if mode & stat.S_IROTH:
        raise ValueError(f"{path} can be read by everybody; take that away: chmod o-rwx {path}")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()
