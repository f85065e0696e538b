"""The repository as its history sees it: what is tracked, and copies of it without what lies around."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked():
    """Return the paths of all tracked files that are there, below the root; a link is one of them, not followed."""
    # A checkout of another user's is no reason to trust it less here.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    paths = (Path(os.fsdecode(name)) for name in listed.split(b"\0") if name)
    return [path for path in paths if os.path.lexists(ROOT / path)]


def copy_tracked(target):
    """Copy what is tracked to the new directory `target`, links as links; return it."""
    for path in tracked():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path, follow_symlinks=False)
    return target


def modules():
    """Return the paths of the modules that are shipped, where their code lies."""
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in ("ingest", "connectors")]
