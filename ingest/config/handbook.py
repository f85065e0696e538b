"""docs/configuration.md: every option in tables."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.config.declared import Item, Section
from ingest.config.keys import toml_key

_HEAD = """\
# Configuration

Written by `python -m ingest.config.reference --write` from the declarations in the code; do not edit here.
[`conf/ingest.toml`](../conf/ingest.toml) holds the same options as a file to start from, and
`ingest check -c FILE` says what is wrong with a file, every problem with its line, and what would run.

One TOML file; every table is optional but the ones that a job uses. Unknown keys, wrong types, values out of range and
contradictions are refused with exit code 2, before anything runs.

* **Durations and sizes** are written with their unit: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"14d"`; `"512B"`, `"64KiB"`,
  `"1MiB"`, `"10MB"`.
* **Secrets**: any text may hold `${file:/path}`, `${env:NAME}` or `${cred:NAME}` (a systemd credential, from
  `$CREDENTIALS_DIRECTORY`); `$${` is a plain `${`. They are read once at the start. A file that everybody can read is
  refused, its last newline is not part of the secret, and what a reference stood for is shown in no message.
* **Paths** are absolute.
* **Topics**: `[sink.topic."name"]` takes every option of `[sink.defaults]` and overrides it for one topic, table by
  table and key by key. A topic that chooses another parser than the defaults leaves behind those of their options that
  its parser does not know. A topic for which neither says a `parser` is refused: there is no default.
* **Command line**: `--state DIR` takes the place of `state.dir` and `--listen ADDRESS` that of `web.listen`, so that
  several workers on one host share a file. Without a `[web]` table and without `--listen` nothing listens.
"""


def render_handbook(sections: Sequence[Section]) -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(_section(section) for section in sections)])


def _section(section: Section) -> str:
    lines = [f"## {_title(section)}", ""]
    if section.text:
        lines += [section.text, ""]
    if section.items:
        lines += ["| option | type | default | what it does |", "|---|---|---|---|"]
        lines += [_row(item) for item in section.items]
        lines.append("")
    return "\n".join(lines)


def _title(section: Section) -> str:
    key = toml_key(section.path)
    table = f"`[[{key}]]`" if section.array else f"`[{key}]`"
    if section.connector is None:
        return table
    kind, name = section.connector
    return f'{table} with `{"parser" if kind == "parser" else "type"} = "{name}"`'


def _row(item: Item) -> str:
    if item.required:
        default = "required" + (f", such as `{item.example}`" if item.example else "")
    elif item.default is not None:
        default = f"`{item.default}`"
    else:
        default = "none" + (f"; such as `{item.example}`" if item.example else "")
    cells = [f"`{item.name}`", item.kind, default, item.text]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
