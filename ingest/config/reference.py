"""The options as text: conf/ingest.toml and docs/configuration.md, both from the declarations and nothing else.

python -m ingest.config.reference --write      write both files below the current directory
python -m ingest.config.reference              exit 1 if they differ from what would be written
"""

from __future__ import annotations

import sys
from pathlib import Path

from ingest.config.declared import sections
from ingest.config.handbook import render_handbook
from ingest.config.registry import Registry
from ingest.config.sample import render_sample


def texts(registry: Registry) -> dict[str, str]:
    """Return path (below the project's root) → content of every file that is generated."""
    found = list(sections(registry))
    return {"conf/ingest.toml": render_sample(found), "docs/configuration.md": render_handbook(found)}


def main(arguments: list[str]) -> int:
    """Write the files, or say which of them are stale."""
    stale = 0
    for name, text in texts(Registry()).items():
        path = Path(name)
        if arguments == ["--write"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{name} is stale: run python -m ingest.config.reference --write\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
