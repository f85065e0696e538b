"""Jars of a server, resolved once from a pom and kept: the only part of the tests that may need the network."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RESOLVE_TIMEOUT = 600.0


class ToolMissing(RuntimeError):
    """Java or Maven is not on PATH, so a real server can't be started here."""


def require_tools() -> None:
    """Raise ToolMissing unless `java` and `mvn` are on PATH."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        raise ToolMissing(f"{' and '.join(missing)} not on PATH; install a JDK (17 or newer) and Maven")


def cache_root() -> Path:
    """Return where jars are kept: $INGEST_TEST_CACHE, else .cache/jars in the repository."""
    chosen = os.environ.get("INGEST_TEST_CACHE")
    return Path(chosen) if chosen else REPOSITORY / ".cache" / "jars"


def jars(pom: Path) -> Path:
    """Return the directory that holds all jars `pom` asks for, for a class path of `<directory>/*`.

    Resolved at the first call and kept for all later ones; a changed pom gets a directory of its own. Safe against
    processes that ask at the same time; a run that was killed leaves nothing half done.

    Raises:
        ToolMissing: no java or no mvn.
        RuntimeError: Maven failed; the text ends with what it said.
    """
    require_tools()
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    target = cache_root() / f"{pom.stem.removesuffix('-pom')}-{digest}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not target.is_dir():
            _resolve(pom, target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _resolve(pom: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as work:
        found = Path(work) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={found}"]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RESOLVE_TIMEOUT,
            check=False,
        )
        if done.returncode != 0 or not any(found.glob("*.jar")):
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        found.rename(target)
